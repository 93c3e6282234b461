"""Streams: reading from a file that is given by its path, or open."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from PIL import UnidentifiedImageError

from indexer.images.other_files import LONGEST, explain


@contextlib.contextmanager
def opening(stream: str | os.PathLike[str] | IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield a file or a stream at its beginning."""
    if isinstance(stream, str | os.PathLike):
        with Path(stream).open("rb") as file:
            yield file
    else:
        stream.seek(0)
        yield stream


def read_all(stream: str | os.PathLike[str] | IO[bytes]) -> bytes:
    """Return all bytes of a file; a stream stays where it is."""
    if isinstance(stream, str | os.PathLike):
        return Path(stream).read_bytes()
    place = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(place)
    return data


def explain_fault(error: BaseException, stream: str | os.PathLike[str] | IO[bytes]) -> str:
    """Return why a file cannot be decoded, for which there was this error."""
    start: bytes | None = None
    with contextlib.suppress(OSError, ValueError), opening(stream) as file:
        start = file.read(LONGEST)
    if start == b"":
        return "is empty (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        return explain(start or b"")
    if isinstance(error, MemoryError):
        return "needs more memory than is available"
    return f"cannot be decoded: {str(error).strip() or type(error).__name__}"
