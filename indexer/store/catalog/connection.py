"""Connecting to the catalogue's file, also where it is read-only."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Literal

from indexer.errors import StoreCorruptError, StoreError

MAPPED_BYTES = 1 << 30  # read by memory map: boxes of many regions take a quarter of the time
LOCK = "lock"  # the file in a store that is held by the one process that writes
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

    Even a read-only SQLite connection needs to write the `-shm` file. On read-only media it uses
    that of a writer that is at work, else it falls back to `immutable=1`; such a connection should
    not be kept for long.
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
        f"The catalogue {path} is damaged ({error}). Restore it from a backup, or rebuild the "
        "store with cbir index --rebuild."
    )


def unwritable(store: Path, reason: str) -> str:
    """Return the message for an attempt to change a read-only store."""
    return (
        f"The store at {store} is read-only ({reason}). It can be searched; to change it, copy it "
        "to a writable folder, or build one of your own with --store."
    )
