"""Calibration: scores to probabilities, and probabilities to another share of positives.

Platt 1999, Probabilistic outputs for support vector machines; Saerens, Latinne and Decaestecker
2002, Adjusting the outputs of a classifier to new a priori probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.arrays import BoolArray, FloatArray

Probabilities = npt.NDArray[np.float64]

UNREGULARISED = 1e10
ROUNDS = 1000  # of EM at most
TOLERANCE = 1e-7  # of the prior, at which EM ends
PRIOR_FROM = 100_000  # probabilities, evenly spread, from which a prior is estimated


@dataclass(frozen=True)
class Calibration:
    """The probability of a positive as a sigmoid: 1 / (1 + exp(-(slope * score + intercept))).

    It holds where the share of positives is `prior`, that of the examples it was fitted on.
    """

    slope: float
    intercept: float
    prior: float

    def probabilities(self, scores: FloatArray) -> Probabilities:
        """Return the probabilities (N,) of scores (N,), where the share of positives is `prior`."""
        return _sigmoid(self.slope * scores.astype(np.float64) + self.intercept)


def fit_platt(scores: FloatArray, positive: BoolArray) -> Calibration:
    """Fit a sigmoid to the scores (N,) of examples that were held out.

    The targets are smoothed, (P + 1) / (P + 2) for the P positives and 1 / (N + 2) for the N
    others, so that no probability is 0 or 1 for want of examples. Scores that do not tell positives
    from others get the same probability, never a lower one for a higher score.
    """
    from sklearn.linear_model import LogisticRegression

    positives = int(positive.sum())
    others = len(positive) - positives
    targets = np.where(positive, (positives + 1) / (positives + 2), 1 / (others + 2))
    prior = float(targets.mean())
    scale = float(scores.std())
    if scale > 0:
        # A target between 0 and 1 is an example of each class, with weights.
        twice = np.tile(scores.astype(np.float64) / scale, 2)[:, None]
        fitted = LogisticRegression(C=UNREGULARISED, solver="newton-cholesky").fit(
            twice,
            np.repeat([1, 0], len(scores)),
            sample_weight=np.concatenate([targets, 1 - targets]),
        )
        slope = float(fitted.coef_[0, 0]) / scale
        if slope > 0:
            return Calibration(slope, float(fitted.intercept_[0]), prior)
    return Calibration(0.0, float(np.log(prior / (1 - prior))), prior)


def estimate_prior(probabilities: Probabilities, prior: float) -> float:
    """Return the share of positives among images with these probabilities (N,).

    The probabilities hold where it is `prior`. It is the most likely share, found by EM: the mean
    of the probabilities as adjusted to the last estimate, again and again (Saerens et al. 2002).
    """
    sample = probabilities[:: max(1, len(probabilities) // PRIOR_FROM)]
    least = 0.5 / max(1, len(sample))  # half an image
    estimate = prior
    for _ in range(ROUNDS):
        last = estimate
        estimate = float(adjust(sample, prior, last).mean())
        estimate = min(max(estimate, least), 1 - least)
        if abs(estimate - last) < TOLERANCE:
            break
    return estimate


def adjust(probabilities: Probabilities, prior: float, new_prior: float) -> Probabilities:
    """Return probabilities (N,) that hold for one share of positives as they are for another.

    It is Bayes' rule with the likelihoods kept (Saerens et al. 2002).
    """
    yes = probabilities * (new_prior / prior)
    no = (1 - probabilities) * ((1 - new_prior) / (1 - prior))
    adjusted: Probabilities = yes / (yes + no)
    return adjusted


def _sigmoid(logits: Probabilities) -> Probabilities:
    found: Probabilities = 0.5 * (1 + np.tanh(0.5 * logits))  # which cannot overflow
    return found
