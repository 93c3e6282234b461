"""Pooling a conv map into a vector: SPoC, MAC, GeM and R-MAC.

Every function takes a map (C, h, w) float32 and returns (C,) float32, not normalised.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Pooling = Literal["spoc", "mac", "gem", "rmac"]

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
    """Return the cube roots of values that are not negative, to a hundred-thousandth of each.

    NumPy takes logarithms and exponentials of several values at a time, and `cbrt` of one.
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
    # Channels last: maxima run along them. OpenCV turns an array several times as fast as numpy.
    cells = cv2.transpose(maps.reshape(channels, h * w)).reshape(h, w, channels)
    bands: dict[tuple[int, int], FloatArray] = {}  # (w, channels): maxima over rows
    windows = rmac_windows(w, h)
    vectors = np.empty((len(windows), channels), np.float32)
    for vector, (x0, y0, x1, y1) in zip(vectors, windows, strict=True):
        if (y0, y1) not in bands:
            bands[y0, y1] = np.maximum.reduce(cells[y0:y1])
        np.maximum.reduce(bands[y0, y1][x0:x1], out=vector)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    total: FloatArray = (1 / np.maximum(lengths, 1e-12)) @ vectors
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
