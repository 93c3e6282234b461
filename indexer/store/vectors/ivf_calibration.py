"""How the recall of an IVF index is measured: questions, and their true answers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, IdArray, unit_rows
from indexer.progress import Progress, no_progress
from indexer.store.vectors.segments import Rows

FAMILIAR = 0.3  # how much of a stored vector is mixed into a question
BLOCK_ROWS = 8192  # compared with the questions at a time
EXCLUDED = -2.0  # below any cosine
SEED = 20_260_101


def make_questions(vectors: FloatArray) -> FloatArray:
    """Return vectors (N, D) like those of photos that are not in the collection.

    A stored vector is found too easily, above all where its near-duplicates are stored too. A
    question is mostly a random direction with the covariance of `vectors` (N, D), mixed with a
    little of two of them.
    """
    count = len(vectors)
    mean = vectors.mean(axis=0)
    weights = np.random.default_rng(SEED).normal(size=(count, count)).astype(np.float32)
    strangers = unit_rows(unit_rows(weights @ (vectors - mean)) + mean)
    return unit_rows(strangers + FAMILIAR * (vectors + np.roll(vectors, 1, axis=0)))


def nearest_rows(
    rows: Rows,
    queries: FloatArray,
    own: npt.NDArray[np.int64],
    k: int,
    progress: Progress = no_progress,
) -> IdArray:
    """Return the rows (Q, k) truly nearest to `queries` (Q, D), but for those in `own` (Q, 2).

    Where there are fewer than k others, the last ones are -1.
    """
    best = np.empty((len(queries), 0), np.int64)
    scores = np.empty((len(queries), 0), np.float32)
    blocks = (
        (start + first, vectors[first : first + BLOCK_ROWS])
        for start, vectors in rows.chunks()
        for first in range(0, len(vectors), BLOCK_ROWS)
    )
    for start, vectors in blocks:
        part = queries @ vectors.T
        for i, (a, b) in enumerate((own - start).tolist()):
            part[i, max(a, 0) : max(b, 0)] = EXCLUDED
        top = np.argpartition(-part, min(k, part.shape[1]) - 1, axis=1)[:, :k]
        best = np.hstack([best, top + start])
        scores = np.hstack([scores, np.take_along_axis(part, top, 1)])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(best, order, 1)
        scores = np.take_along_axis(scores, order, 1)
        progress("measuring the recall of the IVF index", start + len(vectors), len(rows))
    best[scores == EXCLUDED] = -1
    return best


def spread_rows(count: int, wanted: int) -> IdArray:
    """Return `wanted` of `count` rows in order, chosen at random, always the same."""
    if wanted >= count:
        return np.arange(count, dtype=np.int64)
    chosen: IdArray = np.random.default_rng(SEED).choice(count, wanted, replace=False)
    return np.sort(chosen).astype(np.int64)


def probe_steps(most: int) -> list[int]:
    steps = [1]
    while steps[-1] < most:
        steps.append(min(most, max(steps[-1] + 1, round(steps[-1] * 1.3))))
    return steps
