"""RangeFile: a file of which only the parts that are wanted are fetched."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, Any, cast

BUFFER = 1 << 18  # bytes of one request at least: what follows a part is often wanted next


class RangeFile(io.RawIOBase):
    """A file of `size` bytes; `fetch(start, stop)` returns those of a part."""

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._size = size
        self._fetch = fetch
        self._place = 0

    def readable(self) -> bool:
        """Whether it can be read: it can."""
        return True

    def seekable(self) -> bool:
        """Whether it has places to go to: it has."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the file."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        """Return the place in the file."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes; raises `OSError` where the file has fewer than it had."""
        stop = min(self._place + len(buffer), self._size)
        if stop <= self._place:
            return 0
        data = self._fetch(self._place, stop)
        if len(data) != stop - self._place:
            raise OSError(f"{stop - self._place} bytes were asked for, {len(data)} came")
        buffer[: len(data)] = data
        self._place = stop
        return len(data)


def open_ranges(size: int, fetch: Callable[[int, int], bytes], buffer: int = BUFFER) -> IO[bytes]:
    """Return a file of `size` bytes whose parts are fetched when they are read."""
    return cast(IO[bytes], io.BufferedReader(RangeFile(size, fetch), buffer))
