"""RowBitmap: which rows of a table of vectors may be found, a bit for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.arrays import BoolArray, IdArray
from indexer.image_set import ImageSet
from indexer.store.vectors.segments import Segment

MARKED_ROWS = 1 << 20  # at a time, so that memory stays flat
# A table of ids is looked up where it has at most so many entries for each row that is asked about.
TABLE_SHARE = 8


@dataclass(frozen=True)
class RowBitmap:
    """The rows of segments, one after the other, that may be found.

    `bits` (N / 8,) uint8 begin with the lowest bit, as those of FAISS do; `counts` says how many
    rows of each segment may be found.
    """

    bits: npt.NDArray[np.uint8]
    counts: tuple[int, ...]

    @classmethod
    def of(
        cls, segments: Sequence[Segment], allowed: ImageSet | None, removed: IdArray
    ) -> RowBitmap:
        """Return the rows of the allowed images, of all where it is None, but for removed ones."""
        hides = allowed is None  # then the bits are those of all rows but the removed ones
        ids = np.unique(removed) if allowed is None else allowed.without(removed)
        bits = np.zeros(-(-sum(map(len, segments)) // 8), np.uint8)
        counts, first = [], 0
        for segment in segments:
            count = 0
            for start in range(0, len(segment), MARKED_ROWS):
                owners = segment.image_ids.span(start, start + MARKED_ROWS)
                kept = _owned_by(owners, ids) != hides
                _set_bits(bits, first + start, kept)
                count += int(np.count_nonzero(kept))
            counts.append(count)
            first += len(segment)
        return cls(bits, tuple(counts))

    @property
    def nbytes(self) -> int:
        """How many bytes the bits take."""
        return self.bits.nbytes

    def span(self, start: int, stop: int) -> BoolArray:
        """Say of each row from `start` to before `stop` whether it may be found."""
        part = np.unpackbits(self.bits[start // 8 : -(-stop // 8)], bitorder="little")
        return part[start % 8 : start % 8 + stop - start].view(bool)


def _owned_by(owners: IdArray, ids: IdArray) -> BoolArray:
    """Say of each of some rows, which have these owners (N,), whether it is one of the ids."""
    least, most = int(owners.min()), int(owners.max())
    near = ids[np.searchsorted(ids, least) : np.searchsorted(ids, most, side="right")]
    if most - least >= TABLE_SHARE * len(owners):
        found: BoolArray = np.isin(owners, near)
        return found
    table = np.zeros(most - least + 1, bool)
    table[near - least] = True
    kept: BoolArray = table[owners - least]
    return kept


def _set_bits(bits: npt.NDArray[np.uint8], start: int, kept: BoolArray) -> None:
    """Set the bits of the rows from `start` on that are kept (N,)."""
    packed = np.packbits(np.concatenate([np.zeros(start % 8, bool), kept]), bitorder="little")
    bits[start // 8 : start // 8 + len(packed)] |= packed
