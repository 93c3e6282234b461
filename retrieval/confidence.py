"""Confidence: how improbable a score would be by chance, calibrated on the store itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, IdArray, one_blas_thread
from indexer.choices import Scope
from indexer.store.vectors.protocol import VectorIndex

SAMPLED = 128  # images of the store, each as a query and as an answer
LEAST = 16  # images that tell what chance is
# From here a hit counts as found. What any collection has somewhere, such as sky, fences or wheels,
# is found in one of its many windows more easily than in a whole image.
CONFIDENT: Mapping[Scope, float] = {"image": 0.95, "region": 0.995}
PROVED = 1.0  # of a hit that geometry proved, and of no other
HIGHEST = 0.999999  # without a proof: 128 images cannot tell rarer chances
LOW, HIGH = 0.25, 0.75  # quantiles of scores: related images, fewer than a quarter, do not matter
LOW_TO_HIGH = 1.3489795  # how far apart they lie in a normal distribution, in deviations


@dataclass(frozen=True)
class ChanceScores:
    """What unrelated images score: means and deviations (Q,), of sample queries."""

    means: npt.NDArray[np.float64]
    deviations: npt.NDArray[np.float64]

    def confidences(self, scores: Sequence[float], images: int) -> list[float]:
        """Return for each score the probability that no one of so many unrelated images reaches it.

        Scores of a query with unrelated images are taken as normally distributed, and the query as
        an ordinary one of the store: the median over the sample. No score by itself is certain:
        the most is `HIGHEST`.
        """
        above = (np.array(scores, np.float64)[:, None] - self.means) / self.deviations
        tails = (0.5 * math.erfc(z / math.sqrt(2)) for z in np.median(above, axis=1).tolist())
        none = (math.exp(images * math.log1p(-tail)) if tail < 1 else 0.0 for tail in tails)
        return [min(confidence, HIGHEST) for confidence in none]


def calibrate(
    index: VectorIndex, image_ids: IdArray, whole: VectorIndex | None = None
) -> ChanceScores | None:
    """Return what chance scores in a store, from pairs of sampled images (N,) of it.

    One vector of each is compared with every other image as a search does: with its best vector,
    and, where the query is a whole picture, with that of the `whole` image. None where there are
    too few images to tell.
    """
    spread = np.linspace(0, len(image_ids) - 1, min(SAMPLED, len(image_ids))).astype(np.int64)
    places, vectors = _rows_in_order(index, image_ids[spread])
    present, firsts = np.unique(places, return_index=True)
    if len(firsts) < LEAST:
        return None
    scores = _score_pairs(vectors, firsts, is_whole=whole is not None)
    if whole is not None:
        _, wholes = _rows_in_order(whole, image_ids[spread][present])
        with one_blas_thread():
            scores = (scores + wholes @ wholes.T) / 2
    np.fill_diagonal(scores, np.nan)
    low, high = np.nanquantile(scores, [LOW, HIGH], axis=1)
    deviations = np.maximum((high - low) / LOW_TO_HIGH, 1e-6)
    return ChanceScores((low + high) / 2, deviations)


def _rows_in_order(index: VectorIndex, image_ids: IdArray) -> tuple[IdArray, FloatArray]:
    """Return the vectors (R, D) of images, one image after the other, and the place of each."""
    places, _, vectors = index.rows_of_images(image_ids)
    order = np.argsort(places, kind="stable")
    return places[order], vectors[order]


def _score_pairs(
    vectors: FloatArray, firsts: IdArray, *, is_whole: bool
) -> npt.NDArray[np.float64]:
    """Return the scores (N, N) of one vector of each image with all images.

    The vectors of an image follow one another from its place in `firsts`.
    """
    counts = np.diff([*firsts, len(vectors)])
    # The first vector is that of the whole picture; else another window of each image is taken, so
    # that all sizes and places occur.
    shift = 0 if is_whole else np.arange(len(firsts)) % counts
    with one_blas_thread():
        products = vectors[firsts + shift] @ vectors.T
    best: npt.NDArray[np.float64]
    best = np.maximum.reduceat(products, firsts, axis=1).astype(np.float64)
    return best
