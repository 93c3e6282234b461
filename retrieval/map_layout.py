"""Laying vectors out on a plane, and placing further ones among those that lie there."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from indexer.arrays import FloatArray
from indexer.progress import Progress

COMPONENTS = 50  # principal components that the neighbours are looked for in
EXAGGERATED, FURTHER = 250, 500  # iterations, as openTSNE has them
EVERY = 25  # iterations between two reports
NEIGHBOURS = 10  # whose middle is the place of a further vector
BLOCK = 256  # vectors that are compared with all others at a time
PARALLEL_IMAGES = 500  # with fewer, threads wait more than they work


class MappingStopped(KeyboardInterrupt):
    """The user stopped the laying out."""


def require_going_on(stop: Callable[[], bool]) -> None:
    """Raise `MappingStopped` once `stop` says so."""
    if stop():
        raise MappingStopped


def principal_components(sample: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean (D,) of vectors (N, D) and their first axes (D, C)."""
    mean = sample.mean(axis=0)
    centred = sample - mean
    _, _, axes = np.linalg.svd(centred.T @ centred)
    return mean, axes[:COMPONENTS].T


def lay_out(vectors: FloatArray, progress: Progress, stop: Callable[[], bool]) -> FloatArray:
    """Return points (N, 2) for vectors (N, C), those that are alike close together.

    t-SNE (van der Maaten and Hinton 2008) from the first two principal components; its forces are
    interpolated where there are many vectors (FIt-SNE, Linderman et al. 2019). Raises
    `MappingStopped`.
    """
    from openTSNE import TSNE

    done = 0

    def watch(_iteration: int, _error: float, _points: FloatArray) -> None:
        nonlocal done
        done += EVERY
        progress("Laying out", done, EXAGGERATED + FURTHER)
        require_going_on(stop)

    progress("Finding neighbours", 0, 0)
    layout = TSNE(
        perplexity=min(30.0, (len(vectors) - 1) / 3),
        early_exaggeration_iter=EXAGGERATED,
        n_iter=FURTHER,
        initialization="pca",
        random_state=0,
        n_jobs=1 if len(vectors) < PARALLEL_IMAGES else os.cpu_count() or 1,
        callbacks=watch,
        callbacks_every_iters=EVERY,
    ).fit(vectors)
    return np.asarray(layout, np.float32)


def place(
    vectors: FloatArray,
    laid_out: FloatArray,
    points: FloatArray,
    progress: Progress,
    stop: Callable[[], bool],
) -> FloatArray:
    """Return points (M, 2) for vectors (M, C), among the `points` (N, 2) of those `laid_out`.

    Each is the median of the points of its nearest neighbours in `laid_out` (N, C), where openTSNE
    lets further points start from (Poličar et al. 2019). So it depends on its own vector and on the
    layout alone, and the layout stays as it is. Raises `MappingStopped`.
    """
    count = min(NEIGHBOURS, len(laid_out))
    lengths = np.einsum("nc,nc->n", laid_out, laid_out)
    found = np.empty((len(vectors), 2), np.float32)
    for start in range(0, len(vectors), BLOCK):
        require_going_on(stop)
        progress("Placing images", start, len(vectors))
        block = slice(start, start + BLOCK)
        distances = lengths - 2 * (vectors[block] @ laid_out.T)  # but for each row's own length
        nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
        found[block] = np.median(points[nearest], axis=1)
    return found
