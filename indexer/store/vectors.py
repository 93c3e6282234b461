"""VectorIndex: nearest vectors by cosine, read from memory-mapped segments; the only faiss user."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from indexer.errors import StoreCorruptError

IdArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
HalfArray = npt.NDArray[np.float16]

CHUNK_ROWS = 65_536  # rows brought to float32 at a time, so that memory stays flat


@dataclass(frozen=True)
class Segment:
    """Vectors that were written together: `ids` (N,) int64 and `vectors` (N, D) float16."""

    ids: IdArray
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

    def __len__(self) -> int:
        """Return how many vectors can be found."""
        return sum(len(s.ids) - np.isin(s.ids, self._removed).sum() for s in self._segments)

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
        self._segments.append(Segment(ids, vectors.astype(np.float16)))

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
                rows = self._live(ids, allowed)
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
            found[here] = segment.vectors[rows[here]]
            missing &= ~here
        missing |= np.isin(ids, self._removed)
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


def _best(ids: IdArray, scores: FloatArray, k: int) -> tuple[IdArray, FloatArray]:
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)


def write_segment(folder: Path, name: str, ids: IdArray, vectors: FloatArray) -> None:
    """Write a segment as two `.npy` files and sync them to the disk."""
    for part, array in (("ids", ids), ("vectors", vectors.astype(np.float16))):
        with (folder / f"{name}.{part}.npy").open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())


def read_segment(folder: Path, name: str, rows: int, dimension: int) -> Segment:
    """Open a segment by memory map.

    Raises `StoreCorruptError` where a file is missing or is not what the catalogue says.
    """
    ids = _map(folder / f"{name}.ids.npy", (rows,), np.dtype(np.int64))
    vectors = _map(folder / f"{name}.vectors.npy", (rows, dimension), np.dtype(np.float16))
    return Segment(ids, vectors)


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
