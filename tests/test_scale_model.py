"""The model of what large collections take."""

from __future__ import annotations

import pytest

from benchmarks.scale_model import TERMS, Model, Prices, Size, estimate

SIZES = [Size(n, 49 * n, cells, 49 * n // 100) for n, cells in ((10, 16), (100, 64), (1000, 128))]
COEFFICIENTS = (2.0, 0.5)


def _values(size: Size) -> dict[str, float]:
    return {
        name: sum(c * term(size) for c, term in zip(COEFFICIENTS, terms, strict=False))
        for name, terms in TERMS.items()
    }


def test_the_model_predicts_what_grows_in_its_terms() -> None:
    model = Model(SIZES[:2], [_values(size) for size in SIZES[:2]])
    assert model.predict(SIZES[2]) == pytest.approx(_values(SIZES[2]))


def test_no_part_of_a_cost_is_negative() -> None:
    falling = [dict.fromkeys(TERMS, 100.0 / size.rows) for size in SIZES]
    predicted = Model(SIZES, falling).predict(Size(10**6, 49 * 10**6, 4096, 10**6))
    assert min(predicted.values()) >= 0


def test_costs_are_sums_of_what_is_taken() -> None:
    model = Model(SIZES, [_values(size) for size in SIZES])
    free = estimate(model, SIZES[2], 0.05, Prices(0, 0, 0))
    paid = estimate(model, SIZES[2], 0.05, Prices(2, 3, 5))
    assert (free.once, free.a_month) == (0, 0)
    assert paid.describe_core_h == pytest.approx(1000 * 0.05 / 3600)
    assert paid.a_month == pytest.approx(3 * paid.disk_gb + 5 * paid.memory_gb)
    assert paid.once == pytest.approx(2 * (paid.describe_core_h + 2 * (paid.join_h + paid.index_h)))
