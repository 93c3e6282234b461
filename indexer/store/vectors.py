"""VectorIndex: nearest vectors by cosine, read from memory-mapped segments; the only faiss user."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from indexer.errors import StoreCorruptError

IdArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
HalfArray = npt.NDArray[np.float16]

KEPT_BYTES = 1 << 30  # of float32 rows that stay in memory between searches
CHUNK_ROWS = 65_536  # rows brought to float32 at a time, so that memory stays flat


@dataclass(frozen=True)
class Segment:
    """Vectors that were written together.

    `ids` (N,) int64, `image_ids` (N,) int64, the image that each belongs to, those of one image
    side by side, and `vectors` (N, D) float16. For vectors of whole images both ids are the same.
    """

    ids: IdArray
    image_ids: IdArray
    vectors: HalfArray


class VectorIndex:
    """Exact search by inner product over segments of unit vectors of one dimension.

    Vectors are stored as float16, which changes a cosine by less than 0.001, and searched in
    float32. Ids are unique and never negative.
    """

    def __init__(self, dimension: int, segments: Sequence[Segment] = ()) -> None:
        if dimension < 1:
            raise ValueError(f"the dimension must be at least 1, not {dimension}")
        self.dimension = dimension
        self._segments = list(segments)
        self._removed: IdArray = np.empty(0, np.int64)
        self._kept: dict[tuple[int, int], FloatArray] = {}
        self._kept_bytes = 0

    def __len__(self) -> int:
        """Return how many vectors can be found."""
        return sum(len(s.ids) - np.isin(s.image_ids, self._removed).sum() for s in self._segments)

    def add(self, ids: IdArray, vectors: FloatArray) -> None:
        """Add `vectors` (N, D) float32 under `ids` (N,); ids must be new."""
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
        self._segments.append(Segment(ids, ids, vectors.astype(np.float16)))

    def remove(self, ids: IdArray) -> None:
        """Hide the vectors with these ids from now on; unknown ids are ignored."""
        self._removed = np.union1d(self._removed, np.asarray(ids, np.int64))

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
        found_ids: list[IdArray] = [np.empty((len(queries), 0), np.int64)]
        found_scores: list[FloatArray] = [np.empty((len(queries), 0), np.float32)]
        for segment in self._segments:
            for start in range(0, len(segment.ids), CHUNK_ROWS):
                ids = np.asarray(segment.ids[start : start + CHUNK_ROWS])
                owners = np.asarray(segment.image_ids[start : start + CHUNK_ROWS])
                rows = self._live(owners, allowed)
                if not len(rows):
                    continue
                vectors = segment.vectors[start : start + CHUNK_ROWS]
                part = np.ascontiguousarray(vectors[rows] if len(rows) < len(ids) else vectors)
                scores, places = faiss.knn(
                    queries,
                    part.astype(np.float32),
                    min(k, len(rows)),
                    metric=faiss.METRIC_INNER_PRODUCT,
                )
                found_ids.append(ids[rows][places])
                found_scores.append(scores)
        return _best(np.hstack(found_ids), np.hstack(found_scores), k)

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
        parts = [ImageMatches.empty(len(queries))]
        for segment in self._segments:
            for start, stop in _image_blocks(np.asarray(segment.image_ids)):
                image_ids = np.asarray(segment.image_ids[start:stop])
                keep = self._live(image_ids, allowed)
                if len(keep):
                    vectors = self._as_float32(segment, start, stop)
                    vectors = vectors if len(keep) == stop - start else vectors[keep]
                    ids = np.asarray(segment.ids[start:stop])[keep]
                    parts.append(_best_images(queries, ids, image_ids[keep], vectors, k, whole))
        image_ids = np.hstack([part.image_ids for part in parts])
        ids = np.hstack([part.ids for part in parts])
        scores = np.hstack([part.scores for part in parts])
        order = np.lexsort((image_ids, -scores), axis=1)[:, :k]
        return ImageMatches(
            np.take_along_axis(image_ids, order, 1),
            np.take_along_axis(ids, order, 1),
            np.take_along_axis(scores, order, 1),
        )

    def vectors_of_image(self, image_id: int) -> FloatArray:
        """Return the vectors (R, D) float32 of one image, in order; raises `KeyError`."""
        if image_id in self._removed:
            raise KeyError(f"no vectors of image {image_id}")
        for segment in self._segments:
            # A segment's image ids ascend: ids are given in the order of the commits.
            start, stop = np.searchsorted(segment.image_ids, [image_id, image_id + 1])
            if stop > start:
                return segment.vectors[start:stop].astype(np.float32)
        raise KeyError(f"no vectors of image {image_id}")

    def sample(self, count: int) -> FloatArray:
        """Return about `count` vectors (N, D) float32, evenly spread over all; all if fewer."""
        total = sum(len(segment.ids) for segment in self._segments)
        step = max(1, total // count)
        parts = []
        for segment in self._segments:
            live = ~np.isin(segment.image_ids[::step], self._removed)
            parts.append(segment.vectors[::step][live].astype(np.float32))
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
            found[here] = segment.vectors[rows[here]]
            missing &= ~here
        if missing.any():
            raise KeyError(f"no vector with id {ids[missing][0]}")
        return found

    def _live(self, ids: IdArray, allowed: IdArray | None) -> npt.NDArray[np.intp]:
        keep = np.ones(len(ids), bool)
        if len(self._removed):
            keep &= ~np.isin(ids, self._removed)
        if allowed is not None:
            keep &= np.isin(ids, allowed)
        return np.flatnonzero(keep)

    def _as_float32(self, segment: Segment, start: int, stop: int) -> FloatArray:
        """Return rows of a segment in float32; the first `KEPT_BYTES` of them stay in memory."""
        key = (id(segment), start)
        block = self._kept.get(key)
        if block is None:
            block = segment.vectors[start:stop].astype(np.float32)
            if self._kept_bytes + block.nbytes <= KEPT_BYTES:
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


class ImageMatches(NamedTuple):
    """Matches of Q queries: image ids, ids of the best vector of each, and scores, all (Q, k)."""

    image_ids: IdArray
    ids: IdArray
    scores: FloatArray

    @classmethod
    def empty(cls, queries: int) -> ImageMatches:
        """Return no matches for each query."""
        none = np.empty((queries, 0), np.int64)
        return cls(none, none, np.empty((queries, 0), np.float32))


def _image_blocks(image_ids: IdArray) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of blocks of about `CHUNK_ROWS` rows that cut no image in two."""
    if not len(image_ids):
        return
    firsts = np.flatnonzero(np.r_[True, image_ids[1:] != image_ids[:-1]])
    start = 0
    while start < len(image_ids):
        later = firsts[firsts >= start + CHUNK_ROWS]
        stop = int(later[0]) if len(later) else len(image_ids)
        yield start, stop
        start = stop


def _best_images(
    queries: FloatArray,
    ids: IdArray,
    image_ids: IdArray,
    vectors: FloatArray,
    k: int,
    whole: float,
) -> ImageMatches:
    scores = queries @ vectors.T  # (Q, rows)
    starts = np.flatnonzero(np.r_[True, image_ids[1:] != image_ids[:-1]])
    best = np.maximum.reduceat(scores, starts, axis=1)  # (Q, images)
    if whole:
        best = (best + whole * scores[:, starts]) / (1 + whole)
    top = np.argsort(-best, axis=1, kind="stable")[:, :k]
    ends = np.r_[starts[1:], len(ids)]
    rows = np.array(
        [
            [s + scores[q, s:e].argmax() for s, e in zip(starts[t], ends[t], strict=True)]
            for q, t in enumerate(top)
        ],
        np.intp,
    ).reshape(top.shape)
    return ImageMatches(image_ids[starts[top]], ids[rows], np.take_along_axis(best, top, 1))


def _best(ids: IdArray, scores: FloatArray, k: int) -> tuple[IdArray, FloatArray]:
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)


def write_segment(
    folder: Path, name: str, ids: IdArray, image_ids: IdArray, vectors: FloatArray
) -> None:
    """Write a segment as `.npy` files and sync them to the disk."""
    parts: dict[str, np.ndarray] = {
        "ids": ids,
        "images": image_ids,
        "vectors": vectors.astype(np.float16),
    }
    for part, array in parts.items():
        with (folder / f"{name}.{part}.npy").open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())


def read_segment(folder: Path, name: str, rows: int, dimension: int) -> Segment:
    """Open a segment by memory map.

    Raises `StoreCorruptError` where a file is missing or is not what the catalogue says.
    """
    ids = _map(folder / f"{name}.ids.npy", (rows,), np.dtype(np.int64))
    image_ids = _map(folder / f"{name}.images.npy", (rows,), np.dtype(np.int64))
    vectors = _map(folder / f"{name}.vectors.npy", (rows, dimension), np.dtype(np.float16))
    return Segment(ids, image_ids, vectors)


def _map(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    remedy = "Restore it from a backup, or build the store anew with cbir index --rebuild."
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise StoreCorruptError(f"The vector file {path} is missing. {remedy}") from error
    except (OSError, ValueError, EOFError) as error:
        raise StoreCorruptError(f"The vector file {path} is damaged ({error}). {remedy}") from error
    if array.shape != shape or array.dtype != dtype:
        raise StoreCorruptError(
            f"The vector file {path} holds {array.dtype} {array.shape}, the catalogue says "
            f"{dtype} {shape}. {remedy}"
        )
    return array
