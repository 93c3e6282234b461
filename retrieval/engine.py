"""SearchEngine: a query in, ranked hits out; everything it needs stays loaded."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from indexer.errors import InvalidQueryError, StoreNotFoundError
from indexer.features.engine import EngineName
from indexer.features.extractor import FeatureExtractor, ImageFeatures
from indexer.images import load_image
from indexer.store.store import Store, find_store
from indexer.store.vectors import FloatArray, IdArray, VectorIndex
from retrieval.query import Hit, Query


class SearchEngine:
    """Answers queries on one store.

    It sees the store as it was when the vectors of a kind were first needed; `reload` brings in
    what was committed since.
    """

    def __init__(
        self,
        store: Store,
        *,
        engine: EngineName = "auto",
        extractor: FeatureExtractor | None = None,
    ) -> None:
        self.store = store
        self._engine: EngineName = engine
        self._given_extractor = extractor
        self._indexes: dict[str, VectorIndex] = {}

    @classmethod
    def open(cls, path: Path | str | None = None, *, engine: EngineName = "auto") -> SearchEngine:
        """Open the store at `path`, or the one that the current folder means.

        Raises `StoreNotFoundError` where there is none.
        """
        found = Path(path) if path is not None else find_store()
        if found is None:
            raise StoreNotFoundError(
                "There is no store in this folder or above it. Make one with: cbir index PHOTOS"
            )
        return cls(Store.open(found), engine=engine)

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """The extractor of the store's spec, loaded on first use."""
        return self._given_extractor or FeatureExtractor(self.store.spec, engine=self._engine)

    def reload(self) -> None:
        """Forget the opened vectors, so that the next query sees the newest commit."""
        self._indexes.clear()

    def search(self, query: Query) -> list[Hit]:
        """Return the hits of `query`, best first, ties by image id.

        Raises `ImageError` for an unusable query image, `InvalidRegionError` for a box outside it,
        `InvalidQueryError` for an image id that is not in the store.
        """
        index = self._index(query.feature)
        vector = self._describe(query, index)
        allowed: IdArray | None = None
        if query.allowed is not None:
            allowed = np.array(sorted(query.allowed), np.int64)
        k = query.k or max(1, len(index))
        ids, scores = index.search(vector[None], k, allowed)
        infos = self.store.image_infos(int(i) for i in ids[0])
        found = [(int(i), float(s)) for i, s in zip(ids[0], scores[0], strict=True) if i in infos]
        return [
            Hit(rank, image_id, infos[image_id].path, min(score, 1.0))
            for rank, (image_id, score) in enumerate(found, 1)
        ]

    def _index(self, kind: str) -> VectorIndex:
        if kind not in self._indexes:
            self._indexes[kind] = self.store.vector_index(kind)
        return self._indexes[kind]

    def _describe(self, query: Query, index: VectorIndex) -> FloatArray:
        if query.image_id is not None:
            if query.box is None:
                try:
                    vectors = index.vectors_of(np.array([query.image_id]))
                    return vectors.reshape(-1)
                except KeyError as error:
                    raise InvalidQueryError(
                        f"There is no image {query.image_id} in the store."
                    ) from error
            infos = self.store.image_infos([query.image_id])
            if query.image_id not in infos:
                raise InvalidQueryError(f"There is no image {query.image_id} in the store.")
            source: Path | bytes = infos[query.image_id].path
        else:
            source = query.path if query.path is not None else query.data or b""
        features = self._extract(source, query)
        return features.conv if query.feature == "conv" else features.fc

    def _extract(self, source: Path | bytes, query: Query) -> ImageFeatures:
        box = query.box
        at_least = self.store.spec.size_px if box is None else None
        loaded = load_image(source, at_least=at_least)
        pixels = loaded.pixels
        if box is not None:
            box.require_inside(loaded.facts.width, loaded.facts.height)
            pixels = pixels.crop(box.as_tuple())
        return self.extractor.extract([pixels])[0]
