"""Figures of merit of a ranking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt


def average_precision(relevant: Sequence[bool] | npt.NDArray[np.bool_], positives: int) -> float:
    """Return the mean over the positives of the precision at their rank (the finite sum).

    `relevant` tells for each rank, junk taken out, whether it holds a positive; `positives` is
    how many there are in all, so that one not returned adds nothing. The Oxford benchmark's
    trapezoidal variant gives slightly other figures.
    """
    if positives < 1:
        raise ValueError(f"average precision needs at least one positive, not {positives}")
    ranks = np.flatnonzero(np.asarray(relevant, bool)) + 1
    return average_precision_at(ranks.tolist(), positives)


def average_precision_at(ranks: Iterable[int], positives: int) -> float:
    """Return the same of the ranks (from 1, ascending) that hold the positives found."""
    total = 0.0
    for found, rank in enumerate(ranks, 1):
        total += found / rank
    return total / positives


def bootstrap_interval(
    values: Sequence[float], *, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of values (N,), drawn with replacement.

    It is the same each time. Efron and Tibshirani 1993, chapter 13.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    random = np.random.default_rng(seed)
    given = np.asarray(values, np.float64)
    means = [given[random.integers(len(given), size=len(given))].mean() for _ in range(resamples)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def ranked_average_precision(
    scores: npt.NDArray[np.floating], labels: npt.NDArray[np.int8]
) -> float:
    """Return the average precision (finite sum) of a class: images (N,) ranked by their scores.

    Labels are 1, 0, and -1 for images that are not counted. Ties are ranked by their place.
    """
    relevant = _ranked(scores, labels)
    return average_precision(relevant, int(relevant.sum()))


def interpolated_average_precision(
    scores: npt.NDArray[np.floating], labels: npt.NDArray[np.int8]
) -> float:
    """Return `interpolated_precision` of a class: images (N,) ranked by their scores."""
    return interpolated_precision(_ranked(scores, labels))


def interpolated_precision(relevant: npt.NDArray[np.bool_]) -> float:
    """Return the mean of the best precision at recalls of at least 0, 0.1, …, 1.

    It is what PASCAL VOC used until 2009 (Everingham et al. 2010, section 4.1).
    """
    hits = np.cumsum(relevant)
    recalls = hits / max(1, int(relevant.sum()))
    precisions = hits / np.arange(1, len(relevant) + 1)
    reached = [precisions[recalls >= recall - 1e-12] for recall in np.linspace(0, 1, 11)]
    return float(np.mean([values.max() if len(values) else 0.0 for values in reached]))


def area_under_curve(relevant: npt.NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: how often a relevant image is ranked before another.

    Where all are relevant, or none is, there is nothing to tell apart, and it is one half.
    """
    others = int((~relevant).sum())
    if others in (0, len(relevant)):
        return 0.5
    before = np.cumsum(~relevant)[relevant]  # others ranked before each
    return float(1 - before.mean() / others)


def expected_calibration_error(
    probabilities: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_], bins: int = 10
) -> float:
    """Return by how much probabilities (N,) differ from the share of positives, on average.

    They are compared in bins of equal width, which weigh by their images (Naeini et al. 2015).
    """
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    excess = np.bincount(place, probabilities - positive, minlength=bins)
    return float(np.abs(excess).sum() / len(probabilities))


def _ranked(
    scores: npt.NDArray[np.floating], labels: npt.NDArray[np.int8]
) -> npt.NDArray[np.bool_]:
    """Return for each rank whether it holds a positive; what is not counted is taken out."""
    counted = labels >= 0
    order = np.argsort(-scores[counted], kind="stable")
    return np.asarray(labels[counted][order] == 1)
