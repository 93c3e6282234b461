"""Fetching: the bytes of a file, and their hash, by reading it once wherever it is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from tempfile import NamedTemporaryFile

from indexer.errors import InaccessibleImageError, UnreachableError
from indexer.sources.access import (
    bucket_scheme,
    is_elsewhere,
    read_file,
    read_together,
    source_of,
    why_not,
)
from indexer.sources.place import Place

Answer = bytes | OSError | UnreachableError
"""The bytes of a file, or why it cannot be read."""

# Of files in a bucket, so many bytes are asked for at once: a photo of 15 kB costs 1.2 ms of
# processor time more than one in a folder, and 2.4 ms if one is asked for after the other
# (`python -m benchmarks.elsewhere`).
AHEAD_BYTES = 8 << 20
HELD_BYTES = 4 << 20  # of one file; a larger one is read a second time when it is decoded
COPIED_BYTES = 8 << 20  # by one request


def read_ahead(files: Sequence[tuple[Place, int]]) -> Iterator[Answer | None]:
    """Yield the answer to give to `fetch` for each file (its place and size), None if unread.

    Files in buckets are read before they are needed, several at once.
    """
    start = 0
    while start < len(files):
        together, scheme = _together(files[start:])
        answers: list[Answer | None] = [None]
        if scheme is not None:
            try:
                answers = [*read_together(together, scheme)]
            except UnreachableError as error:
                answers = [error] * len(together)
        start += len(answers)
        answers.reverse()
        while answers:
            yield answers.pop()


def _together(files: Sequence[tuple[Place, int]]) -> tuple[list[Place], str | None]:
    """Return the first of some files, as many as are read at once, and their scheme, if any."""
    scheme = bucket_scheme(files[0][0])
    held_bytes = 0
    found: list[Place] = []
    for path, size_bytes in files:
        held_bytes += size_bytes
        is_large = size_bytes > HELD_BYTES or held_bytes > AHEAD_BYTES
        if scheme is None or is_large or bucket_scheme(path) != scheme:
            break
        found.append(path)
    return found, scheme if found else None


def fetch(
    path: Place, size_bytes: int, copies: ExitStack, answer: Answer | None = None
) -> tuple[Place | bytes, bytes]:
    """Return the bytes of a file, or where they are if they are too many to be held; their SHA-256.

    `size_bytes` is what its folder says, and `answer` what came of reading it, if it was read. Of
    a large file elsewhere it is a copy, which `copies` delete in the end. Raises
    `UnreadableImageError`.
    """
    try:
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer, hashlib.sha256(answer).digest()
        if is_elsewhere(path):
            if size_bytes > HELD_BYTES:
                return _copy(path, copies)
            data = read_file(path)
        else:
            with FileIO(str(path)) as file:
                if os.fstat(file.fileno()).st_size > HELD_BYTES:
                    return path, hashlib.file_digest(file, "sha256").digest()
                data = file.readall()
    except FileNotFoundError as error:
        raise InaccessibleImageError(str(path), "vanished during the run") from error
    except UnreachableError as error:
        raise InaccessibleImageError(str(path), str(error)) from error
    except OSError as error:
        raise InaccessibleImageError(str(path), why_not(error)) from error
    return data, hashlib.sha256(data).digest()


def _copy(path: Place, copies: ExitStack) -> tuple[Path, bytes]:
    """Copy a file from elsewhere; return the copy, and the SHA-256 of its bytes."""
    digest = hashlib.sha256()
    with source_of(path).open(path) as file:
        copy = copies.enter_context(NamedTemporaryFile(prefix="cbir-"))  # noqa: SIM115  # `copies` closes it
        while part := file.read(COPIED_BYTES):
            digest.update(part)
            copy.write(part)
    copy.flush()
    return Path(copy.name), digest.digest()
