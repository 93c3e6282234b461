"""Where the vectors of a store are kept: in files of the store."""

from __future__ import annotations

from pathlib import Path

from indexer.store.catalog.protocol import Catalog
from indexer.store.layout import VECTORS
from indexer.store.vectors.local_store import LocalVectorStore
from indexer.store.vectors.protocol import VectorStore


def open_vectors(store: Path, catalog: Catalog, *, trusts: bool = False) -> VectorStore:
    """Return the vectors of the store, which `catalog` names."""
    return LocalVectorStore(store / VECTORS, catalog, trusts=trusts)
