"""Tones: pixel values of any type and range, brought to 8 bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.arrays import BoolArray

Values = npt.NDArray[Any]
"""Pixel values (H, W) or (H, W, C) of any real type."""

SAMPLED = 1 << 20  # values that tell the range
TAILS = (0.2, 99.8)  # percentiles between which values are no outliers
AT_ONCE = 1 << 20  # values in double precision in memory
FAR = 1.5  # ranges from the lower end: values beyond are outliers, not highlights
LEAST_BITS = 8  # a dark picture of 8 bits stays as dark in 16


def to_8_bits(
    values: Values, valid: BoolArray | None = None, *, white_is_zero: bool = False
) -> npt.NDArray[np.uint8]:
    """Return values as uint8 of the same shape, scaled by what they hold.

    Values of at least 0 are scaled by the bits that they use, floats by the next power of two, and
    so is a single value; those far from 0 and those with negative ones are stretched over their
    range. The few values far outside it, such as hot pixels, do not count. `valid` (H, W) excludes
    pixels without data; values that are not finite have none. All channels are scaled alike.

    Raises `ValueError` for complex values.
    """
    if np.iscomplexobj(values):
        raise ValueError("complex values are not a picture")
    least, most = _range(_sample(values, valid))
    black, white = least, most if most > least else least + 1
    if least >= 0 and most > 0 and (least == most or least <= most - least):
        black, white = 0.0, _full_scale(most, values.dtype)
    tones = np.empty(values.shape, np.uint8)
    rows = max(1, AT_ONCE // max(1, values[:1].size))
    for start in range(0, len(values), rows):
        part = values[start : start + rows].astype(np.float64)
        inside = np.clip(np.nan_to_num(part, nan=least), least, most)
        tones[start : start + rows] = np.rint((inside - black) * (255 / (white - black)))
    return 255 - tones if white_is_zero else tones


def _sample(values: Values, valid: BoolArray | None) -> npt.NDArray[np.float64]:
    """Return some of the finite values, sorted."""
    chosen = values if valid is None or valid.all() else values[valid]
    flat = chosen.reshape(-1)
    step = max(1, len(flat) // SAMPLED)
    some = flat[::step].astype(np.float64)
    return np.sort(some[np.isfinite(some)])


def _range(ordered: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the least and the largest of values in order that are no outliers."""
    if not len(ordered):
        return 0.0, 1.0
    least, most = float(ordered[0]), float(ordered[-1])
    low, high = (float(v) for v in np.percentile(ordered, TAILS))
    if high <= low:  # a drawing on plain ground: few pixels are the picture
        return least, most
    span = high - low
    return (
        least if least >= high - FAR * span else low,
        most if most <= low + FAR * span else high,
    )


def _full_scale(most: float, kind: np.dtype[Any]) -> float:
    """Return the largest value of as many bits as a value uses."""
    if kind.kind in "iub":
        least = LEAST_BITS - 1 if kind == np.int8 else LEAST_BITS
        return 2.0 ** max(least, math.ceil(math.log2(most + 1))) - 1
    return float(2.0 ** math.ceil(math.log2(most)))
