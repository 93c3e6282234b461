"""Linear probes: flat linear models on frozen features."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, HalfArray
from retrieval.evaluation.judging import FigureName, Rows, figure_of
from retrieval.evaluation.labelled import LabelArray, LabelledImages

ProbeName = Literal["svm", "logistic", "ridge"]

STRENGTHS: dict[ProbeName, tuple[float, ...]] = {  # from which cross-validation chooses
    "svm": (0.03, 0.3, 3.0),
    "logistic": (3.0, 30.0, 300.0),
    "ridge": (10.0, 1.0, 0.1),
}
FOLDS = 2
MOST_STEPS = 10_000  # of the SVM: histograms of colours take some 1,000, other features at most 350
CHOSEN_BY = 1_000  # training rows at most, by which the strength is chosen: it takes steps of ten
THREADS = 2
COLUMNS = 8_192  # that are multiplied at a time
_LIBLINEAR = Lock()  # fits beside each other would draw from one sequence of random numbers
ROUNDING = 1e-6  # directions with a smaller share of the longest one's square are rounding errors


@dataclass(frozen=True)
class ProbeScores:
    """The scores (N, C) of all images, and the regularisation that was chosen for the model."""

    scores: FloatArray
    strength: float


def fit_probe(
    features: FloatArray | HalfArray,
    images: LabelledImages,
    rows: Rows,
    model: ProbeName = "svm",
    figure: FigureName = "mAP",
    *,
    seed: int = 0,
) -> ProbeScores:
    """Fit a linear model on training `rows` of features (N, D), and score all images.

    One model a class is fitted against the rest; images that are not counted for a class are left
    out of it (ridge: count as neither). The regularisation is chosen on the training rows alone, by
    cross-validation.
    """
    features = to_span(features, rows)
    strength = choose_strength(features, images, rows, model, figure, seed)
    return ProbeScores(fit_scores(features, images.labels, rows, model, strength), strength)


def to_span(features: FloatArray | HalfArray, rows: Rows) -> FloatArray:
    """Return features (N, D) by their coordinates in the span of `rows`, where that has fewer.

    Linear models with an L2 penalty lie in the span of what they are fitted on (the representer
    theorem, Schölkopf et al. 2001): they are the same in these coordinates.
    """
    if features.shape[1] <= len(rows):
        return np.asarray(features, np.float32)
    products = np.zeros((len(features), len(rows)), np.float64)
    for start in range(0, features.shape[1], COLUMNS):
        part = np.asarray(features[:, start : start + COLUMNS], np.float32)
        products += part @ part[rows].T
    values, vectors = np.linalg.eigh(products[rows])
    kept = values > ROUNDING * values[-1]
    basis = vectors[:, kept] / np.sqrt(values[kept])
    return np.asarray(products @ basis, np.float32)


def fit_scores(
    features: FloatArray, labels: LabelArray, rows: Rows, model: ProbeName, strength: float
) -> FloatArray:
    """Return the scores (N, C) of all images by linear models fitted on these rows."""

    if model == "ridge":
        return _fit_ridge(features, labels, rows, strength)

    def fit(column: int) -> npt.NDArray[np.float64]:
        counted = rows[labels[rows, column] >= 0]
        with _LIBLINEAR if model == "svm" else nullcontext():
            fitted = _make(model, strength).fit(features[counted], labels[counted, column])
        return np.asarray(fitted.decision_function(features), np.float64)

    with ThreadPoolExecutor(THREADS, "probe") as threads:
        return np.stack(list(threads.map(fit, range(labels.shape[1]))), axis=1).astype(np.float32)


def _fit_ridge(features: FloatArray, labels: LabelArray, rows: Rows, strength: float) -> FloatArray:
    """Return the scores of ridge classifiers of all classes, which share one factorisation.

    For that they share their rows: those that do not count for a class pull it neither way.
    """
    from sklearn.linear_model import Ridge

    targets = np.select([labels[rows] == 1, labels[rows] == 0], [1.0, -1.0], 0.0)
    fitted = Ridge(alpha=strength).fit(features[rows], targets)
    return np.asarray(fitted.predict(features), np.float32)


def fit_weights(features: FloatArray, labels: LabelArray, strength: float = 1.0) -> FloatArray:
    """Return the weights (C, D) of ridge classifiers; what is not counted counts as not shown."""
    from sklearn.linear_model import Ridge

    fitted = Ridge(alpha=strength).fit(features, np.where(labels == 1, 1.0, -1.0))
    return np.asarray(fitted.coef_, np.float32).reshape(labels.shape[1], -1)


def sample_training_rows(images: LabelledImages, per_class: int | None, seed: int) -> Rows:
    """Return training rows: all, or so many of each class, and all that come with them."""
    train = np.flatnonzero(images.is_train)
    if per_class is None:
        return train
    random = np.random.default_rng(seed)
    chosen: set[int] = set()
    for column in range(len(images.classes)):
        members = train[images.labels[train, column] == 1]
        chosen.update(random.permutation(members)[:per_class].tolist())
    return np.array(sorted(chosen), np.int64)


def choose_strength(
    features: FloatArray,
    images: LabelledImages,
    rows: Rows,
    model: ProbeName,
    figure: FigureName,
    seed: int,
) -> float:
    """Return the regularisation that is best by cross-validation on training rows.

    Folds are smaller than what is fitted in the end: the strength is scaled so that it weighs the
    same against the mean loss of an image. Where no fold has images of all classes, it is the
    middle one.
    """
    order = np.random.default_rng(seed).permutation(rows)[:CHOSEN_BY]
    folds = []
    for fold in range(FOLDS):
        held = np.sort(order[fold::FOLDS])
        kept = np.setdiff1d(order, held)
        if all(len(set(c[c >= 0].tolist())) == 2 for c in images.labels[kept].T):
            folds.append((kept, held))
    choices = STRENGTHS[model]
    if not folds:
        return choices[len(choices) // 2]
    means = []
    for strength in choices:
        figures = []
        for kept, held in folds:
            growth = len(rows) / len(kept)
            scaled = strength / growth if model == "ridge" else strength * growth
            scores = fit_scores(features, images.labels, kept, model, scaled)
            figures.append(figure_of(scores, images, held, figure))
        means.append(float(np.mean(figures)))
    return choices[int(np.argmax(means))]


def _make(model: ProbeName, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if model == "svm":
        return LinearSVC(C=strength, max_iter=MOST_STEPS, random_state=0)
    return LogisticRegression(C=strength, max_iter=2000)
