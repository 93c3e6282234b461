"""Tones: pixel values of any type and range, brought to 8 bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.arrays import BoolArray

Values = npt.NDArray[Any]
"""Pixel values (H, W) or (H, W, C) of any real type."""

SAMPLED = 1 << 20  # values that tell the range
TAILS = (0.2, 99.8)  # percentiles between which values are no outliers
AT_ONCE = 1 << 20  # values in double precision in memory: 8 MB a worker
SHORT = 2  # bytes of whole numbers of which there are few enough for a table of their tones
TABLE = 1 << 16  # values from which making it takes less time than it saves
FAR = 1.5  # ranges from the lower end: values beyond are outliers, not highlights
LONELY = 3.0  # ranges of all others that a value which stands for something else lies away
LONELY_NEGATIVE = 1.0  # where it is the only one below zero
FEW_TONES = 16  # steps that drawings have at most
OVERSHOOT = 1.05  # by which sharpening and resizing exceed the largest value: it is not doubled
FEW = 0.01  # the share of values of which that is so
LEAST_BITS = 8  # a dark picture of 8 bits stays as dark in 16


def row_slices(values: Values) -> Iterator[slice]:
    """Yield the rows of values a few at a time: copies of those take little memory."""
    rows = max(1, AT_ONCE // max(1, values[:1].size))
    for start in range(0, len(values), rows):
        yield slice(start, start + rows)


def map_rows(
    values: Values, convert: Callable[[Values], Values], dtype: np.dtype[Any] | type = np.uint8
) -> Values:
    """Return what `convert` makes of values, a few rows at a time, in one array of their shape."""
    result = np.empty(values.shape, dtype)
    for rows in row_slices(values):
        result[rows] = convert(values[rows])
    return result


def to_8_bits(
    values: Values, valid: BoolArray | None = None, *, white_is_zero: bool = False
) -> npt.NDArray[np.uint8]:
    """Return values as uint8 of the same shape, scaled by what they hold.

    Values of at least 0 are scaled by the bits that they use, floats by the next power of two, and
    so is a single value; those far from 0 and those with negative ones are stretched over their
    range. The few values far outside it, such as hot pixels, do not count, nor does one that many
    pixels have in place of data. `valid` (H, W) excludes pixels without data; values that are not
    finite have none. All channels are scaled alike.

    Raises `ValueError` for complex values.
    """
    if np.iscomplexobj(values):
        raise ValueError("complex values are not a picture")
    sample = _sample(values, valid)
    least, most = _range(sample)
    black, white = least, most if most > least else least + 1
    if least >= 0 and most > 0 and (least == most or least <= most - least):
        black, white = 0.0, _full_scale(most, values.dtype, sample)

    brightest = min(most, white)

    def tone(part: Values) -> npt.NDArray[np.uint8]:
        inside = np.clip(np.nan_to_num(part.astype(np.float64), nan=least), least, brightest)
        tones = np.rint((inside - black) * (255 / (white - black))).astype(np.uint8)
        return 255 - tones if white_is_zero else tones

    return _by_value(values, tone)


def _by_value(
    values: Values, tone: Callable[[Values], npt.NDArray[np.uint8]]
) -> npt.NDArray[np.uint8]:
    """Return the tone of each value; short whole numbers are looked up in a table of all tones."""
    tones = np.empty(values.shape, np.uint8)
    is_short = values.dtype.kind in "iu" and values.dtype.itemsize <= SHORT
    if is_short and values.size > TABLE:
        native = values.dtype.newbyteorder("=")
        unsigned = np.dtype(f"u{native.itemsize}")
        limits = np.iinfo(native)
        ordered = np.arange(limits.min, limits.max + 1).astype(native)
        table = np.empty(len(ordered), np.uint8)
        table[ordered.view(unsigned)] = tone(ordered)
        for rows in row_slices(values):
            tones[rows] = table[values[rows].astype(native).view(unsigned)]
        return tones
    for rows in row_slices(values):
        tones[rows] = tone(values[rows])
    return tones


def _sample(values: Values, valid: BoolArray | None) -> npt.NDArray[np.float64]:
    """Return some of the finite values, sorted: every n-th of those that are valid."""
    count = values.size
    if valid is not None:
        count = int(np.count_nonzero(valid)) * math.prod(values.shape[2:])
    step = max(1, count // SAMPLED)
    some = []
    seen = 0
    for rows in row_slices(values):
        part = (values[rows] if valid is None else values[rows][valid[rows]]).reshape(-1)
        some.append(part[-seen % step :: step].astype(np.float64))
        seen += len(part)
    sample = np.concatenate(some) if some else np.zeros(0)
    return np.sort(sample[np.isfinite(sample)])


def _range(ordered: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the least and the largest of values in order that are no outliers."""
    if not len(ordered):
        return 0.0, 1.0
    ordered = _without_fill(ordered)
    least, most = float(ordered[0]), float(ordered[-1])
    low, high = (float(v) for v in np.percentile(ordered, TAILS))
    if high <= low:  # a drawing on plain ground: few pixels are the picture
        return least, most
    span = high - low
    return (
        least if least >= high - FAR * span else low,
        most if most <= low + FAR * span else high,
    )


def _without_fill(ordered: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return values in order without one at either end that lies far from all others.

    Undeclared, it stands for no data, or for more than could be measured.
    """
    below = ordered[: np.searchsorted(ordered, ordered[-1], "left")]
    if _shows_much(below) and ordered[-1] - below[-1] > LONELY * (below[-1] - below[0]):
        ordered = below
    above = ordered[np.searchsorted(ordered, ordered[0], "right") :]
    if _shows_much(above):
        far = LONELY_NEGATIVE if ordered[0] < 0 <= above[0] else LONELY
        if above[0] - ordered[0] > far * (above[-1] - above[0]):
            ordered = above
    return ordered


def _shows_much(ordered: npt.NDArray[np.float64]) -> bool:
    """Whether values are more than a drawing on plain ground has."""
    return bool(np.count_nonzero(np.diff(ordered)) >= FEW_TONES)


def _full_scale(most: float, kind: np.dtype[Any], ordered: npt.NDArray[np.float64]) -> float:
    """Return the largest value of as many bits as values in order use, the largest of them `most`.

    Of the next fewer bits where hardly any value is larger, and only a little.
    """
    fewer = _largest_of_bits(most / OVERSHOOT, kind)
    exceeding = len(ordered) - np.searchsorted(ordered, fewer, "right")
    if exceeding <= FEW * len(ordered):
        return fewer
    return _largest_of_bits(most, kind)


def _largest_of_bits(most: float, kind: np.dtype[Any]) -> float:
    """Return the largest value of as many bits as a value uses."""
    if kind.kind in "iub":
        least = LEAST_BITS - 1 if kind == np.int8 else LEAST_BITS
        return 2.0 ** max(least, math.ceil(math.log2(most + 1))) - 1
    return float(2.0 ** math.ceil(math.log2(most)))
