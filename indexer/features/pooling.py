"""Pooling a conv map into vectors: SPoC, MAC, GeM and R-MAC of all of it, and GeM of boxes in it.

The functions take a map (C, h, w) float32 and return float32, not normalised. None of them uses
BLAS, whose results depend on the number of its threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from indexer.arrays import Boxes, FloatArray, IdArray, row_lengths
from indexer.choices import Pooling

RMAC_LEVELS = 3
RMAC_OVERLAP = 0.4


def spoc(maps: FloatArray) -> FloatArray:
    """Average pooling; Babenko and Lempitsky 2015, without the centre prior."""
    pooled: FloatArray = maps.mean(axis=(1, 2), dtype=np.float32)
    return pooled


def mac(maps: FloatArray) -> FloatArray:
    """Maximum activations of convolutions; Tolias, Sicre and Jégou 2016, eq. 2."""
    pooled: FloatArray = maps.max(axis=(1, 2))
    return pooled


def gem(maps: FloatArray, p: float = 3.0) -> FloatArray:
    """Generalised mean of the positive part; Radenović, Tolias and Chum 2018, eq. 3."""
    positive = np.maximum(maps, 1e-6).astype(np.float64)
    highest = positive.max(axis=(1, 2), keepdims=True)  # so that no power overflows
    pooled: FloatArray = (
        ((positive / highest) ** p).mean(axis=(1, 2)) ** (1 / p) * highest[:, 0, 0]
    ).astype(np.float32)
    return pooled


def cube_root(values: FloatArray) -> FloatArray:
    """Return the cube roots of non-negative values, to a relative error of 1e-5.

    NumPy vectorises `log` and `exp`, but not `cbrt`, which takes three times as long.
    """
    with np.errstate(divide="ignore"):
        roots: FloatArray = np.log(values)
    roots *= np.float32(1 / 3)
    return np.exp(roots, out=roots)


def rmac(maps: FloatArray) -> FloatArray:
    """Sum of the L2-normalised MAC vectors of square windows; Tolias et al. 2016, section 3.2.

    The per-window PCA whitening of the paper is left out: whitening is a stage of its own here.
    """
    channels, h, w = maps.shape
    cells = _channels_last(maps)
    bands: dict[tuple[int, int], FloatArray] = {}  # (w, channels): maxima over rows
    windows = rmac_windows(w, h)
    vectors = np.empty((len(windows), channels), np.float32)
    for vector, (x0, y0, x1, y1) in zip(vectors, windows, strict=True):
        if (y0, y1) not in bands:
            bands[y0, y1] = np.maximum.reduce(cells[y0:y1])
        np.maximum.reduce(bands[y0, y1][x0:x1], out=vector)
    vectors /= np.maximum(row_lengths(vectors), 1e-12)[:, None]
    total: FloatArray = vectors.sum(axis=0)
    return total


@lru_cache(maxsize=1024)
def rmac_windows(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Return the windows of R-MAC on a `width` x `height` map as half-open cell boxes.

    At level l = 1..3 the windows have side 2 min(w, h) / (l + 1) and stand uniformly; there are
    l of them along the short side and l + m along the long one, with m chosen so that neighbours
    at level 1 overlap by as near 40 % as can be.
    """
    short, long = min(width, height), max(width, height)
    extra = 0
    if long > short:
        # Overlap at level 1, where the side is `short`, for m + 1 windows along `long`.
        overlaps = {m: 1 - (long - short) / m / short for m in range(1, max(7, long // short + 2))}
        extra = min(overlaps, key=lambda m: abs(overlaps[m] - RMAC_OVERLAP))
    windows = []
    for level in range(1, RMAC_LEVELS + 1):
        side = max(1, 2 * short // (level + 1))
        xs = _starts(width, side, level + (extra if width > height else 0))
        ys = _starts(height, side, level + (extra if height > width else 0))
        windows += [(x, y, x + side, y + side) for y in ys for x in xs]
    return list(dict.fromkeys(windows))


def _starts(length: int, side: int, count: int) -> list[int]:
    return [int(start) for start in np.linspace(0, length - side, count)]


def pool(maps: FloatArray, pooling: Pooling, gem_p: float) -> FloatArray:
    """Pool `maps` (C, h, w) to (C,) by the method called `pooling`."""
    if pooling == "gem":
        return gem(maps, gem_p)
    return POOLINGS[pooling](maps)


POOLINGS: dict[Pooling, Callable[[FloatArray], FloatArray]] = {
    "spoc": spoc,
    "mac": mac,
    "gem": gem,
    "rmac": rmac,
}


def pool_boxes(maps: FloatArray, boxes: Boxes) -> FloatArray:
    """Return the generalised mean, p = 3, of a map (C, h, w) in every box (N, 4): (N, C).

    Cells that a box covers in part count by the part. Boxes are rectangles, so a mean is taken
    first over the rows and then over the columns; boxes of the same rows share the first.
    """
    channels, h, w = maps.shape
    cells = np.maximum(_channels_last(maps), 0)
    cubes = (cells * cells * cells).reshape(h, w * channels)
    means = np.empty((len(boxes), channels), np.float32)
    for bands in _bands(np.asarray(boxes, np.float32).tobytes(), h, w):
        rows = np.einsum("bh,hk->bk", bands.row_weights, cubes[bands.rows])
        rows = rows.reshape(-1, w, channels)
        means[bands.members] = np.einsum("nw,bwc->bnc", bands.column_weights, rows)
    return cube_root(means)


@dataclass(frozen=True)
class _Bands:
    """Boxes that form a grid: B bands of rows, each with boxes in the same N ranges of columns.

    `row_weights` (B, rows) are those of the rows in `rows`, `column_weights` (N, w) those of the
    columns, and `members` (B, N) the boxes.
    """

    rows: slice
    row_weights: FloatArray
    members: IdArray
    column_weights: FloatArray


@lru_cache(maxsize=256)
def _bands(box_bytes: bytes, h: int, w: int) -> list[_Bands]:
    """Group boxes (N, 4) float32 by the rows of an h x w map, and these by the columns."""
    boxes: Boxes = np.frombuffer(box_bytes, np.float32).reshape(-1, 4)
    row_weights, column_weights = box_weights(boxes, h, w)
    bands: dict[bytes, list[int]] = {}
    for i, weights in enumerate(row_weights):
        bands.setdefault(weights.tobytes(), []).append(i)
    grids: dict[bytes, list[list[int]]] = {}
    for members in bands.values():
        grids.setdefault(column_weights[members].tobytes(), []).append(members)
    return [_grid(np.array(grid, np.int64), row_weights, column_weights) for grid in grids.values()]


def _grid(members: IdArray, row_weights: FloatArray, column_weights: FloatArray) -> _Bands:
    """Return the bands of boxes (B, N) that share their columns."""
    weights = row_weights[members[:, 0]]
    rows = np.flatnonzero(weights.any(axis=0))
    covered = slice(int(rows[0]), int(rows[-1]) + 1)
    return _Bands(covered, weights[:, covered], members, column_weights[members[0]])


def box_weights(boxes: Boxes, h: int, w: int) -> tuple[FloatArray, FloatArray]:
    """Return the share of each box (N, 4) in each row (N, h) and each column (N, w) of a map.

    Each row of the results sums to 1; the weight of a cell is the product of its two shares.
    """
    return _shares(boxes[:, 1], boxes[:, 3], h), _shares(boxes[:, 0], boxes[:, 2], w)


def _shares(low: FloatArray, high: FloatArray, cells: int) -> FloatArray:
    edges = np.arange(cells + 1) / cells
    starts = np.maximum(low[:, None].astype(np.float64), edges[:-1])
    ends = np.minimum(high[:, None].astype(np.float64), edges[1:])
    shared: npt.NDArray[np.float64] = ends - starts
    # Edges in float32 overlap the next cell by 1e-7, which a cube root would make visible.
    shared[shared < 1e-6] = 0
    empty = shared.sum(axis=1) == 0
    shared[empty, np.minimum((low[empty] * cells).astype(int), cells - 1)] = 1
    shares: FloatArray = (shared / shared.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _channels_last(maps: FloatArray) -> FloatArray:
    """Return a map (C, h, w) as (h, w, C); OpenCV transposes several times as fast as NumPy.

    Maps of the torch engine lie in memory like that already.
    """
    turned = maps.transpose(1, 2, 0)
    if turned.flags.c_contiguous and turned.dtype == np.float32:
        return turned
    channels, h, w = maps.shape
    flat = np.ascontiguousarray(maps, np.float32).reshape(channels, h * w)
    cells: FloatArray = np.asarray(cv2.transpose(flat), np.float32).reshape(h, w, channels)
    return cells
