"""Memory: what is kept so that it need not be made again, bounded in bytes, all together."""

from __future__ import annotations

import ctypes
import os
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from functools import cache
from threading import Event, Lock
from typing import Any, TypeVar

from cachetools import LRUCache

from indexer.errors import SettingError

T = TypeVar("T")

SETTING = "CBIR_MEMORY_MB"
# Holds what a search of 10,000 photos asks for again and again, and leaves most of a small machine.
DEFAULT_MB = 192
ENTRY_BYTES = 512  # at least, for the keys and the books
M_ARENA_MAX = -8  # as glibc's <malloc.h> has it
LARGEST_SHARE = 2  # one owner's table that is read from end to end may fill a half of the memory
_FEW_PAGES = Event()


class Memory:
    """Things in memory, at most `limit` bytes of them: the least recently used go first.

    Threads may share it. Two that miss the same thing at once both make it.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: LRUCache[Hashable, tuple[Any, int]] = LRUCache(limit, lambda kept: kept[1])
        self._lock = Lock()
        self._gone: deque[object] = deque()  # owners; see `drop_soon`

    @property
    def held(self) -> int:
        """How many bytes are held."""
        with self._lock:
            self._drop_gone()
            return int(self._kept.currsize)

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """Return what is kept under `key`; it is made, and kept, where there is nothing.

        `size` tells its bytes. None, and what is larger than the limit, are not kept.
        """
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None:
            value: T = kept[0]
            return value
        value = make()
        count = 0 if value is None else max(size(value), ENTRY_BYTES)
        if 0 < count <= self.limit:
            with self._lock:
                self._drop_gone()
                self._kept[key] = value, count
        return value

    def drop_soon(self, owner: object) -> None:
        """Drop, at the next use, all whose keys are pairs that begin with `owner`.

        It takes no lock, so a garbage collection at any moment may call it.
        """
        self._gone.append(owner)

    def _drop_gone(self) -> None:
        while self._gone:
            owner = self._gone.popleft()
            for key in [k for k in self._kept if isinstance(k, tuple) and k[0] is owner]:
                del self._kept[key]


class Shelf:
    """What one owner keeps in a memory that it shares with others; it goes with the owner."""

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = memory or shared_memory()
        self._mark = object()
        weakref.finalize(self, self._memory.drop_soon, self._mark).atexit = False

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """Do what `Memory.get` does, under a key of the owner's own."""
        return self._memory.get((self._mark, key), make, size)

    def has_room_for(self, count: int) -> bool:
        """Whether a table of this many bytes, all of it read by each search, should be kept.

        A larger one would push out itself, and all that others keep.
        """
        return count * LARGEST_SHARE <= self._memory.limit


@cache
def shared_memory() -> Memory:
    """Return the memory of the process, of `CBIR_MEMORY_MB` megabytes (192 unless set).

    Raises `SettingError` where that is not a number.
    """
    text = os.environ.get(SETTING) or str(DEFAULT_MB)
    if not text.isascii() or not text.isdigit():
        raise SettingError(f"{SETTING} is {text!r}; it must be a whole number of megabytes.")
    return Memory(int(text) << 20)


def share_free_memory() -> None:
    """Let all threads take memory from one place, so that one uses what another has freed.

    By default each thread of glibc has an arena of its own, as long as there are fewer than eight a
    core, and `trim` cannot give back what is free at an arena's end, up to 64 MB of each. It does
    nothing with other C libraries, or where `MALLOC_ARENA_MAX` says how many there are to be. Call
    it before threads are started: arenas that exist stay in use.
    """
    set_option = _find_in_glibc("mallopt")
    if set_option is not None and "MALLOC_ARENA_MAX" not in os.environ:
        set_option(M_ARENA_MAX, 1)


def hold_few_pages() -> None:
    """Let this process drop the pages of vector files as soon as their rows are copied.

    Pages that were read count as its memory, though the system may take them back, and Linux maps
    up to 2 MB round a row: a few hundred rows can map all of a file. To map them again takes about
    ten milliseconds a search, so this is for searches that take much longer.
    """
    _FEW_PAGES.set()


def holds_few_pages() -> bool:
    """Whether `hold_few_pages` was called."""
    return _FEW_PAGES.is_set()


def trim() -> None:
    """Give memory that is free back to the system, after work in threads that made much of it.

    glibc keeps what threads have freed for themselves: after re-ranking that is 0.2 to 0.4 GB
    (`python -m benchmarks.memory`). Other C libraries have nothing to call.
    """
    give_back = _find_in_glibc("malloc_trim")
    if give_back is not None:
        give_back(0)


@cache
def _find_in_glibc(name: str) -> Callable[..., int] | None:
    """Return a function of glibc, None where the C library is another."""
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, TypeError, AttributeError):
        return None
    return found
