"""ImageMatches: images by the best of their vectors, and the choice of the best."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from indexer.store.segments import FloatArray, IdArray


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


def image_blocks(image_ids: IdArray, rows: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of blocks of about so many rows that cut no image in two."""
    if not len(image_ids):
        return
    firsts = np.flatnonzero(np.r_[True, image_ids[1:] != image_ids[:-1]])
    start = 0
    while start < len(image_ids):
        later = firsts[firsts >= start + rows]
        stop = int(later[0]) if len(later) else len(image_ids)
        yield start, stop
        start = stop


def best_images(
    queries: FloatArray,
    ids: IdArray,
    image_ids: IdArray,
    vectors: FloatArray,
    k: int,
    whole: float,
) -> ImageMatches:
    """Return the k best images (Q, k) for queries (Q, D), see `VectorIndex.search_images`.

    `ids` (N,) and `vectors` (N, D) are those of whole images, the owners in `image_ids` (N,).
    """
    if not len(ids):
        return ImageMatches.empty(len(queries))
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


def best(ids: IdArray, scores: FloatArray, k: int) -> tuple[IdArray, FloatArray]:
    """Return the k best of ids (Q, N) and their scores (Q, N), best first, ties by id."""
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
