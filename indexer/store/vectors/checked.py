"""CheckedRows: rows of a file, whose blocks are compared with checksums on first use."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from indexer.arrays import IdArray
from indexer.errors import StoreCorruptError
from indexer.memory import holds_few_pages

# Of a file, under one checksum: what a scattered row costs to check, a few microseconds, is about
# what it costs to read.
BLOCK_BYTES = 1 << 14
NEAR_BYTES = 1 << 21  # Linux maps up to so many round a byte that is read, if it has them
STRETCHES = 16  # of so many bytes, read before their pages are dropped
Sums = npt.NDArray[np.uint64]


def block_sums(data: npt.NDArray[np.uint8]) -> Sums:
    """Return the XXH3 checksums of the blocks of a file's bytes, its last block perhaps short."""
    view = data.data
    starts = range(0, len(view), BLOCK_BYTES)
    found = (xxhash.xxh3_64_intdigest(view[start : start + BLOCK_BYTES]) for start in starts)
    return np.fromiter(found, np.uint64, len(starts))


def block_count(size: int) -> int:
    """Return how many blocks a file of `size` bytes has."""
    return -(-size // BLOCK_BYTES)


class CheckedRows:
    """The rows (N, ...) of an array in a file, read by memory map.

    What is read raises `StoreCorruptError` where a block does not agree with its checksum. `sums`
    are those of the blocks of the whole file, in which the rows begin at byte `offset`; without
    them nothing is checked.
    """

    def __init__(
        self,
        rows: npt.NDArray[Any],
        file: npt.NDArray[np.uint8],
        offset: int,
        sums: Sums | None,
        name: str,
    ) -> None:
        self._rows = rows
        self._file = file
        self._offset = offset
        self._sums = sums
        self._name = name
        self._is_checked = np.zeros(0 if sums is None else len(sums), bool)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all rows."""
        return self._rows.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""
        return self._rows.dtype

    def span(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return the rows from `start` to before `stop`, as a view of the file."""
        stop = min(stop, len(self._rows))
        if self._sums is not None and stop > start:
            first, last = self._block_of(start), self._block_of(stop, ends=True)
            self._check(np.arange(first, last + 1))
        return self._rows[start:stop]

    def all(self) -> npt.NDArray[Any]:
        """Return all rows, as a view of the file."""
        return self.span(0, len(self._rows))

    def take(self, rows: IdArray) -> npt.NDArray[Any]:
        """Return a copy of these rows, in their order."""
        if not holds_few_pages():
            return self._take(rows)
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        order = np.argsort(rows, kind="stable")
        near = (self._offset + rows[order] * self._row_bytes) // NEAR_BYTES
        changes = np.flatnonzero(near[1:] != near[:-1]) + 1
        for start, stop in pairwise([0, *changes[STRETCHES - 1 :: STRETCHES].tolist(), len(rows)]):
            part = order[start:stop]
            taken[part] = self._take(rows[part])
            self.let_go()
        return taken

    def _take(self, rows: IdArray) -> npt.NDArray[Any]:
        if self._sums is not None and len(rows):
            first = (self._offset + rows * self._row_bytes) // BLOCK_BYTES
            last = (self._offset + (rows + 1) * self._row_bytes - 1) // BLOCK_BYTES
            steps = range(int((last - first).max()) + 1)
            blocks = [first[first + step <= last] + step for step in steps]
            self._check(np.unique(np.concatenate(blocks)))
        taken: npt.NDArray[Any] = self._rows[rows]
        return taken

    def check_all(self) -> Sequence[int]:
        """Return the blocks of the file that do not agree with their checksums."""
        if self._sums is None:
            return []
        return np.flatnonzero(block_sums(self._file) != self._sums).tolist()

    def rows_in(self, blocks: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Say of each row (N,) whether a part of it lies in one of these blocks."""
        inside = np.zeros(len(self._rows), bool)
        for block in blocks:
            start = (block * BLOCK_BYTES - self._offset) // self._row_bytes
            stop = -(-((block + 1) * BLOCK_BYTES - self._offset) // self._row_bytes)
            inside[max(0, start) : max(0, stop)] = True
        return inside

    def let_go(self) -> None:
        """Drop the pages of the memory map from this process, where the system supports it."""
        base: object = self._file
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            base.madvise(mmap.MADV_DONTNEED)

    @cached_property
    def _row_bytes(self) -> int:
        return self._rows.dtype.itemsize * int(np.prod(self._rows.shape[1:], dtype=np.int64))

    def _block_of(self, row: int, *, ends: bool = False) -> int:
        return (self._offset + row * self._row_bytes - ends) // BLOCK_BYTES

    def _check(self, blocks: npt.NDArray[np.intp]) -> None:
        if self._sums is None:
            return
        for block in blocks[~self._is_checked[blocks]].tolist():
            part = self._file[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
            if xxhash.xxh3_64_intdigest(part.data) != self._sums[block]:
                raise StoreCorruptError(
                    f"The vector file {self._name} is damaged: a part of it does not agree with "
                    "its checksum. Mend the store with: cbir doctor --repair"
                )
            self._is_checked[block] = True
