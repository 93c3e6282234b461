"""Localisation: where in an image the query is, and which positions say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from indexer.errors import InvalidQueryError
from indexer.features.extractor import FeatureExtractor
from indexer.features.pooling import FloatArray
from indexer.features.regions import Region
from indexer.features.windows import Boxes, coverage, pool_boxes, to_regions
from retrieval.ranking import Look, examine
from retrieval.segment import Mask, segment_object

if TYPE_CHECKING:
    from retrieval.engine import SearchEngine
    from retrieval.query import Query


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
    if not extractor.spec.region_taps:
        raise InvalidQueryError(
            "The store was built with --regions none: it cannot tell where a match is. Rebuild it "
            "with cbir index --rebuild --regions grid."
        )
    vector = search.query_vector(query)
    region = coarse_box(extractor, vector, target)
    look = examine(extractor, [target], [region])[0]
    best = int((look.vectors @ vector).argmax())
    cells, offset = contributions(extractor, look, best, vector)
    heat = spread(cells, look.around, target.size)
    box = look.regions[best]
    return Localization(
        image=target,
        box=box,
        score=float(look.vectors[best] @ vector),
        cells=cells,
        cell_box=look.around,
        offset=offset,
        heat=heat,
        mask=segment_object(target, box, heat),
    )


def coarse_box(extractor: FeatureExtractor, vector: FloatArray, target: Image.Image) -> Region:
    """Return the grid window of `target` that is most like the query."""
    pixels = extractor.resize(target, extractor.spec.size_px)
    boxes = extractor.spec.layout.boxes(pixels.shape[1], pixels.shape[0])
    vectors = extractor.describe_windows([target], [boxes], extractor.spec.size_px)[0]
    return to_regions(boxes, *target.size)[int((vectors @ vector).argmax())]


def contributions(
    extractor: FeatureExtractor, look: Look, best: int, vector: FloatArray
) -> tuple[FloatArray, float]:
    """Split the score of a window among the cells of the map: ((h, w), offset), summing to it.

    A pooled value is the cube root of a sum over cells, so each cell has its share of it; from
    there to the score, everything but the lengths of the vectors, which are known, is linear.
    """
    taps = extractor.spec.region_taps
    box: Boxes = look.boxes[best : best + 1]
    gradients, offset = extractor.score_gradient(
        {tap: pool_boxes(look.activations[tap], box)[0] for tap in taps}, vector
    )
    h, w = look.activations[taps[0]].shape[1:]
    total = np.zeros((h, w), np.float32)
    for tap in taps:
        maps = np.maximum(look.activations[tap], 0) ** 3
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
