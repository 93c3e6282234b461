"""Judging classifiers: figures on a test part, their intervals, and what was taken for what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray
from retrieval.evaluation.labelled import LabelArray, LabelledImages
from retrieval.evaluation.metrics import (
    area_under_curve,
    average_precision,
    interpolated_precision,
)

FigureName = Literal["accuracy", "mAP", "AUC"]
Rows = npt.NDArray[np.int64]
Ranking = npt.NDArray[np.bool_]

RESAMPLES = 300  # of the test part
INTERVAL = (2.5, 97.5)

BY_CLASS: dict[FigureName, Callable[[Ranking], float]] = {
    "mAP": lambda relevant: average_precision(relevant, int(relevant.sum())),
    "AUC": area_under_curve,
}


@dataclass(frozen=True)
class Judgement:
    """A figure in per cent, and what resampling the test part makes of it.

    `eleven_points` is VOC's variant of the mean average precision, None for other figures.
    """

    figure: float
    resampled: npt.NDArray[np.float64]
    eleven_points: float | None


def usual_figure(images: LabelledImages) -> FigureName:
    """Return the accuracy where images have one label, else the mean average precision."""
    return "accuracy" if images.exclusive else "mAP"


def judge(
    scores: FloatArray, images: LabelledImages, rows: Rows, figure: FigureName, seed: int = 0
) -> Judgement:
    """Judge scores (N, C) on these rows, and on bootstrap samples of them (Efron 1979).

    Average precision and the area under the ROC curve are means over the classes, one against the
    rest; images that are not counted for a class are left out of it, and so are classes that no
    image of the rows shows.
    """
    random = np.random.default_rng(seed)
    counts = random.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), RESAMPLES)
    if figure == "accuracy":
        right = scores[rows].argmax(axis=1) == images.labels[rows].argmax(axis=1)
        return Judgement(100 * float(right.mean()), 100 * (counts @ right) / len(rows), None)
    measure = BY_CLASS[figure]
    rankings = _rankings(scores[rows], images.labels[rows])
    resampled = [
        np.mean([measure(relevant) for relevant in _repeated(rankings, count)]) for count in counts
    ]
    points = [interpolated_precision(relevant) for _, relevant in rankings]
    return Judgement(
        100 * float(np.mean([measure(relevant) for _, relevant in rankings])),
        100 * np.array(resampled),
        100 * float(np.mean(points)) if figure == "mAP" else None,
    )


def figure_of(scores: FloatArray, images: LabelledImages, rows: Rows, figure: FigureName) -> float:
    """Return the figure alone, in per cent."""
    if figure == "accuracy":
        right = scores[rows].argmax(axis=1) == images.labels[rows].argmax(axis=1)
        return 100 * float(right.mean())
    rankings = _rankings(scores[rows], images.labels[rows])
    return 100 * float(np.mean([BY_CLASS[figure](relevant) for _, relevant in rankings]))


def interval(samples: Sequence[npt.NDArray[np.float64]]) -> tuple[float, float]:
    """Return the ends of the interval of 95 %, over the samples of all seeds."""
    low, high = np.percentile(np.concatenate(samples), INTERVAL)
    return float(low), float(high)


def _rankings(scores: FloatArray, labels: LabelArray) -> list[tuple[Rows, Ranking]]:
    """Return for each class that is shown the counted rows, best first, and which show it."""
    rankings = []
    for column in range(labels.shape[1]):
        counted = np.flatnonzero(labels[:, column] >= 0)
        order = counted[np.argsort(-scores[counted, column], kind="stable")]
        relevant = labels[order, column] == 1
        if relevant.any():
            rankings.append((order, relevant))
    return rankings


def _repeated(
    rankings: Sequence[tuple[Rows, Ranking]], count: npt.NDArray[np.int64]
) -> list[Ranking]:
    """Return the rankings of a sample in which each row is so many times."""
    repeated = [np.repeat(relevant, count[order]) for order, relevant in rankings]
    return [relevant for relevant in repeated if relevant.any()]


def confusion(scores: FloatArray, images: LabelledImages) -> npt.NDArray[np.int64]:
    """Return how many test images of each class (rows) were taken for each class (columns)."""
    count = len(images.classes)
    test = ~images.is_train
    pairs = images.labels[test].argmax(axis=1) * count + scores[test].argmax(axis=1)
    return np.bincount(pairs, minlength=count * count).reshape(count, count)


@dataclass(frozen=True)
class Mistake:
    """An image that was taken for a class that it does not show; `margin` says how decidedly."""

    row: int
    taken_for: str
    shows: tuple[str, ...]
    margin: float


def worst_mistakes(scores: FloatArray, images: LabelledImages, count: int) -> list[Mistake]:
    """Return the most confident mistakes on the test part, worst first.

    Where images have one label, the margin is that of the class that was taken over the right one;
    else it is the score of a class that the image does not show.
    """
    test = np.flatnonzero(~images.is_train)
    marks = images.labels[test]
    found = np.where(marks == 0, scores[test], -np.inf)
    if images.exclusive:
        found = found - (scores[test] * marks).sum(axis=1, keepdims=True)
    taken = found.argmax(axis=1)
    margins = found[np.arange(len(test)), taken]
    order = [i for i in np.argsort(-margins, kind="stable")[:count] if margins[i] > 0]
    return [
        Mistake(
            int(test[i]),
            images.classes[taken[i]],
            tuple(c for c, mark in zip(images.classes, marks[i], strict=True) if mark == 1),
            float(margins[i]),
        )
        for i in order
    ]
