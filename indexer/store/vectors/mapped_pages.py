"""MappedPages: how much of files read by memory map counts as memory of this process."""

from __future__ import annotations

import mmap
from threading import Lock
from weakref import WeakKeyDictionary

MAPPED_BYTES = 1 << 26  # of all vector files together; reading as much again takes milliseconds
CAN_LET_GO = hasattr(mmap, "MADV_DONTNEED")  # Windows cannot


class MappedPages:
    """The pages of memory maps that this process holds, about `limit` bytes of them at most.

    Pages that were read count as memory of the process until it lets them go. The system keeps what
    it has room for, so reading them again needs no disk. Threads may share it, and other threads
    may be reading what is let go.
    """

    def __init__(self, limit: int = MAPPED_BYTES) -> None:
        self.limit = limit
        self._read: WeakKeyDictionary[mmap.mmap, int] = WeakKeyDictionary()
        self._held = 0
        self._lock = Lock()

    def expect(self, file: mmap.mmap, count: int) -> None:
        """Make room for `count` bytes of a map that are read next: the pages of all maps may go."""
        with self._lock:
            before = self._read.get(file, 0)
            after = min(before + count, len(file))
            self._held += after - before
            self._read[file] = after
            if self._held <= self.limit:
                return
            files = list(self._read)
            self._held = min(count, len(file))
            self._read = WeakKeyDictionary({file: self._held})
        for each in files:
            drop_pages(each)

    def let_go(self, file: mmap.mmap) -> None:
        """Drop the pages of one map."""
        with self._lock:
            self._held -= self._read.pop(file, 0)
        drop_pages(file)


def drop_pages(file: mmap.mmap) -> None:
    """Drop the pages of a memory map from this process, where the system supports it."""
    if CAN_LET_GO:
        file.madvise(mmap.MADV_DONTNEED)
