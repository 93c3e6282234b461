"""Fetching: the bytes of a file, and their hash, by reading it once wherever it is."""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from tempfile import NamedTemporaryFile

from indexer.errors import InaccessibleImageError, UnreachableError
from indexer.sources.access import is_elsewhere, read_file, source_of, why_not
from indexer.sources.place import Place

HELD_BYTES = 4 << 20  # of one file; a larger one is read a second time when it is decoded
COPIED_BYTES = 8 << 20  # by one request


def fetch(path: Place, size_bytes: int, copies: ExitStack) -> tuple[Place | bytes, bytes]:
    """Return the bytes of a file, or where they are if they are too many to be held; their SHA-256.

    `size_bytes` is what its folder says. Of a large file elsewhere it is a copy, which `copies`
    delete in the end. Raises `UnreadableImageError`.
    """
    try:
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
