"""SearchEngine: a query in, ranked hits out; everything it needs stays loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from indexer.errors import ImageError, InvalidQueryError, StoreNotFoundError
from indexer.features.engine import EngineName
from indexer.features.extractor import WHOLE, FeatureExtractor, unit
from indexer.features.regions import Region
from indexer.features.whitening import (
    COLLECTION_POWER,
    COLLECTION_SHRINKAGE,
    VECTORS_PER_DIMENSION,
    principal_axes,
)
from indexer.features.windows import to_boxes
from indexer.images import load_image
from indexer.store.segments import FloatArray, IdArray
from indexer.store.store import Store, find_store
from indexer.store.vectors import VectorIndex
from retrieval.query import Hit, Query
from retrieval.ranking import Candidate, Reranker, vote_box

# A query meets regions as described at these shares of the network's native size: an object's
# scale in the query and in the photo is never known, so both a small and a large view count.
QUERY_SCALES = (0.71, 1.0)
SLIDING_QUERY_SCALES = (0.8, 1.0)  # of the size at which the windows entered
PIXELS_KEPT = 256
VECTORS_KEPT = 4096
TIGHTENED = -0.1  # a box is also seen without its margin: people draw with room to spare
BACKGROUND_VECTORS = 50_000
VOTED = 50  # hits whose windows vote for the box
WHOLE_WEIGHT = 0.5  # of the whole image's score, where the query is a whole image too


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
        # Kept for the next query, the least used given up first.
        self._pixels = lru_cache(PIXELS_KEPT)(self._load_pixels)
        self._space_vectors = lru_cache(VECTORS_KEPT)(self._load_space_vectors)
        self._boxes = lru_cache(VECTORS_KEPT)(self._load_boxes)

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
        self._boxes.cache_clear()
        self.__dict__.pop("background", None)

    def search(self, query: Query) -> list[Hit]:
        """Return the hits of `query`, best first, ties by image id.

        Raises `ImageError` for an unusable query image, `InvalidRegionError` for a box outside it,
        `InvalidQueryError` for an image id that is not in the store, and `StoreError` where the
        store has no vectors of the kind asked for.
        """
        allowed: IdArray | None = None
        if query.allowed is not None:
            allowed = np.array(sorted(query.allowed), np.int64)
        if query.search == "region":
            return self._search_regions(query, allowed)
        index = self.index(query.feature)
        vector = self._image_vector(query, index)
        ids, scores = index.search(vector[None], query.k or max(1, len(index)), allowed)
        found = zip(ids[0].tolist(), scores[0].tolist(), strict=True)
        return self._to_hits([Candidate(i, score, None) for i, score in found])

    def index(self, kind: str) -> VectorIndex:
        """The vectors of one kind, opened on first use."""
        if kind not in self._indexes:
            self._indexes[kind] = self.store.vector_index(kind)
        return self._indexes[kind]

    def pixels_of(self, image_id: int) -> Image.Image | None:
        """Return the upright pixels of an image, None where the file is gone."""
        return self._pixels(image_id)

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

    def region_at(self, image_id: int, row: int) -> Region:
        """Return the region of an image that `row` of its vectors describes."""
        return self._boxes(image_id)[row]

    def query_vector(self, query: Query) -> FloatArray:
        """Return the region vector (E,) that describes a query's image or box.

        It is cut out and seen at several scales. A box is also seen in its place, in the grid
        scheme, as the windows of the store are; and as a crop without its margin, in the sliding
        scheme and for re-ranking.
        """
        image, box = self.load_query(query)
        spec, backbone = self.store.spec, self.extractor.backbone
        if spec.regions == "sliding":
            sizes = [spec.crop_px * scale for scale in SLIDING_QUERY_SCALES]
        else:
            sizes = [backbone.native_size_px * scale for scale in QUERY_SCALES]
        cut = image if box is None else image.crop(box.as_tuple())
        views = [(cut, WHOLE, max(backbone.min_size_px, round(size))) for size in sizes]
        if box is not None and spec.regions == "grid":
            views.append((image, to_boxes([box], *image.size), spec.size_px))
        if box is not None and (spec.regions == "sliding" or query.rerank):
            tight = image.crop(box.padded(TIGHTENED, *image.size).as_tuple())
            views.append((tight, WHOLE, spec.crop_px))
        vectors = self.extractor.describe_views(views)
        return unit(np.sum([view[0] for view in vectors], axis=0))

    def load_query(self, query: Query) -> tuple[Image.Image, Region | None]:
        """Return the upright pixels of a query's image, and its box, the context included."""
        source: Path | bytes = query.path if query.path is not None else query.data or b""
        if query.image_id is not None:
            infos = self.store.image_infos([query.image_id])
            if query.image_id not in infos:
                raise InvalidQueryError(f"There is no image {query.image_id} in the store.")
            source = infos[query.image_id].path
        if query.box is None:
            return load_image(source, at_least=self.store.spec.size_px).pixels, None
        loaded = load_image(source)
        width, height = loaded.facts.width, loaded.facts.height
        query.box.require_inside(width, height)
        return loaded.pixels, query.box.padded(query.context, width, height)

    def _load_pixels(self, image_id: int) -> Image.Image | None:
        info = self.store.image_infos([image_id]).get(image_id)
        if info is None:
            return None
        try:
            loaded = load_image(info.path)
        except ImageError:
            return None  # deleted or damaged since: it keeps its place and its coarse box
        return loaded.pixels

    def _load_space_vectors(self, image_id: int) -> FloatArray:
        return self.background(self.index("region").vectors_of_image(image_id))

    def _load_boxes(self, image_id: int) -> list[Region]:
        return self.store.regions_of(image_id)

    def _search_regions(self, query: Query, allowed: IdArray | None) -> list[Hit]:
        if query.feature == "fc":
            index = self.index("region_fc")
            vector = self.extractor.extract([self._cut(query)])[0].fc
        else:
            index = self.index("region")
            vector = self.query_vector(query)
        # Asked with a whole picture, an image that is alike as a whole counts more.
        whole = WHOLE_WEIGHT if query.box is None else 0.0
        k = query.k or max(1, len(index))
        if query.rerank:
            k = max(k, query.candidates)
        matches = index.search_images(vector[None], k, allowed, whole)
        boxes = self.store.regions(matches.ids[0].tolist())
        found = [
            Candidate(image_id, score, boxes[region_id])
            for image_id, region_id, score in zip(
                *(array[0].tolist() for array in matches), strict=True
            )
            if region_id in boxes  # else removed since the vectors were opened
        ]
        if query.rerank:
            found = Reranker(self, query).rerank(vector, found)
        else:
            found[:VOTED] = [self._vote(index, vector, candidate) for candidate in found[:VOTED]]
        return self._to_hits(found[: query.k])

    def _vote(self, index: VectorIndex, vector: FloatArray, candidate: Candidate) -> Candidate:
        """Let the best windows of an image vote for the box; its score stays."""
        scores = index.vectors_of_image(candidate.image_id) @ vector
        return replace(candidate, region=vote_box(self._boxes(candidate.image_id), scores))

    def _cut(self, query: Query) -> Image.Image:
        image, box = self.load_query(query)
        return image if box is None else image.crop(box.as_tuple())

    def _to_hits(self, found: list[Candidate]) -> list[Hit]:
        infos = self.store.image_infos(candidate.image_id for candidate in found)
        there = [candidate for candidate in found if candidate.image_id in infos]
        return [
            Hit(rank, c.image_id, infos[c.image_id].path, min(c.score, 1.0), c.region)
            for rank, c in enumerate(there, 1)
        ]

    def _image_vector(self, query: Query, index: VectorIndex) -> FloatArray:
        if query.image_id is not None and query.box is None:
            try:
                return index.vectors_of(np.array([query.image_id])).reshape(-1)
            except KeyError as error:
                raise InvalidQueryError(
                    f"There is no image {query.image_id} in the store."
                ) from error
        features = self.extractor.extract([self._cut(query)])[0]
        return features.conv if query.feature == "conv" else features.fc
