"""Ranking vectors, and images by the best of their vectors, with scores that depend on each alone.

A matrix product finds what is likely to be among the best; those are scored again row by row. So
the scores of a query do not depend on the queries asked with it, nor on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from indexer.arrays import BoolArray, FloatArray, IdArray, cosines

QUERIES_AT_ONCE = 64
Chosen = IdArray | slice
"""Rows of an array, as numbers or as a slice."""
ALL = slice(None)


class Matches(NamedTuple):
    """Nearest vectors, best first: ids (k,) and scores (k,)."""

    ids: IdArray
    scores: FloatArray


class ImageMatches(NamedTuple):
    """Best images, best first: image ids (k,), the id of the best vector of each, and scores."""

    image_ids: IdArray
    ids: IdArray
    scores: FloatArray

    def take(self, rows: IdArray | BoolArray | slice) -> ImageMatches:
        """Return these matches."""
        return ImageMatches(self.image_ids[rows], self.ids[rows], self.scores[rows])

    def split(self, count: int) -> tuple[ImageMatches, ImageMatches]:
        """Return the first `count` matches, and the others."""
        return self.take(slice(count)), self.take(slice(count, None))


def checked_queries(queries: FloatArray, k: int, dimension: int) -> FloatArray:
    """Return queries (Q, D) as they are compared; raises `ValueError` or `TypeError`."""
    queries = np.asarray(queries)
    if queries.ndim != 2 or queries.shape[1] != dimension:
        raise ValueError(f"queries must have shape (Q, {dimension}), not {tuple(queries.shape)}")
    if queries.dtype != np.float32:
        raise TypeError(f"queries must be float32, not {queries.dtype}")
    if not np.isfinite(queries).all():
        raise ValueError("queries must be finite")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    return np.ascontiguousarray(queries)


def image_blocks(image_ids: IdArray, rows: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of blocks of about so many rows that cut no image in two."""
    if not len(image_ids):
        return
    firsts = _firsts(image_ids)
    start = 0
    while start < len(image_ids):
        later = firsts[firsts >= start + rows]
        stop = int(later[0]) if len(later) else len(image_ids)
        yield start, stop
        start = stop


def likely_rows(queries: FloatArray, vectors: FloatArray, k: int) -> Iterator[Chosen]:
    """Yield for each query (Q, D) the rows of unit vectors (N, D) that may be among its k best."""
    if k >= len(vectors):
        yield from (ALL for _ in queries)
        return
    for scores in _products(queries, vectors):
        yield from (_near_best(row, k, vectors.shape[1]) for row in scores)


def likely_image_rows(
    queries: FloatArray, image_ids: IdArray, vectors: FloatArray, k: int
) -> Iterator[Chosen]:
    """Yield for each query (Q, D) all rows of the images that may be among its k best.

    `image_ids` (N,) are the images of unit vectors (N, D), see `rank_images`.
    """
    firsts = _firsts(image_ids)
    if k >= len(firsts):
        yield from (ALL for _ in queries)
        return
    stops = np.append(firsts[1:], len(image_ids))
    for scores in _products(queries, vectors):
        best = np.maximum.reduceat(scores, firsts, axis=1)  # (Q, images)
        for row in best:
            near = _near_best(row, k, vectors.shape[1])
            yield ranges(firsts[near], stops[near] - firsts[near])


def rank_rows(query: FloatArray, ids: IdArray, vectors: FloatArray) -> Matches:
    """Return the scores of vectors (N, D) with a query (D,)."""
    return Matches(ids, cosines(vectors, query))


def rank_images(
    query: FloatArray, ids: IdArray, image_ids: IdArray, vectors: FloatArray
) -> ImageMatches:
    """Return the scores of images with a query (D,), see `VectorIndex.search_images`.

    `ids` (N,) and `vectors` (N, D) are those of whole images, the owners in `image_ids` (N,).
    """
    scores = cosines(vectors, query)
    firsts = _firsts(image_ids)
    best = np.maximum.reduceat(scores, firsts) if len(firsts) else np.empty(0, np.float32)
    counts = np.diff(np.append(firsts, len(image_ids)))
    is_best = np.flatnonzero(scores == np.repeat(best, counts))
    rows = is_best[np.searchsorted(is_best, firsts)]
    return ImageMatches(image_ids[firsts], ids[rows], best)


def best_matches(parts: Sequence[Matches], k: int) -> Matches:
    """Return the k best of several matches, ties by id."""
    ids, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.lexsort((ids, -scores))[:k]
    return Matches(ids[order], scores[order])


def best_image_matches(parts: Sequence[ImageMatches], k: int) -> ImageMatches:
    """Return the k best of several matches of different images, ties by image id."""
    image_ids, ids, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return ImageMatches(image_ids, ids, scores).take(np.lexsort((image_ids, -scores))[:k])


def ranges(starts: IdArray, counts: IdArray) -> IdArray:
    """Return the numbers of several ranges, one after the other."""
    before = np.cumsum(counts) - counts
    numbers: IdArray = np.repeat(starts - before, counts) + np.arange(counts.sum())
    return numbers


def _products(queries: FloatArray, vectors: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        yield queries[start : start + QUERIES_AT_ONCE] @ vectors.T


def margin_of(dimension: int) -> float:
    """Return how much two sums of so many products of unit vectors differ at most in float32."""
    return 2 * dimension * float(np.finfo(np.float32).eps)


def _near_best(scores: FloatArray, k: int, dimension: int) -> IdArray:
    """Return where scores (N,) are among the k best, or so near that rounding may hide it."""
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k] - margin_of(dimension)
    return np.flatnonzero(scores >= threshold)


def _firsts(image_ids: IdArray) -> IdArray:
    """Return the first row of each image, given the image of each row (N,)."""
    if not len(image_ids):
        return np.empty(0, np.int64)
    return np.flatnonzero(np.append(True, image_ids[1:] != image_ids[:-1]))
