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
