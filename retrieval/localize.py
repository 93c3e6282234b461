"""Localisation: where in an image the query is, what proves it, and which positions say so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from indexer.arrays import Boxes, FloatArray, Pixels, cosines
from indexer.features.engines.protocols import Activations, activations_of
from indexer.features.extractor import FeatureExtractor
from indexer.features.local import SIDE_PX, find_local_features
from indexer.features.pooling import box_weights, pool_boxes
from indexer.features.regions import Region
from indexer.features.windows import WindowLayout, to_boxes, to_regions
from indexer.memory import trim
from retrieval.boxes import anchor_boxes, perturb, vote_box
from retrieval.collection import Collection
from retrieval.describe import describe_query
from retrieval.geometry import GeometricMatch, QueryKeypoints, shift_match
from retrieval.picture import Picture
from retrieval.query import Quad, Query
from retrieval.query_image import load_crop
from retrieval.segment import Mask, fill_quad, segment_object
from retrieval.zoom import CONTEXT, crop_size, describe_zoomed, kept_side

SURROUNDINGS = 0.3  # in which keypoints are looked for again, as a share of the box
PLACES = 6  # windows of the whole picture that are zoomed in on
PLACE_IOU = 0.3
PLACE_SIZES = (1.0, 1.6)  # of the spec's input size: small things need the larger
STEPS = (0.25, 0.25, 0.12, 0.12)  # by which the sides of the box are moved
PLACE_LAYOUT = WindowLayout(scales=(0.7, 0.47, 0.31, 0.2), overlap=0.5)


@dataclass(frozen=True)
class Localization:
    """The match of a query in one image, all in pixels of the upright `image` that was looked in.

    `quad` is the query's outline where geometry proves that the image shows it, and `match` the
    correspondences that were found, None without any; its `points` are in pixels of `query`, the
    query's image or its box. `heat` (height, width) attributes the score to positions: with
    `offset`, which belongs to none, the values of its `cells` add up to `score`, the cosine of the
    box and the query. `mask` (height, width) is the object: what lies in the quad, or else what the
    heat and the picture's edges suggest.
    """

    image: Image.Image
    query: Image.Image
    box: Region
    quad: Quad | None
    match: GeometricMatch | None
    score: float
    cells: FloatArray
    cell_box: Region
    offset: float
    heat: FloatArray
    mask: Mask

    @property
    def proof(self) -> GeometricMatch | None:
        """The correspondences, where they prove the match."""
        return self.match if self.match and self.match.is_proof else None

    def place_in(self, size: tuple[int, int]) -> tuple[Region, Quad | None]:
        """Return box and quad in pixels of an original of `size`, where `image` is smaller."""
        x, y = size[0] / self.image.width, size[1] / self.image.height
        quad = self.quad and tuple((px * x, py * y) for px, py in self.quad)
        return self.box.scaled(self.image.size, size), quad


def localize(
    collection: Collection,
    query: Query,
    target: Image.Image,
    *,
    box: Region | None = None,
    quad: Quad | None = None,
) -> Localization:
    """Find the query in `target`, an upright RGB image.

    With `query.verify` geometry is asked first; where it proves nothing, the box is the one most
    similar to the query. `box` and `quad` say where the match is, if that is known already.

    Raises `StoreError` where the store describes no regions, and what `SearchEngine.search` does.
    """
    found = collection.at_last_commit(lambda now: _localize(now, query, target, box, quad))
    trim()
    return found


def _localize(
    collection: Collection,
    query: Query,
    target: Image.Image,
    box: Region | None,
    quad: Quad | None,
) -> Localization:
    collection.store.find_kind("conv", "region")
    extractor = collection.extractor
    vector = describe_query(collection, query)
    asked = load_crop(collection, query, SIDE_PX)
    side_px = kept_side(extractor, min(PLACE_LAYOUT.scales))
    picture = Picture.keep(np.asarray(target), target.size, side_px)
    match = None
    if box is None:
        box, match = _find(extractor, query, vector, asked, picture, np.asarray(target))
        quad = match.quad if match and match.is_proof else None
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
        query=Image.fromarray(asked),
        box=box,
        quad=quad,
        match=match,
        score=float(cosines(extractor.region_vectors(activations, window), vector)[0]),
        cells=cells,
        cell_box=around,
        offset=offset,
        heat=heat,
        mask=fill_quad(quad, target.size) if quad else segment_object(target, box, heat),
    )


def _find(
    extractor: FeatureExtractor,
    query: Query,
    vector: FloatArray,
    asked: Pixels,
    picture: Picture,
    pixels: Pixels,
) -> tuple[Region, GeometricMatch | None]:
    """Return the box of the query in an image of `pixels`, and its correspondences, if any."""
    if not query.verify:
        return find_box(extractor, vector, picture), None
    keypoints = QueryKeypoints.of(asked, is_picture=query.box is None)
    match = keypoints.find_match(find_local_features(pixels))
    if match is None or not match.is_proof:
        box = find_box(extractor, vector, picture)
        around = box.padded(SURROUNDINGS, *picture.size)
        crop = pixels[around.y0 : around.y1, around.x0 : around.x1]
        nearer = keypoints.find_match(find_local_features(crop))
        if nearer is None or not nearer.is_proof:
            return box, match
        match = shift_match(nearer, around.x0, around.y0)
    return match.box_in(*picture.size) or find_box(extractor, vector, picture), match


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
