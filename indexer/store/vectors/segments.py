"""Segments: vectors that were committed together, in files that are read by memory map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from indexer.arrays import BoolArray, FloatArray, HalfArray, IdArray
from indexer.store.vectors.checked import CheckedRows

CACHED_VALUES = 1 << 16  # converted at a time
SIGN_AND_REST = np.int32(-0x70002000)  # the bits of a half in a float: 0x8fffe000
SCALE = np.float32(2.0**112)
APART_ROWS = 64  # read at a time where each brings in pages of its own
CHUNK_ROWS = 16_384  # rows brought to float32 at a time, so that memory stays flat


@dataclass(frozen=True)
class Segment:
    """Vectors that were written together.

    `ids` (N,) int64, `image_ids` (N,) int64, the image that each belongs to, ascending, and
    `vectors` (N, D) float16. For vectors of whole images both ids are the same.
    """

    ids: CheckedRows
    image_ids: CheckedRows
    vectors: CheckedRows

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: IdArray) -> FloatArray:
        """Return the vectors (len(rows), D) float32 of these rows, in their order."""
        return to_float32(self.vectors.take(rows))


class Rows:
    """The vectors of several segments as one table of rows, numbered from 0; nothing is loaded."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = list(segments)
        self._starts = np.cumsum([0, *(len(s) for s in self.segments)])

    def __len__(self) -> int:
        """Return how many rows there are, those of removed images included."""
        return int(self._starts[-1])

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return int(self.segments[0].vectors.shape[1])

    @cached_property
    def image_ids(self) -> IdArray:
        """The image (N,) that each row belongs to; ids ascend, as commits give them."""
        return _joined([segment.image_ids.all() for segment in self.segments])

    def ids_of(self, rows: IdArray) -> IdArray:
        """Return the ids of these rows; like the next one, it reads no more than it has to."""
        return self._look_up(rows, lambda segment, own: segment.ids.take(own))

    def images_of(self, rows: IdArray) -> IdArray:
        """Return the images that these rows belong to."""
        return self._look_up(rows, lambda segment, own: segment.image_ids.take(own))

    def span_of_image(self, image_id: int) -> tuple[int, int]:
        """Return the half-open range of the rows of an image."""
        start, stop = np.searchsorted(self.image_ids, [image_id, image_id + 1])
        return int(start), int(stop)

    def take(self, rows: IdArray) -> FloatArray:
        """Return the vectors (len(rows), D) float32 of these rows, in their order."""
        if len(self.segments) == 1:
            return self.segments[0].take(rows)
        taken = np.empty((len(rows), self.dimension), np.float32)
        for segment, here, own in self._by_segment(rows):
            taken[here] = segment.take(own)
        return taken

    def _look_up(self, rows: IdArray, look: Callable[[Segment, IdArray], IdArray]) -> IdArray:
        """Return what `look` finds for rows, which it is given as their segment counts them."""
        if len(self.segments) == 1:
            return look(self.segments[0], rows)
        found = np.empty(len(rows), np.int64)
        for segment, here, own in self._by_segment(rows):
            found[here] = look(segment, own)
        return found

    def _by_segment(self, rows: IdArray) -> Iterator[tuple[Segment, BoolArray, IdArray]]:
        """Yield segments, which of the rows (N,) lie in each, and how it counts them itself."""
        homes = np.searchsorted(self._starts, rows, side="right") - 1
        for home in np.unique(homes).tolist():
            here = homes == home
            yield self.segments[home], here, rows[here] - self._starts[home]

    def take_scattered(self, rows: IdArray) -> FloatArray:
        """Do what `take` does for many scattered rows, without keeping their pages in memory."""
        taken = np.empty((len(rows), self.dimension), np.float32)
        for start in range(0, len(rows), APART_ROWS):
            taken[start : start + APART_ROWS] = self.take(rows[start : start + APART_ROWS])
            self.let_go()
        return taken

    def chunks(self, skipped: int = 0) -> Iterator[tuple[int, FloatArray]]:
        """Yield (first row, vectors float32), of all rows but the first `skipped`."""
        for first, segment in zip(self._starts.tolist(), self.segments, strict=False):
            for start in range(max(0, skipped - first), len(segment), CHUNK_ROWS):
                stop = start + CHUNK_ROWS
                yield first + start, to_float32(segment.vectors.span(start, stop))
                segment.vectors.let_go()

    def let_go(self) -> None:
        """Drop the pages of all segments from this process, see `CheckedRows`."""
        for segment in self.segments:
            segment.vectors.let_go()


def _joined(parts: Sequence[IdArray]) -> IdArray:
    """Return the parts as one array; a single one is not read."""
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])


def to_float32(half: HalfArray) -> FloatArray:
    """Convert finite rows (N, D) to float32: `astype` does the same in two to four times the time.

    The bits of a half, moved to where a float has them, are its value times 2**-112.
    """
    widened = np.empty(half.shape, np.float32)
    bits = widened.view(np.int32)
    rows = max(1, CACHED_VALUES // half.shape[1])
    for start in range(0, len(half), rows):
        part = bits[start : start + rows]
        np.left_shift(half[start : start + rows].view(np.int16), 13, out=part, dtype=np.int32)
        part &= SIGN_AND_REST
        widened[start : start + rows] *= SCALE
    return widened
