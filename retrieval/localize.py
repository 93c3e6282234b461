"""Localisation: where in an image the query is, and which positions say so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from indexer.arrays import Boxes, FloatArray, cosines
from indexer.features.engines.protocols import Activations, activations_of
from indexer.features.extractor import FeatureExtractor
from indexer.features.pooling import box_weights, pool_boxes
from indexer.features.regions import Region
from indexer.features.windows import WindowLayout, to_boxes, to_regions
from retrieval.boxes import anchor_boxes, perturb, vote_box
from retrieval.collection import Collection
from retrieval.describe import describe_query
from retrieval.picture import Picture
from retrieval.query import Query
from retrieval.segment import Mask, segment_object
from retrieval.zoom import CONTEXT, crop_size, describe_zoomed, kept_side

PLACES = 6  # windows of the whole picture that are zoomed in on
PLACE_IOU = 0.3
PLACE_SIZES = (1.0, 1.6)  # of the spec's input size: small things need the larger
STEPS = (0.25, 0.25, 0.12, 0.12)  # by which the sides of the box are moved
PLACE_LAYOUT = WindowLayout(scales=(0.7, 0.47, 0.31, 0.2), overlap=0.5)


@dataclass(frozen=True)
class Localization:
    """The match of a query in one image, all in pixels of its upright original.

    `heat` (height, width) attributes the score to positions: with `offset`, which belongs to none,
    the values of its `cells` add up to `score`, the cosine of the box and the query. `mask`
    (height, width) is the object.
    """

    image: Image.Image
    box: Region
    score: float
    cells: FloatArray
    cell_box: Region
    offset: float
    heat: FloatArray
    mask: Mask


def localize(collection: Collection, query: Query, target: Image.Image) -> Localization:
    """Find the query in `target`, an upright RGB image.

    Raises `StoreError` where the store describes no regions, and what `SearchEngine.search` does.
    """
    collection.store.find_kind("conv", "region")
    extractor = collection.extractor
    vector = describe_query(collection, query)
    side_px = kept_side(extractor, min(PLACE_LAYOUT.scales))
    picture = Picture.keep(np.asarray(target), target.size, side_px)
    box = find_box(extractor, vector, picture)
    around = box.padded(CONTEXT, *target.size)
    crop = extractor.resize(picture.crop(around), crop_size(extractor))
    [activations] = activations_of(extractor.inference, [crop])
    window = to_boxes(
        [box.shifted(-around.x0, -around.y0)], around.x1 - around.x0, around.y1 - around.y0
    )
    cells, offset = attribute_to_cells(extractor, activations, window, vector)
    heat = spread(cells, around, target.size)
    return Localization(
        image=target,
        box=box,
        score=float(cosines(extractor.region_vectors(activations, window), vector)[0]),
        cells=cells,
        cell_box=around,
        offset=offset,
        heat=heat,
        mask=segment_object(target, box, heat),
    )


def find_box(extractor: FeatureExtractor, vector: FloatArray, target: Picture) -> Region:
    """Return the box of `target` that is most similar to the query.

    The best places on the maps of the whole picture are each zoomed in on; in the best of them the
    windows vote, and crops of other sizes and shapes refine the box.
    """
    regions = find_places(extractor, vector, target)
    zoomed = describe_zoomed(extractor, [target] * len(regions), regions)
    scores = [cosines(windows.vectors, vector) for windows in zoomed]
    best = max(range(len(zoomed)), key=lambda i: float(scores[i].max()))
    return refine_box(extractor, vector, target, vote_box(zoomed[best].regions, scores[best]))


def find_places(extractor: FeatureExtractor, vector: FloatArray, target: Picture) -> list[Region]:
    """Return the `PLACES` best windows of `target` that overlap little, best first."""
    regions: list[Region] = []
    scores: list[float] = []
    for share in PLACE_SIZES:
        size_px = round(extractor.spec.size_px * share)
        view = extractor.view(target.pixels, size_px, PLACE_LAYOUT)
        [vectors] = extractor.describe_views([view])
        regions += to_regions(extractor.receptive_fields(view), *target.size)
        scores += cosines(vectors, vector).tolist()
    chosen: list[Region] = []
    for i in np.argsort(-np.array(scores), kind="stable"):
        if all(regions[i].iou(other) < PLACE_IOU for other in chosen):
            chosen.append(regions[i])
        if len(chosen) == PLACES:
            break
    return chosen


def refine_box(
    extractor: FeatureExtractor, vector: FloatArray, target: Picture, box: Region
) -> Region:
    """Return the box round the object that `box` lies on, found by crops of the target.

    Its anchor boxes vote; then its sides are moved, in ever smaller steps, as long as the crop
    becomes more similar to the query.
    """

    def compare(boxes: list[Region]) -> FloatArray:
        size_px = crop_size(extractor)
        views = [extractor.view(target.crop(b), size_px) for b in boxes]
        return cosines(np.vstack(extractor.describe_views(views)), vector)

    anchors = anchor_boxes(box, *target.size)
    box = vote_box(anchors, compare(anchors))
    for step in STEPS:
        near = [box, *perturb(box, step, *target.size)]
        box = near[int(compare(near).argmax())]
    return box


def attribute_to_cells(
    extractor: FeatureExtractor, activations: Activations, box: Boxes, vector: FloatArray
) -> tuple[FloatArray, float]:
    """Split the score of a window (1, 4) among the cells of a map: ((h, w), offset), its parts.

    A pooled value is the cube root of a sum over cells, so each cell has its share of it; from
    there to the score, everything but the lengths of the vectors, which are known, is linear.
    """
    taps = extractor.spec.region_taps
    gradients, offset = extractor.attribute_score(
        {tap: pool_boxes(activations[tap], box)[0] for tap in taps}, vector
    )
    h, w = activations[taps[0]].shape[1:]
    total = np.zeros((h, w), np.float32)
    for tap in taps:
        maps = np.maximum(activations[tap], 0) ** 3
        rows, columns = maps.shape[1:]
        down, across = box_weights(box, rows, columns)
        shares = maps * np.outer(down[0], across[0])
        shares /= np.maximum(shares.sum(axis=(1, 2), keepdims=True), 1e-12)
        value = np.einsum("c,chw->hw", gradients[tap], shares)
        total += _resample(value, h, w)
    return total, offset


def _resample(cells: FloatArray, h: int, w: int) -> FloatArray:
    """Spread the cells of a coarser or finer map over h x w cells, keeping their sum."""
    rows = _shares(cells.shape[0], h)
    columns = _shares(cells.shape[1], w)
    spread_out: FloatArray = (rows.T @ cells @ columns).astype(np.float32)
    return spread_out


def _shares(source: int, target: int) -> FloatArray:
    """(source, target): how much of each source cell falls into each target cell; rows sum to 1."""
    edges = np.linspace(0, 1, target + 1)
    starts, ends = np.arange(source) / source, (np.arange(source) + 1) / source
    low = np.maximum(starts[:, None], edges[None, :-1])
    high = np.minimum(ends[:, None], edges[None, 1:])
    overlap: FloatArray = (np.maximum(high - low, 0) * source).astype(np.float32)
    return overlap


def spread(cells: FloatArray, around: Region, size: tuple[int, int]) -> FloatArray:
    """Return cells, which lie in `around`, as a smooth map (height, width) of the whole image."""
    heat = np.zeros((size[1], size[0]), np.float32)
    inside = (around.x1 - around.x0, around.y1 - around.y0)
    smooth = Image.fromarray(np.maximum(cells, 0)).resize(inside, Image.Resampling.BICUBIC)
    heat[around.y0 : around.y1, around.x0 : around.x1] = np.maximum(np.asarray(smooth), 0)
    return heat
