"""Where the vectors of a store are: in files of the store, or on a server that it names."""

from __future__ import annotations

from pathlib import Path

from indexer.store.catalog.protocol import Catalog
from indexer.store.config import StoreConfig
from indexer.store.layout import VECTORS
from indexer.store.vectors.protocol import VectorStore


def check_place(url: str | None) -> None:
    """Raise `StoreError` for a URL that names no server for vectors; None is the store's folder."""
    if url is not None:
        from indexer.store.vectors.milvus_url import MilvusPlace

        MilvusPlace.parse(url)


def open_vectors(store: Path, catalog: Catalog, *, trusts: bool = False) -> VectorStore:
    """Return the vectors of the store, which `catalog` names; no server is connected to yet.

    Raises `StoreError`, and `UntrustedStoreError` where somebody else chose the server and the
    caller does not trust the store.
    """
    config = StoreConfig.read(store)
    if config is None or config.vectors is None:
        from indexer.store.vectors.local_store import LocalVectorStore

        return LocalVectorStore(store / VECTORS, catalog, trusts=trusts)
    config.require_trusted(store, trusts=trusts)
    from indexer.store.vectors.milvus_server import MilvusServer
    from indexer.store.vectors.milvus_store import MilvusVectorStore
    from indexer.store.vectors.milvus_url import MilvusPlace

    server = MilvusServer(MilvusPlace.parse(config.vectors))
    return MilvusVectorStore(server, config.schema, catalog)
