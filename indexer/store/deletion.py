"""Deleting the files of a store, and nothing else that is in its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from indexer.store.catalog.connection import LOCK
from indexer.store.derived import DerivedFiles
from indexer.store.folder import StoreFolder, open_folder
from indexer.store.layout import (
    DERIVED,
    VECTORS,
    is_adaptation_file,
    is_top_file,
    is_vector_file,
    require_own_files,
)


def delete_store_files(store: Path) -> None:
    """Delete every file of the store but its lock; files of other names, and their folders, stay.

    Raises `StoreError` where one is a link.
    """
    require_own_files(store)
    for folder, name, _ in DerivedFiles(store).owned():
        folder.delete(name)
    with contextlib.suppress(FileNotFoundError), open_folder(store / VECTORS) as folder:
        _delete(folder, is_vector_file)
    with open_folder(store.resolve()) as folder:
        _delete(folder, lambda name: is_top_file(name) and name != LOCK)
    derived = store / DERIVED
    inner = [f for f in derived.iterdir() if f.name.isdecimal()] if derived.is_dir() else []
    for place in (*inner, derived, store / VECTORS):
        with contextlib.suppress(OSError):  # other files are in it, or it does not exist
            place.rmdir()


def delete_adaptations(store: Path, live: str | None) -> None:
    """Delete the whitenings that were learned from the collection, but for the `live` one."""
    with open_folder(store) as folder:
        _delete(folder, lambda name: is_adaptation_file(name) and name != live)


def delete_vectors(folder: Path, live: set[str]) -> None:
    """Delete the files of vectors and of vector indexes whose stems are not `live`."""
    with open_folder(folder) as opened:
        _delete(opened, lambda name: is_vector_file(name) and name.split(".")[0] not in live)


def _delete(folder: StoreFolder, is_to_go: Callable[[str], bool]) -> None:
    for name in folder.names():
        if is_to_go(name) and (folder.is_file(name) or folder.is_link(name)):
            # Windows keeps a file that another process reads; it goes the next time.
            with contextlib.suppress(PermissionError):
                folder.delete(name)
