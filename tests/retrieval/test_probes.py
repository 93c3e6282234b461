"""Linear probes, and how they are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retrieval.evaluation import probes
from retrieval.evaluation.handcrafted import colour_histogram
from retrieval.evaluation.judging import Rows, confusion, judge, worst_mistakes
from retrieval.evaluation.metrics import area_under_curve
from retrieval.evaluation.probes import (
    ProbeName,
    fit_probe,
    fit_scores,
    sample_training_rows,
    to_span,
)
from tests.labelled import clouds, labelled


@pytest.mark.parametrize("model", ["svm", "logistic", "ridge"])
@pytest.mark.parametrize("exclusive", [True, False])
def test_a_probe_tells_classes_apart(model: ProbeName, exclusive: bool) -> None:
    images = labelled(3, 30, exclusive=exclusive)
    rows = np.flatnonzero(images.is_train)
    found = fit_probe(clouds(images, 0.15), images, rows, model)
    test = np.flatnonzero(~images.is_train)
    judged = judge(found.scores, images, test, "accuracy" if exclusive else "mAP")
    assert judged.figure > 95
    assert judged.resampled.min() <= judged.figure <= judged.resampled.max()
    assert (judged.eleven_points is None) == exclusive


def test_a_probe_is_the_same_each_time() -> None:
    images = labelled(3, 30)
    rows = np.flatnonzero(images.is_train)
    features = np.random.default_rng(0).standard_normal((len(images), 200)).astype(np.float32)
    found = []
    for seed in (1, 2):
        np.random.seed(seed)  # the state that scikit-learn falls back on
        found.append(fit_scores(features, images.labels, rows, "svm", 3.0))
    assert np.array_equal(found[0], found[1])


def test_shuffled_labels_give_chance() -> None:
    images = labelled(4, 60)
    features = clouds(images, 0.15)
    order = np.random.default_rng(2).permutation(len(images))
    train = images.is_train
    shuffled = images.labels.copy()
    shuffled[train] = images.labels[order][train]
    broken = replace(images, labels=shuffled)
    rows, test = np.flatnonzero(train), np.flatnonzero(~train)
    figures = [
        judge(fit_probe(features, given, rows).scores, images, test, "accuracy").figure
        for given in (images, broken)
    ]
    assert figures[0] > 95
    assert figures[1] < 50  # chance is 25


def test_the_test_part_is_not_seen() -> None:
    images = labelled(3, 20)
    features = clouds(images, 0.5)
    rows = np.flatnonzero(images.is_train)
    other = images.labels.copy()
    other[~images.is_train] = np.roll(other[~images.is_train], 7, axis=0)
    first, second = (
        fit_probe(features, given, rows) for given in (images, replace(images, labels=other))
    )
    assert np.array_equal(first.scores, second.scores)
    assert first.strength == second.strength


def test_what_is_not_counted_is_not_trained_on() -> None:
    images = labelled(2, 20, exclusive=False)
    features = clouds(images, 0.3)
    rows = np.flatnonzero(images.is_train)
    marks = images.labels.copy()
    marks[rows[:4], 1] = -1
    kept = np.setdiff1d(rows, rows[:4])
    by_mark = fit_scores(features, marks, rows, "svm", 1.0)[:, 1]
    by_rows = fit_scores(features, images.labels, kept, "svm", 1.0)[:, 1]
    assert np.allclose(by_mark, by_rows, atol=1e-6)


def test_coordinates_do_not_depend_on_how_columns_are_multiplied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = np.random.default_rng(0).standard_normal((30, 200)).astype(np.float16)
    rows = np.arange(0, 30, 2)
    whole = to_span(features, rows)
    monkeypatch.setattr(probes, "COLUMNS", 64)
    parts = to_span(features, rows)
    exact = features.astype(np.float64) @ features[rows].astype(np.float64).T
    for found in (whole, parts):
        assert found.dtype == np.float32
        assert np.allclose(found @ found[rows].T, exact, atol=1e-3)


def test_so_many_images_a_class() -> None:
    images = labelled(3, 20)
    rows = sample_training_rows(images, 4, seed=0)
    assert images.labels[rows].sum(axis=0).tolist() == [4, 4, 4]
    assert images.is_train[rows].all()
    assert len(sample_training_rows(images, None, seed=0)) == 30


def test_the_confusion_counts_test_images() -> None:
    images = labelled(2, 4)
    scores = np.array([[1, 0]] * 7 + [[0, 1]], np.float32)
    assert confusion(scores, images).tolist() == [[2, 0], [1, 1]]


def test_a_probe_is_the_same_in_the_span_of_its_training_rows() -> None:
    images = labelled(3, 12)
    features = np.random.default_rng(4).normal(size=(len(images), 300)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    rows = np.flatnonzero(images.is_train)
    assert to_span(features, rows).shape == (36, 18)
    found, plain_found = (
        fit_scores(f, images.labels, rows, "ridge", 1.0)
        for f in (to_span(features, rows), features)
    )
    assert np.allclose(found, plain_found, atol=1e-4)
    assert to_span(features[:, :5], rows).shape == (36, 5)


def test_the_area_under_the_curve_by_hand() -> None:
    ranked = np.array([True, False, True, False])
    assert area_under_curve(ranked) == pytest.approx(3 / 4)
    assert area_under_curve(~ranked) == pytest.approx(1 / 4)
    assert area_under_curve(np.ones(3, bool)) == 0.5


def test_the_worst_mistakes_come_first() -> None:
    images = labelled(2, 4)  # the test part is rows 1, 3, 5 and 7
    scores = np.zeros((8, 2), np.float32)
    scores[[1, 3]] = [[0, 2], [0, 5]]
    scores[[5, 7]] = [[0, 1], [1, 0]]
    found = worst_mistakes(scores, images, 5)
    assert [(m.row, m.taken_for, m.shows) for m in found] == [
        (3, "c1", ("c0",)),
        (1, "c1", ("c0",)),
        (7, "c0", ("c1",)),
    ]
    several = worst_mistakes(scores, replace(images, exclusive=False), 1)
    assert [(m.row, m.taken_for, m.margin) for m in several] == [(3, "c1", 5)]


def test_a_sample_of_the_test_part_is_judged_like_the_whole() -> None:
    images = labelled(2, 200, exclusive=False)
    random = np.random.default_rng(3)
    scores = (images.labels + random.normal(size=images.labels.shape)).astype(np.float32)
    scores[:, 1] *= 0.1
    rows: Rows = np.flatnonzero(~images.is_train)
    for figure in ("mAP", "AUC", "accuracy"):
        judged = judge(scores, images, rows, figure)
        assert abs(float(np.mean(judged.resampled)) - judged.figure) < 1.5
        assert 0.5 < np.std(judged.resampled) < 6


def test_a_colour_histogram_has_unit_length_and_knows_colours() -> None:
    red, dark, blue = (
        colour_histogram(np.full((9, 7, 3), colour, np.uint8))
        for colour in ((220, 10, 10), (210, 20, 5), (10, 10, 220))
    )
    assert np.linalg.norm(red) == pytest.approx(1)
    assert red @ dark == pytest.approx(1)
    assert red @ blue == 0
