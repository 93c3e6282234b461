"""Figures of merit of a ranking."""

from __future__ import annotations

from collections.abc import Sequence

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
    return float((np.arange(1, len(ranks) + 1) / ranks).sum() / positives)


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
    """Return the mean of the best precision at recalls of at least 0, 0.1, …, 1.

    It is what PASCAL VOC used until 2009 (Everingham et al. 2010, section 4.1).
    """
    relevant = _ranked(scores, labels)
    hits = np.cumsum(relevant)
    recalls = hits / max(1, int(relevant.sum()))
    precisions = hits / np.arange(1, len(relevant) + 1)
    reached = [precisions[recalls >= recall - 1e-12] for recall in np.linspace(0, 1, 11)]
    return float(np.mean([values.max() if len(values) else 0.0 for values in reached]))


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
