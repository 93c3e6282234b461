"""SearchEngine: a query in, ranked hits out; everything it needs stays loaded."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
from cachetools import LRUCache, cached
from PIL import Image

from indexer.errors import CbirError, ImageError, InvalidQueryError
from indexer.features.engine import EngineName
from indexer.features.extractor import FeatureExtractor
from indexer.features.regions import Region
from indexer.features.whitening import (
    COLLECTION_POWER,
    COLLECTION_SHRINKAGE,
    VECTORS_PER_DIMENSION,
    principal_axes,
)
from indexer.store.reading import StoreReader, require_store
from indexer.store.segments import FloatArray, IdArray
from indexer.store.vectors import VectorIndex
from retrieval.describe import QueryDescriber
from retrieval.picture import DECODERS, Picture
from retrieval.query import Hit, Query
from retrieval.ranking import VOTERS, Candidate, Reranker, kept_side, vote_boxes

PICTURE_BYTES = 512 << 20
VECTORS_KEPT = 4096
BACKGROUND_VECTORS = 50_000
VOTED = 50  # hits whose windows vote for the box
ANY_BOX = Region(0, 0, 1, 1)
WHOLE_WEIGHT = 0.5  # of the whole image's score, where the query is a whole image too


class SearchEngine:
    """Answers queries on one store.

    It sees the store as it was when the vectors of a kind were first needed; `reload` brings in
    what was committed since.
    """

    def __init__(
        self,
        store: StoreReader,
        *,
        engine: EngineName = "auto",
        extractor: FeatureExtractor | None = None,
    ) -> None:
        self.store = store
        self._engine: EngineName = engine
        self._given_extractor = extractor
        self._indexes: dict[str, VectorIndex] = {}
        # Kept for the next query, the least used given up first.
        pictures = LRUCache[Hashable, Picture | None](PICTURE_BYTES, _bytes_of)
        self._picture = cached(pictures, lock=Lock())(self._load_picture)
        self._space_vectors = lru_cache(VECTORS_KEPT)(self._load_space_vectors)

    @classmethod
    def open(cls, path: Path | str | None = None, *, engine: EngineName = "auto") -> SearchEngine:
        """Open the store at `path`, or the one that the current folder means.

        Raises `StoreNotFoundError` where there is none.
        """
        return cls(StoreReader.open(require_store(path)), engine=engine)

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """The extractor of the store's spec, loaded on first use."""
        spec, given = self.store.spec, self._given_extractor
        if given is not None and given.spec == spec:
            return given
        inference = None
        if given is not None and (given.spec.backbone, given.spec.taps) == (
            spec.backbone,
            spec.taps,
        ):
            inference = given.inference  # the store was whitened since: the network is the same
        return FeatureExtractor(
            spec, engine=self._engine, inference=inference, adaptation=self.store.adaptation()
        )

    def reload(self) -> None:
        """Forget the opened vectors, so that the next query sees the newest commit."""
        self.store.refresh()
        if "extractor" in self.__dict__ and self.extractor.spec != self.store.spec:
            del self.__dict__["extractor"]  # the store was whitened
        self._indexes.clear()
        self._space_vectors.cache_clear()
        self.__dict__.pop("background", None)

    def search(self, query: Query) -> list[Hit]:
        """Return the hits of `query`, best first, ties by image id. Threads may ask at once.

        Raises `ImageError` for an unusable query image, `InvalidRegionError` for a box outside it,
        `InvalidQueryError` for an image id that is not in the store, and `StoreError` where the
        store has no vectors of the kind asked for.
        """
        [answer] = self.search_many([query])
        if isinstance(answer, CbirError):
            raise answer
        return answer

    def search_many(self, queries: Sequence[Query]) -> list[list[Hit] | CbirError]:
        """Return for each query what `search` returns, or the error that it raises.

        All are forwarded through the network together, and those that search alike are compared
        with the store together.
        """
        vectors = self._vectors(queries)
        answers: list[list[Hit] | CbirError] = []
        alike: dict[Query, list[int]] = {}
        for i, (query, vector) in enumerate(zip(queries, vectors, strict=True)):
            if isinstance(vector, CbirError):
                answers.append(vector)
            else:
                answers.append([])
                alike.setdefault(_search_of(query), []).append(i)
        for members in alike.values():
            rows = np.stack([v for i in members if not isinstance(v := vectors[i], CbirError)])
            try:
                found = self._find(queries[members[0]], rows)
            except CbirError as error:
                found = [error] * len(members)
            for i, answer in zip(members, found, strict=True):
                answers[i] = answer
        return answers

    def search_by_vector(self, vector: FloatArray, query: Query) -> list[Hit]:
        """Return the hits of `query`, had it this unit vector (D,) in place of its own.

        Raises `StoreError` where the store has no vectors of the kind asked for.
        """
        [answer] = self._find(query, vector[None])
        if isinstance(answer, CbirError):
            raise answer
        return answer

    def index(self, kind: str) -> VectorIndex:
        """The vectors of one kind, opened on first use."""
        if kind not in self._indexes:
            self._indexes[kind] = self.store.vector_index(kind)
        return self._indexes[kind]

    def pictures(self, image_ids: Sequence[int]) -> list[Picture | None]:
        """Return images for close looks, None where a file is gone, damaged or another."""
        with ThreadPoolExecutor(DECODERS, "decode") as threads:
            return list(threads.map(self._picture, image_ids))

    @cached_property
    def background(self) -> Callable[[FloatArray], FloatArray]:
        """What brings region vectors (N, E) into the collection's own space, see `Reranker`.

        A collection too small to say what its regions have in common keeps the vectors as they are.
        """
        sample = self.index("region").sample(BACKGROUND_VECTORS)
        if len(sample) < VECTORS_PER_DIMENSION * sample.shape[1]:
            return lambda vectors: vectors
        return principal_axes(sample, sample.shape[1], COLLECTION_POWER, COLLECTION_SHRINKAGE).apply

    def space_vectors(self, image_id: int) -> FloatArray:
        """Return an image's region vectors (R, E) in the collection's own space."""
        return self._space_vectors(image_id)

    def query_vector(self, query: Query) -> FloatArray:
        """Return the vector (D,) that describes a query; raises what `search` does."""
        [vector] = self._vectors([query])
        if isinstance(vector, CbirError):
            raise vector
        return vector

    def query_image(self, query: Query) -> tuple[Image.Image, Region | None]:
        """Return a query's upright RGB image, and its box in it, with the context.

        It may have fewer pixels than the file. Raises what `search` does.
        """
        pixels, box = QueryDescriber(self.store, self.extractor).load(query)
        return Image.fromarray(pixels), box

    def _vectors(self, queries: Sequence[Query]) -> list[FloatArray | CbirError]:
        """Return the vector (D,) of each query, or why it has none."""
        vectors: list[FloatArray | CbirError | None] = [self._stored_vector(q) for q in queries]
        shown = [q for q, vector in zip(queries, vectors, strict=True) if vector is None]
        if not shown:
            return [vector for vector in vectors if vector is not None]
        described = iter(QueryDescriber(self.store, self.extractor).describe(shown))
        return [next(described) if vector is None else vector for vector in vectors]

    def _stored_vector(self, query: Query) -> FloatArray | CbirError | None:
        """Return the vector of a whole image of the store, None for a query that must be seen."""
        if query.image_id is None or query.box is not None or query.search == "region":
            return None
        try:
            index = self.index(query.feature)
            return index.vectors_of(np.array([query.image_id])).reshape(-1)
        except KeyError:
            return InvalidQueryError(f"There is no image {query.image_id} in the store.")
        except CbirError as error:
            return error

    def _load_picture(self, image_id: int) -> Picture | None:
        info = self.store.image_infos([image_id]).get(image_id)
        if info is None:
            return None
        side_px = kept_side(self.extractor, min(self.store.spec.scales))
        try:
            picture = Picture.load(info.path, (info.width, info.height), side_px)
        except ImageError:
            return None  # deleted or damaged since: it keeps its place and its coarse box
        # Where another file stands in its place, the boxes of the store do not fit it.
        return picture if picture.size == (info.width, info.height) else None

    def _load_space_vectors(self, image_id: int) -> FloatArray:
        return self.background(self.index("region").vectors_of_image(image_id))

    def _find(self, query: Query, vectors: FloatArray) -> list[list[Hit] | CbirError]:
        """Return the hits of queries (Q, D) that search as `query` does."""
        allowed: IdArray | None = None
        if query.allowed is not None:
            allowed = np.array(sorted(query.allowed), np.int64)
        if query.search == "region":
            return self._find_regions(query, vectors, allowed)
        index = self.index(query.feature)
        ids, scores = index.search(vectors, query.k or max(1, len(index)), allowed)
        return self._to_hits(
            [
                [Candidate(i, score, None) for i, score in zip(*found, strict=True)]
                for found in zip(ids.tolist(), scores.tolist(), strict=True)
            ]
        )

    def _find_regions(
        self, query: Query, vectors: FloatArray, allowed: IdArray | None
    ) -> list[list[Hit] | CbirError]:
        index = self.index("region" if query.feature == "conv" else "region_fc")
        # Asked with a whole picture, an image that is alike as a whole counts more.
        whole = WHOLE_WEIGHT if query.box is None else 0.0
        k = query.k or max(1, len(index))
        if query.rerank:
            k = max(k, query.candidates)
        matches = index.search_images(vectors, k, allowed, whole)
        found = []
        columns = (array.tolist() for array in matches)
        for vector, *match in zip(vectors, *columns, strict=True):
            image_ids, ids, scores = match
            if query.rerank:
                candidates = self._candidates(image_ids, ids, scores)
                found.append(Reranker(self, query).rerank(vector, candidates)[: query.k])
            else:
                voted = self._vote(index, vector, image_ids[:VOTED], scores[:VOTED])
                rest = self._candidates(image_ids[VOTED:], ids[VOTED:], scores[VOTED:])
                found.append(voted + rest)
        return self._to_hits(found)

    def _candidates(
        self, image_ids: list[int], ids: list[int], scores: list[float]
    ) -> list[Candidate]:
        boxes = self.store.regions(ids)
        return [
            Candidate(image_id, score, boxes[region_id])
            for image_id, region_id, score in zip(image_ids, ids, scores, strict=True)
            if region_id in boxes  # else removed since the vectors were opened
        ]

    def _vote(
        self, index: VectorIndex, vector: FloatArray, image_ids: list[int], scores: list[float]
    ) -> list[Candidate]:
        """Let the best windows of each image vote for its box."""
        ids = np.full((len(image_ids), VOTERS), -1, np.int64)
        cosines = np.full(ids.shape, -np.inf, np.float32)  # no vote
        owners, own_ids, vectors = index.rows_of_images(np.array(image_ids, np.int64))
        own = vectors @ vector
        order = np.lexsort((-own, owners))  # image by image, the nearest window first
        owners = owners[order]
        ranks = np.arange(len(owners)) - np.searchsorted(owners, owners)
        near = ranks < VOTERS
        cells = (owners[near], ranks[near])
        ids[cells] = own_ids[order[near]]
        cosines[cells] = own[order[near]]
        boxes = self.store.boxes(ids.ravel().tolist()).reshape(*ids.shape, 4)
        there = (boxes.any(axis=2) | (ids < 0)).all(axis=1)  # else removed since they were opened
        places = np.flatnonzero(there).tolist()
        return [
            Candidate(image_ids[place], scores[place], box)
            for place, box in zip(places, vote_boxes(boxes[there], cosines[there]), strict=True)
        ]

    def _to_hits(self, found: list[list[Candidate]]) -> list[list[Hit] | CbirError]:
        infos = self.store.image_infos({c.image_id for candidates in found for c in candidates})
        return [
            [
                Hit(rank, c.image_id, infos[c.image_id].path, min(c.score, 1.0), c.region)
                for rank, c in enumerate((c for c in candidates if c.image_id in infos), 1)
            ]
            for candidates in found
        ]


def _bytes_of(picture: Picture | None) -> int:
    return 0 if picture is None else picture.pixels.nbytes


def _search_of(query: Query) -> Query:
    """Return the query without its source: what queries that search alike have in common."""
    box = None if query.box is None else ANY_BOX
    return replace(query, path=None, data=None, image_id=0, box=box, context=0.0)
