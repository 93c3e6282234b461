from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from indexer.arrays import BoolArray, FloatArray, unit_rows
from indexer.errors import ConceptError
from retrieval.ridge import fit_ridge


def examples(seed: int, count: int, dimension: int) -> tuple[FloatArray, BoolArray]:
    random = np.random.default_rng(seed)
    positive = np.arange(count) < max(2, count // 5)
    drawn = random.normal(size=(count, dimension)) + 0.5
    drawn[positive] += random.normal(size=dimension)
    return unit_rows(drawn.astype(np.float32)), positive


def solve(
    vectors: FloatArray, positive: BoolArray, counted: BoolArray, strength: float
) -> tuple[npt.NDArray[np.float64], float]:
    """Solve the weighted normal equations of the examples that count; return weights, offset."""
    weights = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum()) * counted
    rows = np.column_stack([vectors.astype(np.float64), np.ones(len(vectors))])
    penalty = strength * np.eye(rows.shape[1])
    penalty[-1, -1] = 0  # the offset is free
    left = rows.T @ (weights[:, None] * rows) + penalty
    solution = np.linalg.solve(left, rows.T @ (weights * np.where(positive, 1.0, -1.0)))
    return solution[:-1], float(solution[-1])


@pytest.mark.parametrize(("count", "dimension"), [(12, 40), (60, 7), (25, 25)])
def test_scores_left_out_are_those_of_models_fitted_without(count: int, dimension: int) -> None:
    vectors, positive = examples(count, count, dimension)
    fit = fit_ridge(vectors, positive)
    everything = np.ones(count, bool)
    weights, offset = solve(vectors, positive, everything, fit.strength)
    np.testing.assert_allclose(fit.weights, weights, rtol=1e-3, atol=1e-3)
    assert fit.offset == pytest.approx(offset, abs=1e-3)
    for place in range(count):
        counted = everything.copy()
        counted[place] = False
        weights, offset = solve(vectors, positive, counted, fit.strength)
        assert fit.held_out[place] == pytest.approx(vectors[place] @ weights + offset, abs=3e-3)


def test_the_strength_has_the_least_error_on_examples_left_out() -> None:
    vectors, positive = examples(3, 40, 20)
    fit = fit_ridge(vectors, positive)
    shares = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    targets = np.where(positive, 1, -1)

    def error(strength: float) -> float:
        total = 0.0
        for place in range(len(vectors)):
            counted = np.arange(len(vectors)) != place
            weights, offset = solve(vectors, positive, counted, strength)
            total += shares[place] * (targets[place] - vectors[place] @ weights - offset) ** 2
        return total

    least = error(fit.strength)
    assert error(fit.strength * 3) > least - 1e-4
    assert error(fit.strength / 3) > least - 1e-4


def test_classes_weigh_the_same() -> None:
    vectors, positive = examples(5, 30, 10)
    more = np.concatenate([vectors, np.repeat(vectors[~positive], 4, axis=0)])
    marks = np.concatenate([positive, np.zeros(len(more) - len(vectors), bool)])
    counted = np.ones(30, bool)
    few = solve(vectors, positive, counted, 0.01)
    many = solve(more, marks, np.ones(len(more), bool), 0.01)
    np.testing.assert_allclose(few[0], many[0], rtol=1e-6)
    assert fit_ridge(more, marks).weights @ few[0] > 0


def test_examples_that_are_all_the_same() -> None:
    vectors = np.repeat(unit_rows(np.ones((1, 4), np.float32)), 6, axis=0)
    with pytest.raises(ConceptError, match="same features"):
        fit_ridge(vectors, np.arange(6) < 3)


def test_the_same_examples_give_the_same_model() -> None:
    vectors, positive = examples(9, 50, 30)
    one, other = fit_ridge(vectors, positive), fit_ridge(vectors, positive)
    assert np.array_equal(one.weights, other.weights)
    assert np.array_equal(one.held_out, other.held_out)


def test_of_many_examples_some_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, positive = examples(11, 200, 12)
    every = fit_ridge(vectors, positive)
    assert every.judged.tolist() == [*range(200)]
    monkeypatch.setattr("retrieval.ridge.JUDGED", 50)
    fit = fit_ridge(vectors, positive)
    assert positive[fit.judged].sum() == 40
    assert len(fit.judged) == 80
    for place, row in enumerate(fit.judged[:5]):
        counted = np.arange(len(vectors)) != row
        weights, offset = solve(vectors, positive, counted, fit.strength)
        assert fit.held_out[place] == pytest.approx(vectors[row] @ weights + offset, abs=3e-3)
