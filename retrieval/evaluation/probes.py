"""Linear probes: flat linear models on frozen features, and how well they classify."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray
from retrieval.evaluation.labelled import LabelArray, LabelledImages
from retrieval.evaluation.metrics import interpolated_average_precision, ranked_average_precision

ProbeName = Literal["svm", "logistic", "ridge"]
Rows = npt.NDArray[np.int64]

STRENGTHS: dict[ProbeName, tuple[float, ...]] = {  # from which cross-validation chooses
    "svm": (0.03, 0.3, 3.0),
    "logistic": (3.0, 30.0, 300.0),
    "ridge": (10.0, 1.0, 0.1),
}
FOLDS = 3
RESAMPLES = 300  # of the test part, for the interval
INTERVAL = (2.5, 97.5)
THREADS = 2


@dataclass(frozen=True)
class ProbeResult:
    """What a probe gives on the test part, in per cent, with a bootstrap interval of 95 %.

    `figure` is the mean average precision where images have several labels, with `eleven_points`
    as VOC's variant of it, and the accuracy where they have one. `strength` is what
    cross-validation on the training part chose, and `scores` (N, C) are those of all images.
    """

    figure: float
    low: float
    high: float
    eleven_points: float | None
    strength: float
    scores: FloatArray


def fit_probe(
    features: FloatArray,
    images: LabelledImages,
    rows: Rows,
    model: ProbeName = "svm",
    *,
    seed: int = 0,
) -> ProbeResult:
    """Fit a linear model on training `rows` of features (N, D), and judge it on the test part.

    One model a class is fitted against the rest; images that are not counted for a class are left
    out of it. The regularisation is chosen on the training rows alone.
    """
    choices = STRENGTHS[model]
    held_out = [_cross_validate(features, images, rows, model, c, seed) for c in choices]
    strength = choices[int(np.argmax(held_out))]
    scores = fit_scores(features, images.labels, rows, model, strength)
    test = np.flatnonzero(~images.is_train & features.any(axis=1))
    figure = judge(scores, images, test)
    low, high = bootstrap(scores, images, test, seed)
    points = None
    if not images.exclusive:
        points = 100 * float(
            np.mean(_by_class(interpolated_average_precision, scores, images, test))
        )
    return ProbeResult(figure, low, high, points, strength, scores)


def fit_scores(
    features: FloatArray, labels: LabelArray, rows: Rows, model: ProbeName, strength: float
) -> FloatArray:
    """Return the scores (N, C) of all images by linear models fitted on these rows."""

    def fit(column: int) -> npt.NDArray[np.float64]:
        counted = rows[labels[rows, column] >= 0]
        fitted = _make(model, strength).fit(features[counted], labels[counted, column])
        return np.asarray(fitted.decision_function(features), np.float64)

    with ThreadPoolExecutor(THREADS, "probe") as threads:
        return np.stack(list(threads.map(fit, range(labels.shape[1]))), axis=1).astype(np.float32)


def judge(scores: FloatArray, images: LabelledImages, rows: Rows) -> float:
    """Return the accuracy on these rows, or the mean average precision, in per cent."""
    if images.exclusive:
        right = scores[rows].argmax(axis=1) == images.labels[rows].argmax(axis=1)
        return 100 * float(right.mean())
    return 100 * float(np.mean(_by_class(ranked_average_precision, scores, images, rows)))


def bootstrap(
    scores: FloatArray, images: LabelledImages, rows: Rows, seed: int = 0
) -> tuple[float, float]:
    """Return the ends of the interval of 95 % of a figure, over resampled test rows."""
    random = np.random.default_rng(seed)
    sampled = [judge(scores, images, random.choice(rows, len(rows))) for _ in range(RESAMPLES)]
    low, high = np.percentile(sampled, INTERVAL)
    return float(low), float(high)


def confusion(scores: FloatArray, images: LabelledImages) -> npt.NDArray[np.int64]:
    """Return how many test images of each class (rows) were taken for each class (columns)."""
    count = len(images.classes)
    test = ~images.is_train
    pairs = images.labels[test].argmax(axis=1) * count + scores[test].argmax(axis=1)
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


def sample_training_rows(
    images: LabelledImages, usable: npt.NDArray[np.bool_], per_class: int | None, seed: int
) -> Rows:
    """Return training rows: all, or so many of each class, and all that come with them."""
    train = np.flatnonzero(images.is_train & usable)
    if per_class is None:
        return train
    random = np.random.default_rng(seed)
    chosen: set[int] = set()
    for column in range(len(images.classes)):
        members = train[images.labels[train, column] == 1]
        chosen.update(random.permutation(members)[:per_class].tolist())
    return np.array(sorted(chosen), np.int64)


def _by_class(
    function: Callable[[FloatArray, LabelArray], float],
    scores: FloatArray,
    images: LabelledImages,
    rows: Rows,
) -> list[float]:
    """Return a figure for each class that the rows show."""
    return [
        function(scores[rows, c], images.labels[rows, c])
        for c in range(len(images.classes))
        if (images.labels[rows, c] == 1).any()
    ]


def _cross_validate(
    features: FloatArray,
    images: LabelledImages,
    rows: Rows,
    model: ProbeName,
    strength: float,
    seed: int,
) -> float:
    """Return the mean figure of training rows that were held out."""
    order = np.random.default_rng(seed).permutation(rows)
    figures = []
    for fold in range(FOLDS):
        held = np.sort(order[fold::FOLDS])
        kept = np.setdiff1d(rows, held)
        if any(len(set(c[c >= 0].tolist())) < 2 for c in images.labels[kept].T):
            continue  # a class of which a fold holds all images
        scores = fit_scores(features, images.labels, kept, model, strength)
        figures.append(judge(scores, images, held))
    return float(np.mean(figures)) if figures else 0.0


def _make(model: ProbeName, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.svm import LinearSVC

    if model == "svm":
        return LinearSVC(C=strength)
    if model == "logistic":
        return LogisticRegression(C=strength, max_iter=2000)
    return RidgeClassifier(alpha=strength)
