"""VectorIndex: nearest vectors, and nearest images, by cosine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from indexer.store.approximate import ApproximateIndex
from indexer.store.listed import FEW_ROWS, ListedRows
from indexer.store.matches import ImageMatches, best, best_images, image_blocks
from indexer.store.segments import FloatArray, IdArray, Rows, Segment, to_float32

SCANNED_ROWS = 65_536  # compared at a time
QUERIES_AT_ONCE = 64  # compared with `SCANNED_ROWS` at a time
KEPT_BYTES = 1 << 30  # of float32 rows that stay in memory between searches


class VectorIndex:
    """Search by inner product over segments of unit vectors of one dimension.

    Vectors are stored as float16, which changes a cosine by less than 0.001, and compared in
    float32. Ids are unique and never negative.

    With `lists`, the first segments, those whose rows are in them, are searched approximately;
    what was added since is compared one by one. Scores are exact either way.
    """

    def __init__(
        self,
        dimension: int,
        segments: Sequence[Segment] = (),
        lists: ApproximateIndex | None = None,
    ) -> None:
        if dimension < 1:
            raise ValueError(f"the dimension must be at least 1, not {dimension}")
        self.dimension = dimension
        self._segments = list(segments)
        self._listed_segments = self._count_listed(lists)
        self._listed: ListedRows | None = None
        if lists is not None:
            self._listed = ListedRows(lists, Rows(self._segments[: self._listed_segments]))
        self._removed: IdArray = np.empty(0, np.int64)
        self._kept: dict[tuple[int, int, int], FloatArray] = {}
        self._kept_bytes = 0
        self._asked = False

    @property
    def lists(self) -> ApproximateIndex | None:
        """The lists that the first segments are searched in, if any."""
        return None if self._listed is None else self._listed.lists

    def __len__(self) -> int:
        """Return how many vectors can be found."""
        return sum(len(s.ids) - np.isin(s.image_ids, self._removed).sum() for s in self._segments)

    def add(self, ids: IdArray, vectors: FloatArray) -> None:
        """Add `vectors` (N, D) float32 under new `ids` (N,), in whatever order."""
        ids = np.asarray(ids)
        if ids.ndim != 1 or ids.dtype != np.int64 or (ids < 0).any():
            raise ValueError("ids must be a 1-d array of int64, none negative")
        vectors = self._checked(vectors)
        if len(ids) != len(vectors):
            raise ValueError(f"{len(ids)} ids were given for {len(vectors)} vectors")
        if len(np.unique(ids)) != len(ids) or any(
            np.isin(ids, s.ids).any() for s in self._segments
        ):
            raise ValueError("an id was given twice, or is in the index already")
        order = np.argsort(ids)
        ids = ids[order]
        self._segments.append(Segment(ids, ids, vectors[order].astype(np.float16)))

    def remove(self, ids: IdArray) -> None:
        """Hide the vectors with these ids from now on; unknown ids are ignored."""
        self._removed = np.concatenate([self._removed, np.asarray(ids, np.int64)])

    def search(
        self, queries: FloatArray, k: int, allowed: IdArray | None = None
    ) -> tuple[IdArray, FloatArray]:
        """Return ids (Q, k') and scores (Q, k') of the nearest vectors, best first.

        Ties stand in order of id, as far as they do not straddle the k-th place.

        `queries` is (Q, D) float32; k' is `k` or as many as there are; `allowed` restricts the
        search to these ids before it starts.
        """
        queries = self._checked(queries)
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        listed = None
        if self._listed is not None:
            listed = self._listed.search(queries, k, allowed, self._removed)
        found_ids: list[IdArray] = [np.empty((len(queries), 0), np.int64)]
        found_scores: list[FloatArray] = [np.empty((len(queries), 0), np.float32)]
        if listed is not None:
            found_ids.append(listed[0])
            found_scores.append(listed[1])
        for segment in self._segments[0 if listed is None else self._listed_segments :]:
            for start in range(0, len(segment.ids), SCANNED_ROWS):
                ids = np.asarray(segment.ids[start : start + SCANNED_ROWS])
                owners = np.asarray(segment.image_ids[start : start + SCANNED_ROWS])
                rows = self._live(owners, allowed)
                if not len(rows):
                    continue
                if len(rows) == len(ids):
                    vectors = self._as_float32(segment, start, start + len(ids))
                else:
                    vectors = to_float32(segment.vectors[start : start + SCANNED_ROWS][rows])
                scores, places = _nearest(queries, vectors, min(k, len(rows)))
                found_ids.append(ids[rows][places])
                found_scores.append(scores)
        self._asked = True
        return best(np.hstack(found_ids), np.hstack(found_scores), k)

    def search_images(
        self, queries: FloatArray, k: int, allowed: IdArray | None = None, whole: float = 0.0
    ) -> ImageMatches:
        """Return the best images (Q, k'), each once, by the best of its vectors.

        An image scores `max + whole * first`, over `1 + whole`, where `first` is the score of its
        first vector, that of the whole image; `whole` is 0 for queries that are a part of a
        picture. `allowed` restricts the search to these image ids; removed ones are left out.
        """
        queries = self._checked(queries)
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        few = self._few_images(allowed)
        if few is not None:
            places, ids, vectors = self.rows_of_images(few)
            return best_images(queries, ids, few[places], vectors, k, whole)
        listed = None
        if self._listed is not None:
            listed = self._listed.search_images(queries, k, allowed, self._removed, whole)
        parts = [ImageMatches.empty(len(queries)) if listed is None else listed]
        for segment in self._segments[0 if listed is None else self._listed_segments :]:
            for start, stop in image_blocks(np.asarray(segment.image_ids), SCANNED_ROWS):
                image_ids = np.asarray(segment.image_ids[start:stop])
                keep = self._live(image_ids, allowed)
                if len(keep):
                    vectors = self._as_float32(segment, start, stop)
                    vectors = vectors if len(keep) == stop - start else vectors[keep]
                    ids = np.asarray(segment.ids[start:stop])[keep]
                    parts.append(best_images(queries, ids, image_ids[keep], vectors, k, whole))
        self._asked = True
        if listed is not None and len(parts) == 1:
            return listed
        image_ids = np.hstack([part.image_ids for part in parts])
        ids = np.hstack([part.ids for part in parts])
        scores = np.hstack([part.scores for part in parts])
        order = np.lexsort((image_ids, -scores), axis=1)[:, :k]
        return ImageMatches(
            np.take_along_axis(image_ids, order, 1),
            np.take_along_axis(ids, order, 1),
            np.take_along_axis(scores, order, 1),
        )

    def rows_of_images(self, image_ids: IdArray) -> tuple[IdArray, IdArray, FloatArray]:
        """Return the rows of these images (N,), those of one image in order.

        They are places in `image_ids` (R,), ids (R,) and vectors (R, D) float32. Images that are
        not there have none.
        """
        none = np.empty(0, np.int64)
        parts = [(none, none, np.empty((0, self.dimension), np.float32))]
        for segment in self._segments:
            starts, counts = _spans(segment, image_ids)
            if counts.any():
                before = np.cumsum(counts) - counts
                rows = np.repeat(starts - before, counts) + np.arange(counts.sum())
                places = np.repeat(np.arange(len(image_ids)), counts)
                parts.append((places, np.asarray(segment.ids)[rows], segment.take(rows)))
        if len(parts) == 2:
            return parts[1]  # nothing to join: most collections are one segment
        places, ids, vectors = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return places, ids, vectors

    def vectors_of_image(self, image_id: int) -> FloatArray:
        """Return the vectors (R, D) float32 of one image, in order; raises `KeyError`."""
        segment, rows = self._home(image_id)
        return to_float32(segment.vectors[rows])

    def ids_of_image(self, image_id: int) -> IdArray:
        """Return the ids (R,) of the vectors of one image, in order; raises `KeyError`."""
        segment, rows = self._home(image_id)
        return np.asarray(segment.ids[rows])

    def _home(self, image_id: int) -> tuple[Segment, slice]:
        if image_id not in self._removed:
            for segment in self._segments:
                # A segment's image ids ascend: ids are given in the order of the commits.
                start, stop = np.searchsorted(segment.image_ids, [image_id, image_id + 1])
                if stop > start:
                    return segment, slice(start, stop)
        raise KeyError(f"no vectors of image {image_id}")

    def live_ids(self) -> IdArray:
        """Return the ids (N,) of all vectors that can be found, in the order of their commits."""
        kept = [np.asarray(s.ids)[~np.isin(s.image_ids, self._removed)] for s in self._segments]
        return np.concatenate([np.empty(0, np.int64), *kept])

    def sample(self, count: int) -> FloatArray:
        """Return about `count` vectors (N, D) float32, evenly spread over all; all if fewer."""
        total = sum(len(segment.ids) for segment in self._segments)
        step = max(1, total // count)
        parts = []
        for segment in self._segments:
            rows = np.arange(0, len(segment.ids), step)
            parts.append(segment.take(rows[~np.isin(segment.image_ids[rows], self._removed)]))
        return np.concatenate([np.empty((0, self.dimension), np.float32), *parts])

    def vectors_of(self, ids: IdArray) -> FloatArray:
        """Return the vectors (N, D) float32 with these ids, in their order.

        Raises `KeyError` for an id that is not there.
        """
        found = np.empty((len(ids), self.dimension), np.float32)
        missing = np.ones(len(ids), bool)
        for segment in self._segments:
            if not len(segment.ids):
                continue
            order = np.argsort(segment.ids, kind="stable")
            places = np.searchsorted(segment.ids, ids, sorter=order)
            rows = order[np.minimum(places, len(order) - 1)]
            here = np.asarray(segment.ids)[rows] == ids
            here &= ~np.isin(np.asarray(segment.image_ids)[rows], self._removed)
            found[here] = segment.take(rows[here])
            missing &= ~here
        if missing.any():
            raise KeyError(f"no vector with id {ids[missing][0]}")
        return found

    def _count_listed(self, lists: ApproximateIndex | None) -> int:
        """Return how many segments, from the first, have their rows in the lists."""
        ends = np.cumsum([0, *(len(segment.ids) for segment in self._segments)])
        places = np.flatnonzero(ends == (0 if lists is None else len(lists)))
        if lists is not None and not len(places):
            raise ValueError(f"no segments have the {len(lists)} rows of the lists")
        return 0 if lists is None else int(places[-1])

    def _few_images(self, allowed: IdArray | None) -> IdArray | None:
        """Return the images to be found, ascending, where they have few rows; else None."""
        if allowed is None or len(allowed) >= FEW_ROWS:
            return None
        images: IdArray = np.setdiff1d(allowed, self._removed)
        rows = sum(int(_spans(segment, images)[1].sum()) for segment in self._segments)
        return images if rows < FEW_ROWS else None

    def _live(self, ids: IdArray, allowed: IdArray | None) -> npt.NDArray[np.intp]:
        keep = np.ones(len(ids), bool)
        if len(self._removed):
            keep &= ~np.isin(ids, self._removed)
        if allowed is not None:
            keep &= np.isin(ids, allowed)
        return np.flatnonzero(keep)

    def _as_float32(self, segment: Segment, start: int, stop: int) -> FloatArray:
        """Return rows of a segment in float32.

        From the second search on the first `KEPT_BYTES` of them stay in memory: a command asks
        once, and memory that is new to a process takes longer to get than to fill.
        """
        key = (id(segment), start, stop)
        block = self._kept.get(key)
        if block is None:
            block = to_float32(segment.vectors[start:stop])
            if self._asked and self._kept_bytes + block.nbytes <= KEPT_BYTES:
                self._kept[key] = block
                self._kept_bytes += block.nbytes
        return block

    def _checked(self, vectors: FloatArray) -> FloatArray:
        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise ValueError(
                f"vectors must have shape (N, {self.dimension}), not {tuple(vectors.shape)}"
            )
        if vectors.dtype != np.float32:
            raise TypeError(f"vectors must be float32, not {vectors.dtype}")
        if not np.isfinite(vectors).all():
            raise ValueError("vectors must be finite")
        return np.ascontiguousarray(vectors)


def _spans(segment: Segment, image_ids: IdArray) -> tuple[IdArray, IdArray]:
    """Return the first row of each image (N,) in a segment, and how many it has there."""
    ends = np.concatenate([image_ids, image_ids + 1])
    starts, stops = np.searchsorted(segment.image_ids, ends).reshape(2, -1)
    return starts, stops - starts


def _nearest(queries: FloatArray, vectors: FloatArray, k: int) -> tuple[FloatArray, IdArray]:
    """Return the k highest scores (Q, k) of queries (Q, D), best first, and their rows.

    A product of matrices uses all cores, and reads each vector once for many queries. What faiss
    has for it takes three to six times as long.
    """
    parts = []
    for start in range(0, max(1, len(queries)), QUERIES_AT_ONCE):
        scores = queries[start : start + QUERIES_AT_ONCE] @ vectors.T
        rows = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        scores = np.take_along_axis(scores, rows, 1)
        order = np.argsort(-scores, axis=1, kind="stable")
        parts.append((np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)))
    best_scores, best_rows = (np.vstack(arrays) for arrays in zip(*parts, strict=True))
    return best_scores, best_rows
