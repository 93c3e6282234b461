"""MilvusIndex: nearest vectors, and nearest images, by cosine, in a collection of Milvus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexer.arrays import BoolArray, FloatArray, IdArray
from indexer.image_set import ImageSet
from indexer.memory import Shelf
from indexer.store.vectors.image_matches import (
    ImageMatches,
    Matches,
    best_image_matches,
    best_matches,
    checked_queries,
    margin_of,
    ranges,
    rank_images,
    rank_rows,
)
from indexer.store.vectors.index_types import ACCURACY
from indexer.store.vectors.milvus_collection import MilvusCollection, named, spanning
from indexer.store.vectors.milvus_server import MOST_HITS, FoundRows

SPARE = 16  # hits more than asked for, so that ties and rounding seldom need another search
ROWS_AN_IMAGE = 8  # that are near a query, as a first guess
SLACK = {"balanced": 0.02, "compact": 0.1}  # by which scores of compressed vectors may be wrong
WIDER = 4  # times as many hits, where the first were too few to be certain
MOST_BYTES = 64 << 20  # of vectors in an answer
FEW_IMAGES = 32  # whose vectors are compared one by one, where most of them are asked for
NO_IDS: IdArray = np.empty(0, np.int64)
NONE = Matches(NO_IDS, np.empty(0, np.float32))
NO_IMAGES = ImageMatches(NO_IDS, NO_IDS, np.empty(0, np.float32))


class MilvusIndex:
    """See `VectorIndex`.

    What Milvus finds is scored again with the stored vectors. It is asked for more than is wanted,
    and again for more where a score is so near to the last one that rounding may hide what is
    better. Where more is wanted than Milvus finds in a search, all vectors are compared here.
    """

    def __init__(self, collection: MilvusCollection) -> None:
        self._collection = collection
        self.dimension = collection.dimension
        self._count: int | None = None
        self._kept = Shelf()
        self._margin = margin_of(self.dimension)
        self._most = min(MOST_HITS, MOST_BYTES // (4 * self.dimension))

    def __len__(self) -> int:
        if self._count is None:
            self._count = self._collection.count()
        return self._count

    # --- search -------------------------------------------------------------------------------

    def search(self, queries: FloatArray, k: int, allowed: ImageSet | None = None) -> list[Matches]:
        queries = checked_queries(queries, k, self.dimension)
        images = self._images(allowed)
        few = self._few_rows(images, k)
        if few is not None:
            return [best_matches([rank_rows(q, few.ids, few.vectors)], k) for q in queries]
        filters = self._filters(allowed)
        return [self._search_one(query, k, filters) for query in queries]

    def _search_one(self, query: FloatArray, k: int, filters: Sequence[str]) -> Matches:
        parts = [NONE]
        for where in filters:
            parts.append(self._nearest_rows(query, k, where))
        return best_matches(parts, k)

    def _nearest_rows(self, query: FloatArray, k: int, where: str) -> Matches:
        """Return the `k` best rows that an expression allows."""
        limit = self._first_limit(k)
        while limit <= self._most:
            found = self._collection.nearest(query, limit, where)
            match = best_matches([rank_rows(query, found.ids, found.vectors)], k)
            if len(found.ids) == limit and self._is_certain(match.scores, k, found):
                return match
            if len(found.ids) < limit:
                if self._are_all(found, where):
                    return match
                break
            limit = self._wider(limit)
        parts = [NONE]
        for page in self._collection.pages(where):
            parts = [best_matches([*parts, rank_rows(query, page.ids, page.vectors)], k)]
        return parts[0]

    # --- search by image ----------------------------------------------------------------------

    def search_images(
        self, queries: FloatArray, k: int, allowed: ImageSet | None = None
    ) -> list[ImageMatches]:
        queries = checked_queries(queries, k, self.dimension)
        images = self._images(allowed)
        few = self._few_rows(images, k)
        if few is not None:
            return [best_image_matches([_rank_images(q, few)], k) for q in queries]
        filters = self._filters(allowed)
        return [self._search_images_of(query, k, filters) for query in queries]

    def _search_images_of(self, query: FloatArray, k: int, filters: Sequence[str]) -> ImageMatches:
        parts = [NO_IMAGES]
        for where in filters:
            parts.append(self._nearest_images(query, k, where))
        return best_image_matches(parts, k)

    def _nearest_images(self, query: FloatArray, k: int, where: str) -> ImageMatches:
        """Return the `k` best images that an expression allows.

        Each search finds rows of some images, of which the best are scored again; the next one
        leaves those images out of which it is certain that the best row was found. Where these are
        too many to be named, all rows are compared.
        """
        best, limit, rest = NO_IMAGES, self._first_limit(ROWS_AN_IMAGE * k), where
        while len(best.ids) < MOST_HITS:
            limit = min(limit, MOST_HITS)
            found = self._collection.nearest(query, limit, rest, with_vectors=False)
            rows = self._collection.with_ids(found.ids[self._near_best(found)])
            ranked, is_last = _rank_images(query, rows), len(found.ids) < limit
            certain = ranked if is_last else ranked.take(self._are_certain(ranked.scores, found))
            best = best_image_matches([best, certain], len(best.ids) + len(certain.ids))
            if len(best.ids) >= k or (is_last and self._are_all(found, rest)):
                return best_image_matches([best], k)
            if is_last:
                break
            if len(certain.ids):
                rows_an_image = len(found.ids) / len(certain.ids)
                limit = max(limit, round(rows_an_image * (k - len(best.ids))) + SPARE)
            elif limit < MOST_HITS:
                limit *= WIDER
            else:
                break
            rest = " and ".join([where, *(f"not ({t})" for t in named("image_id", best.image_ids))])
        return self._compare_images(query, k, where)

    def _near_best(self, found: FoundRows) -> BoolArray:
        """Return which rows (N,) may be the best of their images, by the scores of the index."""
        _, places = np.unique(found.image_ids, return_inverse=True)
        best = np.full(places.max(initial=-1) + 1, -np.inf, np.float32)
        np.maximum.at(best, places, found.scores)
        near: BoolArray = found.scores >= best[places] - SLACK.get(
            self._collection.index_type, 2 * self._margin
        )
        return near

    def _compare_images(self, query: FloatArray, k: int, where: str) -> ImageMatches:
        parts = [_rank_images(query, page) for page in self._collection.pages(where)]
        image_ids, ids, scores = (np.concatenate(c) for c in zip(NO_IMAGES, *parts, strict=True))
        order = np.lexsort((ids, -scores, image_ids))
        _, firsts = np.unique(image_ids[order], return_index=True)
        best = order[firsts]
        return best_image_matches([ImageMatches(image_ids[best], ids[best], scores[best])], k)

    # --- look-up ------------------------------------------------------------------------------

    def rows_of_images(self, image_ids: IdArray) -> tuple[IdArray, IdArray, FloatArray]:
        found = self._collection.of_images(np.unique(image_ids))
        starts = np.searchsorted(found.image_ids, image_ids)
        counts = np.searchsorted(found.image_ids, image_ids, side="right") - starts
        rows = ranges(starts, counts)
        places = np.repeat(np.arange(len(image_ids)), counts)
        return places, found.ids[rows], found.vectors[rows]

    def rows_of_image(self, image_id: int) -> tuple[IdArray, FloatArray]:
        _, ids, vectors = self.rows_of_images(np.array([image_id], np.int64))
        if not len(ids):
            raise KeyError(f"no vectors of image {image_id}")
        return ids, vectors

    def live_ids(self) -> IdArray:
        return np.concatenate([NO_IDS, *self._collection.pages_of_ids()])

    def sample(self, count: int) -> FloatArray:
        """Return about `count` vectors: ids are dense, but for those of removed images."""
        step = max(1, len(self) // count)
        if step == 1:
            none = np.empty((0, self.dimension), np.float32)
            return np.concatenate([none, *(page.vectors for page in self._collection.pages())])
        return self._collection.with_ids(np.arange(0, self._collection.last_id + 1, step)).vectors

    # --- what they share ----------------------------------------------------------------------

    def _images(self, allowed: ImageSet | None) -> IdArray | None:
        """Return the images that may be found, ascending; None for all."""
        return None if allowed is None else allowed.without(self._collection.removed)

    def _few_rows(self, images: IdArray | None, k: int) -> FoundRows | None:
        """Return the rows of the images that may be found, where most of a few are wanted."""
        if images is None or len(images) > min(FEW_IMAGES, 2 * k):
            return None
        return self._collection.of_images(images)

    def _filters(self, allowed: ImageSet | None) -> list[str]:
        """Return expressions for the rows to be searched, one after the other.

        They are kept for the next search.
        """
        images, visible = self._images(allowed), self._collection.visible
        if images is None or allowed is None:
            return [visible]
        return self._kept.get(
            allowed,
            lambda: [f"{visible} and {term}" for term in spanning("image_id", images)],
            lambda filters: allowed.nbytes + sum(map(len, filters)),
        )

    def _first_limit(self, k: int) -> int:
        accuracy = ACCURACY.get(self._collection.index_type)
        wanted = k if accuracy is None else max(accuracy.least, round(k * accuracy.factor))
        limit = wanted + SPARE
        return self._most if k <= self._most < limit else limit

    def _wider(self, limit: int) -> int:
        return self._most if limit < self._most < WIDER * limit else WIDER * limit

    def _are_all(self, found: FoundRows, where: str) -> bool:
        """Whether there are no other rows for an expression: an approximate index may miss some."""
        collection = self._collection
        if collection.index_type == "exact":
            return True
        return collection.server.count(collection.name, where) <= len(found.ids)

    def _is_certain(self, scores: FloatArray, k: int, found: FoundRows) -> bool:
        """Whether nothing that was not found can be among the `k` best."""
        return len(scores) >= k and bool(self._are_certain(scores[k - 1 : k], found).all())

    def _are_certain(self, scores: FloatArray, found: FoundRows) -> BoolArray:
        """Return which scores (N,) no row that was not found can reach.

        Milvus's scores by an exact index differ from these by rounding only.
        """
        if self._collection.index_type != "exact":
            return np.ones(len(scores), bool)
        floor: float = found.scores.min()
        certain: BoolArray = scores > floor + self._margin
        return certain


def _rank_images(query: FloatArray, found: FoundRows) -> ImageMatches:
    found = found.take(np.lexsort((found.ids, found.image_ids)))
    return rank_images(query, found.ids, found.image_ids, found.vectors)
