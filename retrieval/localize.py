"""Localisation: where in an image the query is, and which positions say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from indexer.errors import InvalidQueryError
from indexer.features.engine import Activations
from indexer.features.extractor import FeatureExtractor
from indexer.features.pooling import FloatArray
from indexer.features.regions import Region
from indexer.features.windows import Boxes, WindowLayout, coverage, pool_boxes, to_boxes, to_regions
from retrieval.picture import Picture
from retrieval.ranking import CONTEXT, close_size, examine, kept_side, reshaped, vote_box
from retrieval.segment import Mask, segment_object

if TYPE_CHECKING:
    from retrieval.engine import SearchEngine
    from retrieval.query import Query

PLACES = 6  # windows of the whole picture that are looked at closely
PLACE_IOU = 0.3
PLACE_SIZES = (1.0, 1.6)  # of the spec's input size: small things need the larger
STEPS = (0.25, 0.25, 0.12, 0.12)
MOVES = (
    *((-1, 0, 0, 0), (1, 0, 0, 0), (0, -1, 0, 0), (0, 1, 0, 0)),
    *((0, 0, -1, 0), (0, 0, 1, 0), (0, 0, 0, -1), (0, 0, 0, 1)),
    *((-1, 0, -1, 0), (1, 0, 1, 0), (0, -1, 0, -1), (0, 1, 0, 1)),
)
LEAST_SIDE_PX = 8
PLACE_LAYOUT = WindowLayout(scales=(0.7, 0.47, 0.31, 0.2), overlap=0.5)


@dataclass(frozen=True)
class Localization:
    """The match of a query in one image, all in pixels of its upright original.

    `heat` (height, width) holds the contributions of the positions to the score: with `offset`,
    which no position can be blamed for, the values of its cells add up to `score`, the cosine of
    the box and the query. `mask` (height, width) is the object.
    """

    image: Image.Image
    box: Region
    score: float
    cells: FloatArray
    cell_box: Region
    offset: float
    heat: FloatArray
    mask: Mask


def localize(search: SearchEngine, query: Query, target: Image.Image) -> Localization:
    """Find the query in `target`, an upright RGB image.

    Raises `InvalidQueryError` where the store's spec describes no regions.
    """
    extractor = search.extractor
    if extractor.spec.regions == "none":
        raise InvalidQueryError(
            "The store was built with --regions none: it cannot tell where a match is. Rebuild it "
            "with cbir index --rebuild --regions grid."
        )
    vector = search.query_vector(query)
    side_px = kept_side(extractor, min(PLACE_LAYOUT.scales))
    picture = Picture.keep(np.asarray(target), target.size, side_px)
    box = find_box(extractor, vector, picture)
    around = box.padded(CONTEXT, *target.size)
    crop = extractor.resize(picture.crop(around), close_size(extractor))
    [activations] = extractor.inference.run([crop])
    window = to_boxes(
        [box.shifted(-around.x0, -around.y0)], around.x1 - around.x0, around.y1 - around.y0
    )
    cells, offset = contributions(extractor, activations, window, vector)
    heat = spread(cells, around, target.size)
    return Localization(
        image=target,
        box=box,
        score=float(extractor.region_vectors(activations, window)[0] @ vector),
        cells=cells,
        cell_box=around,
        offset=offset,
        heat=heat,
        mask=segment_object(target, box, heat),
    )


def find_box(extractor: FeatureExtractor, vector: FloatArray, target: Picture) -> Region:
    """Return the box of `target` that is most like the query.

    The best places on the maps of the whole picture are each looked at closely; in the best of
    them the windows vote, and crops of other sizes and shapes settle the box.
    """
    regions = places(extractor, vector, target)
    looks = examine(extractor, [target] * len(regions), regions)
    scores = [look.vectors @ vector for look in looks]
    best = max(range(len(looks)), key=lambda i: float(scores[i].max()))
    return settle(extractor, vector, target, vote_box(looks[best].regions, scores[best]))


def places(extractor: FeatureExtractor, vector: FloatArray, target: Picture) -> list[Region]:
    """Return the `PLACES` best windows of `target` that overlap little, best first."""
    regions: list[Region] = []
    scores: list[float] = []
    for share in PLACE_SIZES:
        size_px = round(extractor.spec.size_px * share)
        view = extractor.view(target.pixels, size_px, PLACE_LAYOUT)
        [vectors] = extractor.describe_views([view])
        regions += to_regions(extractor.sight(view.boxes, view.shape), *target.size)
        scores += (vectors @ vector).tolist()
    chosen: list[Region] = []
    for i in np.argsort(-np.array(scores), kind="stable"):
        if all(regions[i].iou(other) < PLACE_IOU for other in chosen):
            chosen.append(regions[i])
        if len(chosen) == PLACES:
            break
    return chosen


def settle(extractor: FeatureExtractor, vector: FloatArray, target: Picture, box: Region) -> Region:
    """Return the box round the object that `box` lies on, found by crops of the target.

    The box's other sizes and shapes vote; then its sides are moved, in ever smaller steps, as long
    as the crop becomes more like the query.
    """

    def compare(boxes: list[Region]) -> FloatArray:
        size_px = close_size(extractor)
        vectors = extractor.describe_views([extractor.view(target.crop(b), size_px) for b in boxes])
        scores: FloatArray = np.vstack(vectors) @ vector
        return scores

    shapes = reshaped(box, *target.size)
    box = vote_box(shapes, compare(shapes))
    for step in STEPS:
        near = [box, *nudged(box, step, *target.size)]
        box = near[int(compare(near).argmax())]
    return box


def nudged(box: Region, step: float, width: int, height: int) -> list[Region]:
    """Return the box with each side moved in and out by `step` of its size, and itself moved."""
    dx, dy = step * (box.x1 - box.x0), step * (box.y1 - box.y0)
    boxes = []
    for x0, y0, x1, y1 in MOVES:
        left, top = max(0, round(box.x0 + x0 * dx)), max(0, round(box.y0 + y0 * dy))
        right = min(width, round(box.x1 + x1 * dx))
        bottom = min(height, round(box.y1 + y1 * dy))
        if right - left >= LEAST_SIDE_PX and bottom - top >= LEAST_SIDE_PX:
            boxes.append(Region(left, top, right, bottom))
    return boxes


def contributions(
    extractor: FeatureExtractor, activations: Activations, box: Boxes, vector: FloatArray
) -> tuple[FloatArray, float]:
    """Split the score of a window (1, 4) among the cells of a map: ((h, w), offset), its parts.

    A pooled value is the cube root of a sum over cells, so each cell has its share of it; from
    there to the score, everything but the lengths of the vectors, which are known, is linear.
    """
    taps = extractor.spec.region_taps
    gradients, offset = extractor.score_gradient(
        {tap: pool_boxes(activations[tap], box)[0] for tap in taps}, vector
    )
    h, w = activations[taps[0]].shape[1:]
    total = np.zeros((h, w), np.float32)
    for tap in taps:
        maps = np.maximum(activations[tap], 0) ** 3
        rows, columns = maps.shape[1:]
        weights = coverage(box, rows, columns)[0].reshape(rows, columns)
        shares = maps * weights
        shares /= np.maximum(shares.sum(axis=(1, 2), keepdims=True), 1e-12)
        value = np.tensordot(gradients[tap], shares, axes=(0, 0))  # (rows, columns)
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
