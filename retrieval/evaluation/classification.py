"""Classification: contenders of every kind, judged on the same test images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from indexer.arrays import FloatArray
from indexer.progress import Progress, no_progress
from retrieval.evaluation.judging import FigureName, Judgement, Rows, interval, judge
from retrieval.evaluation.labelled import LabelledImages
from retrieval.evaluation.probes import ProbeName, fit_probe, sample_training_rows


@dataclass(frozen=True)
class Scored:
    """The scores (N, C) of all images, by a model that was trained on some of them.

    `dimension` is that of the features, and `strength` the regularisation, where there are any.
    """

    scores: FloatArray
    dimension: int | None = None
    strength: float | None = None


@dataclass(frozen=True)
class Contender:
    """Something that classifies: trained on rows of images, with a seed, it scores all of them.

    `has_chance` tells whether the seed changes anything where the rows are the same, and
    `on_curve` whether it is trained on fewer images, too, for a learning curve.
    """

    features: str
    backbone: str | None
    score: Callable[[LabelledImages, Rows, int], Scored]
    has_chance: bool = False
    on_curve: bool = True


@dataclass(frozen=True)
class Result:
    """What a contender reached: a figure in per cent, and its 95 % interval over test images.

    The figure is the mean over the seeds; `scores` (N, C) and `images` are those of the first one.
    `training_images` were trained on, `per_class` of each class or all (None).
    """

    features: str
    backbone: str | None
    dimension: int | None
    per_class: int | None
    training_images: int
    seeds: int
    figure: float
    low: float
    high: float
    eleven_points: float | None
    strength: float | None
    elapsed_s: float
    scores: FloatArray
    images: LabelledImages


def probe_contender(
    features: str,
    backbone: str | None,
    vectors: FloatArray,
    model: ProbeName,
    figure: FigureName,
) -> Contender:
    """Return a linear probe on frozen vectors (N, D) as a contender."""

    def score(images: LabelledImages, rows: Rows, seed: int) -> Scored:
        found = fit_probe(vectors, images, rows, model, figure, seed=seed)
        return Scored(found.scores, vectors.shape[1], found.strength)

    return Contender(features, backbone, score)


def classify(
    draws: Sequence[LabelledImages],
    contenders: Sequence[Contender],
    per_class: Sequence[int | None],
    figure: FigureName,
    *,
    folds: int | None = None,
    progress: Progress = no_progress,
) -> Iterator[Result]:
    """Yield what each contender reaches with so many training images a class.

    `draws` are the same images, with a split for each seed. With `folds`, each image is scored by a
    model that was trained on the other folds, whatever the split, and all are judged together.
    """
    wanted = [(count, c) for count in per_class for c in contenders if count is None or c.on_curve]
    is_drawn = any(not np.array_equal(d.is_train, draws[0].is_train) for d in draws)
    for done, (count, contender) in enumerate(wanted):
        progress("Fitting", done, len(wanted))
        varies = is_drawn or contender.has_chance or count is not None or folds is not None
        yield _run(contender, draws if varies else draws[:1], count, figure, folds)
    progress("Fitting", len(wanted), len(wanted))


def _run(
    contender: Contender,
    draws: Sequence[LabelledImages],
    count: int | None,
    figure: FigureName,
    folds: int | None,
) -> Result:
    started = time.perf_counter()
    judged: list[Judgement] = []
    sizes: list[int] = []
    first: tuple[Scored, LabelledImages] | None = None
    for seed, images in enumerate(draws):
        parts = [images] if folds is None else split_folds(images, folds, seed)
        scored, tested, used = _score_parts(contender, parts, count, seed)
        judged.append(judge(scored.scores, tested, np.flatnonzero(~tested.is_train), figure, seed))
        sizes.append(used)
        first = first or (scored, tested)
    assert first is not None
    scored, tested = first
    points = [j.eleven_points for j in judged if j.eleven_points is not None]
    low, high = interval([j.resampled for j in judged])
    return Result(
        contender.features,
        contender.backbone,
        scored.dimension,
        count,
        round(float(np.mean(sizes))),
        len(draws),
        float(np.mean([j.figure for j in judged])),
        low,
        high,
        float(np.mean(points)) if points else None,
        scored.strength,
        time.perf_counter() - started,
        scored.scores,
        tested,
    )


def _score_parts(
    contender: Contender, parts: Sequence[LabelledImages], count: int | None, seed: int
) -> tuple[Scored, LabelledImages, int]:
    """Return scores of the test images of each part, which they are, and the training images."""
    scores = np.zeros(parts[0].labels.shape, np.float32)
    tested = np.zeros(len(parts[0]), bool)
    sizes = []
    scored = Scored(scores)
    for images in parts:
        rows = sample_training_rows(images, count, seed)
        scored = contender.score(images, rows, seed)
        scores[~images.is_train] = scored.scores[~images.is_train]
        tested |= ~images.is_train
        sizes.append(len(rows))
    whole = replace(parts[0], is_train=~tested)
    return replace(scored, scores=scores), whole, round(float(np.mean(sizes)))


def split_folds(images: LabelledImages, folds: int, seed: int) -> list[LabelledImages]:
    """Return the images with each of the folds as the test part; each class is spread over them.

    An image of several classes goes with the rarest of them.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(images))
    shown = images.labels == 1
    rarity = np.where(shown, shown.sum(axis=0), len(images) + 1)
    stratum = np.where(shown.any(axis=1), rarity.argmin(axis=1), len(images.classes))
    order = order[np.argsort(stratum[order], kind="stable")]
    fold = np.empty(len(images), np.int64)
    fold[order] = np.arange(len(images)) % folds
    return [replace(images, is_train=fold != i) for i in range(folds)]
