"""Stores of vectors of each kind, and what tests ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from indexer.arrays import FloatArray, IdArray
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.catalog.transaction import CatalogTransaction
from indexer.store.vectors.local_store import LocalVectorStore
from indexer.store.vectors.milvus_server import MilvusServer
from indexer.store.vectors.milvus_store import MilvusVectorStore
from indexer.store.vectors.milvus_url import MilvusPlace
from indexer.store.vectors.protocol import VectorIndex, VectorStore
from tests.clusters import WINDOWS, clustered
from tests.milvus import MilvusProcess

PLACES = ("files", "milvus")
KIND, OTHER = "region", "conv"


@dataclass
class VectorPlace:
    """A store of vectors, and the catalogue whose transactions make them live."""

    catalog: SqlAlchemyCatalog
    vectors: VectorStore

    def append(self, first_image: int, images: int, kind: str = KIND, seed: int = 1) -> FloatArray:
        """Commit images of ten vectors each, and return these as they are stored."""
        with self.catalog.transaction() as change:
            return self.append_in(change, first_image, images, kind, seed)

    def append_in(
        self,
        change: CatalogTransaction,
        first_image: int,
        images: int,
        kind: str = KIND,
        seed: int = 1,
    ) -> FloatArray:
        image_ids = np.repeat(np.arange(first_image, first_image + images), WINDOWS)
        vectors = clustered(seed, len(image_ids))
        self.vectors.append(change, kind, ids_of(first_image, images), image_ids, vectors)
        self.vectors.sync()
        return vectors.astype(np.float16).astype(np.float32)

    def remove(self, *image_ids: int) -> None:
        with self.catalog.transaction() as change:
            change.remove_images(image_ids)

    def index(self, kind: str = KIND) -> VectorIndex:
        index = self.vectors.open_index(kind)
        assert index is not None
        return index

    def live(self, kind: str = KIND) -> IdArray:
        """The ids that can be found, in order; none where there are no vectors."""
        index = self.vectors.open_index(kind)
        return np.empty(0, np.int64) if index is None else index.live_ids()


def ids_of(first_image: int, images: int) -> IdArray:
    return np.arange(first_image * WINDOWS, (first_image + images) * WINDOWS)


def place_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> VectorPlace:
    """Return a new place for vectors of a kind."""
    (folder / "vectors").mkdir()
    catalog = SqlAlchemyCatalog(folder / "catalog.sqlite")
    catalog.create()
    if kind == "files":
        return VectorPlace(catalog, LocalVectorStore(folder / "vectors", catalog))
    process: MilvusProcess = request.getfixturevalue("milvus")
    server = MilvusServer(MilvusPlace.parse(process.url))
    return VectorPlace(catalog, MilvusVectorStore(server, f"cbir_{uuid4().hex[:8]}", catalog))
