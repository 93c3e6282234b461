"""Paging: rows of memory-mapped files, and whether they must come from the disk first.

Who just reads far-apart rows of a file that is not in memory waits for the disk at each of them.
Asked for all at once they take little longer than one, but asking costs more than reading rows
that are in memory already. So it is done as long as the disk is likely to take part.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

ANNOUNCED = 16  # reads, about those of a query, counted from the last one that waited for the disk
PROBED = 2  # rows that are read first where the disk has not been waited for lately


def disk_waits() -> int:
    """Return how often this process has waited for a page to come from a disk, where it is told."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


class PageReader:
    """Reads rows of memory maps, and announces them while they are likely to be on the disk."""

    def __init__(self, waits: Callable[[], int] = disk_waits) -> None:
        self._waits = waits
        self._waited = waits()
        self._to_announce = ANNOUNCED

    def take(self, array: np.ndarray, rows: npt.NDArray[np.int64]) -> np.ndarray:
        """Return `array[rows]`."""
        if self._to_announce == 0 and len(rows) > PROBED:
            array[rows[:PROBED]]  # only to see whether that waits
            self._note_waits()
        if self._to_announce > 0:
            self._to_announce -= 1
            announce(array, rows)
        taken: np.ndarray = array[rows]
        self._note_waits()
        return taken

    def _note_waits(self) -> None:
        waited = self._waits()
        if waited > self._waited:
            self._waited, self._to_announce = waited, ANNOUNCED


PAGES = PageReader()  # one for all: what waits is the process


def announce(array: np.ndarray, rows: npt.NDArray[np.int64]) -> None:
    """Ask the system for the pages of these rows (N,) of a memory map, where one can."""
    file = _file_of(array)
    if file is None or not hasattr(mmap, "MADV_WILLNEED") or not len(rows):
        return
    start = array.ctypes.data - np.frombuffer(file, np.uint8).ctypes.data
    offsets = start + np.sort(rows) * array.strides[0]
    firsts = offsets // mmap.PAGESIZE
    stops = (offsets + array.strides[0] - 1) // mmap.PAGESIZE + 1
    gaps = np.flatnonzero(firsts[1:] > stops[:-1])
    starts = firsts[np.r_[0, gaps + 1]] * mmap.PAGESIZE
    sizes = stops[np.r_[gaps, len(rows) - 1]] * mmap.PAGESIZE - starts
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        file.madvise(mmap.MADV_WILLNEED, start, size)


def let_go(array: np.ndarray) -> None:
    """Drop the pages of a memory map from this process, where the system lets one ask for it."""
    file = _file_of(array)
    if file is not None and hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


def _file_of(array: np.ndarray) -> mmap.mmap | None:
    """Return the memory map that an array lies in, None for one in memory."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
