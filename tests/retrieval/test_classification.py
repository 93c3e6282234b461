"""Contenders, draws and folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from indexer.errors import InvalidLabelsError
from retrieval.evaluation.classification import (
    Contender,
    Scored,
    classify,
    probe_contender,
    split_folds,
)
from retrieval.evaluation.contenders import join
from retrieval.evaluation.judging import Rows
from retrieval.evaluation.labelled import LabelledImages
from tests.labelled import clouds, labelled


def test_a_learning_curve_rises() -> None:
    images = labelled(4, 60)
    contender = probe_contender("made", "none", clouds(images, 0.45), "svm", "accuracy")
    few, all_of_them = classify([images], [contender], [2, None], "accuracy")
    assert (few.training_images, all_of_them.training_images) == (8, 120)
    assert few.figure < all_of_them.figure
    assert all_of_them.low <= all_of_them.figure <= all_of_them.high


def test_folds_score_every_image_by_a_model_that_has_not_seen_it() -> None:
    images = labelled(2, 30)
    seen: list[set[int]] = []

    def score(given: LabelledImages, rows: Rows, _: int) -> Scored:
        seen.append(set(rows.tolist()))
        scores = given.labels.astype(np.float32).copy()
        scores[rows] = -scores[rows]  # whoever is judged by what was trained on is wrong
        return Scored(scores)

    [result] = classify([images], [Contender("oracle", None, score)], [None], "accuracy", folds=5)
    assert result.figure == 100
    assert len(seen) == 5
    assert not result.images.is_train.any()
    assert set.union(*[set(range(60)) - rows for rows in seen]) == set(range(60))


def test_folds_hold_equally_much_of_each_class() -> None:
    images = labelled(3, 20)
    parts = split_folds(images, 4, seed=0)
    for part in parts:
        assert part.labels[~part.is_train].sum(axis=0).tolist() == [5, 5, 5]
    assert np.sum([~part.is_train for part in parts], axis=0).tolist() == [1] * 60


def test_seeds_repeat_only_what_is_chosen_by_chance() -> None:
    images = labelled(2, 20)
    calls: list[tuple[str, int]] = []

    def counting(name: str, *, has_chance: bool) -> Contender:
        def score(given: LabelledImages, _: Rows, seed: int) -> Scored:
            calls.append((name, seed))
            return Scored(given.labels.astype(np.float32))

        return Contender(name, None, score, has_chance=has_chance)

    contenders = [counting("fixed", has_chance=False), counting("random", has_chance=True)]
    results = list(classify([images] * 3, contenders, [None], "accuracy"))
    assert calls == [("fixed", 0), ("random", 0), ("random", 1), ("random", 2)]
    assert [result.seeds for result in results] == [1, 3]
    calls.clear()
    other = replace(images, is_train=~images.is_train)
    list(classify([images, other], contenders[:1], [None], "accuracy"))
    assert len(calls) == 2


def test_what_cannot_be_used_is_left_out() -> None:
    images = labelled(3, 4)
    rows = np.ones(12, bool)
    rows[0] = False
    assert len(images.only(rows)) == 11
    rows[[1, 3]] = False  # class 0 keeps one image, of the training part
    left = images.only(rows)
    assert left.classes == ("c1", "c2")
    assert len(left) == 8
    rows[4:8] = False
    with pytest.raises(InvalidLabelsError, match="Too few images"):
        images.only(rows)


def test_joined_vectors_have_unit_length() -> None:
    first, second = np.eye(3, 4, dtype=np.float32), np.eye(3, 2, dtype=np.float32)
    first[2] = second[2] = 0
    joined = join(first, second)
    assert joined.shape == (3, 6)
    assert np.allclose(np.linalg.norm(joined[:2], axis=1), 1)
    assert not joined[2].any()
