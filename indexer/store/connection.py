"""Connecting to the catalogue's file, also where it may only be read."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Literal

from indexer.errors import StoreCorruptError, StoreError

MAPPED_BYTES = 1 << 30  # read by memory map: boxes of many regions take a quarter of the time
WAIT_S = 30.0  # for another process that is at a commit


def is_writable(path: Path) -> bool:
    """Whether this process may write beside the catalogue at `path`.

    It may not on a read-only drive, nor in the folder of somebody else.
    """
    return os.access(path.parent, os.W_OK)


def connect(
    path: Path, *, create: bool = False, isolation_level: Literal["DEFERRED"] | None = None
) -> sqlite3.Connection:
    """Connect to the catalogue at `path`, which is absolute; any thread may use the connection.

    Even who only reads leaves notes beside the file, for a writer to see. Where that is not
    possible, SQLite reads along in the notes of a writer that is at work, and takes the file as
    it is where there is none; such a connection should not be kept for long.
    """
    if is_writable(path):
        mode = "mode=rwc" if create else "mode=rw"
    else:
        at_work = path.with_name(f"{path.name}-wal").exists()
        mode = "mode=ro" if at_work else "immutable=1"
    connection = sqlite3.connect(
        f"{path.as_uri()}?{mode}",
        uri=True,
        timeout=WAIT_S,
        isolation_level=isolation_level,
        check_same_thread=False,
    )
    connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
    return connection


def catalog_error(error: BaseException, path: Path) -> StoreError:
    """Return what an error of SQLite means for the user."""
    if isinstance(error, sqlite3.OperationalError):
        if "readonly" in str(error):
            return StoreError(unwritable(path.parent, str(error)))
        return StoreError(f"The catalogue {path} cannot be used: {error}.")
    return StoreCorruptError(
        f"The catalogue {path} is damaged ({error}). Restore it from a backup, or build the store "
        "anew with cbir index --rebuild."
    )


def unwritable(store: Path, reason: str) -> str:
    """Return what to tell who would change a store that may only be read."""
    return (
        f"The store at {store} may not be written to ({reason}). It can be searched as it is; to "
        "change it, copy it to where you may write, or build one of your own with --store."
    )
