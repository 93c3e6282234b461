from __future__ import annotations

import numpy as np
import pytest

from indexer.arrays import BoolArray, FloatArray
from retrieval.calibration import Calibration, adjust, estimate_prior, fit_platt
from retrieval.evaluation.metrics import expected_calibration_error


def drawn(seed: int, count: int, share: float) -> tuple[FloatArray, BoolArray]:
    """Scores of two normal distributions: the logit of a positive is 2 score + log odds."""
    random = np.random.default_rng(seed)
    positive = random.random(count) < share
    scores = random.normal(np.where(positive, 1.0, -1.0))
    return scores.astype(np.float32), positive


def test_probabilities_are_near_the_truth() -> None:
    scores, positive = drawn(0, 20_000, 0.3)
    found = fit_platt(scores, positive)
    assert found.slope == pytest.approx(2, rel=0.05)
    assert found.intercept == pytest.approx(np.log(0.3 / 0.7), abs=0.1)
    assert found.prior == pytest.approx(0.3, abs=0.02)
    assert expected_calibration_error(found.probabilities(scores), positive) < 0.02


def test_probabilities_rise_with_the_score_and_stay_between_0_and_1() -> None:
    found = fit_platt(*drawn(1, 30, 0.5))
    probabilities = found.probabilities(np.linspace(-9, 9, 50).astype(np.float32))
    assert (np.diff(probabilities) > 0).all()
    extreme = found.probabilities(np.array([-1e30, 1e30], np.float32))
    assert extreme.tolist() == [0, 1]


def test_few_examples_that_are_told_apart_do_not_make_it_sure() -> None:
    scores = np.array([1, 1, -1, -1], np.float32)
    probabilities = fit_platt(scores, scores > 0).probabilities(scores)
    assert probabilities == pytest.approx([0.75, 0.75, 0.25, 0.25], abs=0.01)


@pytest.mark.parametrize("scores", [[1, 1, 1, 1], [-1, -1, 1, 1]])
def test_scores_that_say_nothing(scores: list[float]) -> None:
    positive = np.array([True, True, False, False])
    found = fit_platt(np.array(scores, np.float32), positive)
    assert found.slope == 0
    assert found.probabilities(np.array([-5, 5], np.float32)).tolist() == pytest.approx([0.5, 0.5])
    assert estimate_prior(found.probabilities(np.zeros(9, np.float32)), found.prior) == 0.5


@pytest.mark.parametrize("share", [0.02, 0.1, 0.6])
def test_the_prior_is_found_again_and_the_error_falls(share: float) -> None:
    found = fit_platt(*drawn(2, 2000, 0.3))
    scores, positive = drawn(3, 20_000, share)
    before = found.probabilities(scores)
    prior = estimate_prior(before, found.prior)
    assert prior == pytest.approx(share, abs=0.03)
    after = adjust(before, found.prior, prior)
    assert expected_calibration_error(after, positive) < expected_calibration_error(
        before, positive
    )
    assert expected_calibration_error(after, positive) < 0.03


def test_a_store_without_any_positive() -> None:
    found = Calibration(4.0, 0.0, 0.5)
    scores = np.full(200, -1, np.float32)
    prior = estimate_prior(found.probabilities(scores), found.prior)
    assert 0 < prior < 0.01


def test_adjusting_to_the_same_prior_changes_nothing() -> None:
    probabilities = np.linspace(0, 1, 11)
    assert adjust(probabilities, 0.2, 0.2) == pytest.approx(probabilities)
    assert adjust(np.array([0.2]), 0.2, 0.05) == pytest.approx([0.05])


def test_calibration_error() -> None:
    positive = np.array([True, False, True, True])
    assert expected_calibration_error(np.array([1.0, 0, 1, 1]), positive) == 0
    assert expected_calibration_error(np.array([0.0, 1, 0, 0]), positive) == 1
    assert expected_calibration_error(np.full(4, 0.75), positive) == 0
