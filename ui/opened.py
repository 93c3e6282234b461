"""The store that a server shows: opened once, and again where it was built again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from indexer.store.places import catalog_file, require_store
from retrieval.engine import SearchEngine
from ui.gallery import Gallery

_OPENING = threading.Lock()


@dataclass(frozen=True)
class OpenedStore:
    """One engine on a store, which follows its commits, and the pictures of its images."""

    engine: SearchEngine
    gallery: Gallery


def opened_store(path: Path | str | None = None) -> OpenedStore:
    """Return the store at `path`, or that of the current folder, which this process shares.

    Raises `StoreNotFoundError` where there is none, and what `StoreReader.open` does.
    """
    place = require_store(path)
    with _OPENING:
        return _open(place, catalog_identity(place))


@contextmanager
def opening_later() -> Iterator[None]:
    """Let `opened_store` wait while this process creates or deletes a store.

    Half of one would look damaged.
    """
    with _OPENING:
        yield


@lru_cache(maxsize=1)
def _open(path: Path, _file: tuple[int, int]) -> OpenedStore:
    engine = SearchEngine.open(path)
    return OpenedStore(engine, Gallery(engine.store))


def catalog_identity(path: Path) -> tuple[int, int]:
    """Return which file is, or names, the catalogue: another one after a store was built again."""
    try:
        stat = catalog_file(path).stat()
    except OSError:
        return 0, 0
    return stat.st_dev, stat.st_ino
