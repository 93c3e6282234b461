"""Block means: a picture brought down by averaging, of which only a part is there at a time."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from indexer.arrays import BoolArray
from indexer.images.tones import Values

SHORT = 2  # bytes of whole numbers whose sums 32-bit floats tell apart well enough


class BlockMeans:
    """Averages blocks of `factor` × `factor` pixels of a picture (H, W, C) given piece by piece.

    Pieces come in the order of their first rows. Values that are not finite, and pixels that equal
    `no_data`, do not count; a block without any that does has `no_data`, or NaN, or 0 where neither
    is possible. There are at most four channels.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        dtype: npt.DTypeLike,
        factor: int,
        no_data: float | None = None,
    ) -> None:
        height, width, channels = shape
        rows, columns = -(-height // factor), -(-width // factor)
        self.factor = factor
        self._dtype = np.dtype(dtype)
        self._is_float = self._dtype.kind == "f"
        self._no_data = no_data if _fits(no_data, self._dtype) else None
        empty = self._no_data
        if empty is None:
            empty = np.nan if self._is_float else 0
        self._means = np.full((rows, columns, channels), empty, self._dtype)
        self._top = 0  # the row of blocks with which the sums begin
        self._sums = np.zeros((0, columns, channels))
        self._counts = np.zeros((0, columns))

    def add(self, values: Values, y: int, x: int) -> None:
        """Take a piece (h, w, C) whose upper left pixel is at (`y`, `x`)."""
        height, width = values.shape[:2]
        if self.factor == 1:
            self._means[y : y + height, x : x + width] = values
            return
        top, left = y // self.factor, x // self.factor
        self._finish_rows(top)
        self._reach((y + height - 1) // self.factor + 1)
        valid = self._valid(values)
        counts: Values
        if valid is not None:
            values = np.where(valid[:, :, None], values, 0)
            counts = self._sum_blocks(valid[:, :, None], y, x)[:, :, 0]
        else:
            counts = np.outer(_lengths(y, height, self.factor), _lengths(x, width, self.factor))
        rows = slice(top - self._top, top - self._top + counts.shape[0])
        columns = slice(left, left + counts.shape[1])
        self._sums[rows, columns] += self._sum_blocks(values, y, x)
        self._counts[rows, columns] += counts

    def finish(self) -> Values:
        """Return the means (h, w, C), of the type of the values."""
        self._finish_rows(len(self._means))
        return self._means

    def _valid(self, values: Values) -> BoolArray | None:
        """Return which pixels (h, w) count, None where all do."""
        valid = np.ones(values.shape[:2], bool)
        if self._is_float:
            valid &= np.isfinite(values).all(axis=2)
        if self._no_data is not None:
            valid &= (values != self._no_data).any(axis=2)
        return None if valid.all() else valid

    def _sum_blocks(self, values: Values, y: int, x: int) -> npt.NDArray[np.float64]:
        """Return the sums (h, w, C) of what a piece at (`y`, `x`) has of each block."""
        factor = self.factor
        is_short = values.dtype.kind in "iub" and values.dtype.itemsize <= SHORT
        floats: npt.NDArray[np.floating[Any]]
        floats = values.astype(np.float32 if is_short else np.float64)
        height, width = values.shape[:2]
        above, before = y % factor, x % factor
        below, after = -(above + height) % factor, -(before + width) % factor
        if above or below or before or after:
            floats = np.pad(floats, ((above, below), (before, after), (0, 0)))
        columns, rows = floats.shape[1] // factor, floats.shape[0] // factor
        means = cv2.resize(floats, (columns, rows), interpolation=cv2.INTER_AREA)
        sums = np.asarray(means, np.float64) * factor**2
        return sums.reshape(rows, columns, values.shape[2])

    def _reach(self, bottom: int) -> None:
        """Make room for the sums of the rows of blocks above `bottom`."""
        missing = bottom - self._top - len(self._sums)
        if missing > 0:
            self._sums = np.pad(self._sums, ((0, missing), (0, 0), (0, 0)))
            self._counts = np.pad(self._counts, ((0, missing), (0, 0)))

    def _finish_rows(self, top: int) -> None:
        """Bring the sums of the rows of blocks above `top` to their means."""
        done = min(top - self._top, len(self._sums))
        if done > 0:
            counts = self._counts[:done]
            has_data = counts > 0
            means = self._sums[:done] / np.maximum(counts, 1)[:, :, None]
            if not self._is_float:
                means = np.rint(means)
            finished = self._means[self._top : self._top + done]
            finished[has_data] = means[has_data].astype(self._dtype)
            self._sums, self._counts = self._sums[done:], self._counts[done:]
        self._top = max(self._top, top)


def _fits(value: float | None, dtype: np.dtype[Any]) -> bool:
    """Whether a value can be told from others in an array of a type."""
    if value is None or not np.isfinite(value):
        return False
    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype)
    return value.is_integer() and limits.min <= value <= limits.max


def _lengths(first: int, count: int, factor: int) -> Values:
    """Return how many of `count` pixels, the first of which is number `first`, each block has."""
    inside = np.arange(first // factor, (first + count - 1) // factor + 2) * factor
    return np.asarray(np.diff(np.clip(inside, first, first + count)))
