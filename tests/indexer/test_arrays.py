"""Products of arrays in which each row counts for itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.arrays import FloatArray, cosines, row_lengths, unit_rows, unit_vector
from indexer.errors import DegenerateFeatureError


def drawn(seed: int, rows: int, dimension: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)


def test_unit_rows_by_hand() -> None:
    rows = unit_rows(np.array([[3, 4], [0, 0], [0, -2]], np.float32))
    np.testing.assert_allclose(rows, np.array([[0.6, 0.8], [0, 0], [0, -1]]), atol=1e-6)


def test_row_lengths_by_hand() -> None:
    lengths = row_lengths(np.array([[3, 4], [0, 0], [5, 12]], np.float32))
    assert lengths.tolist() == [5, 0, 13]
    assert lengths.dtype == np.float32


def test_the_unit_vector_by_hand() -> None:
    vector = unit_vector(np.array([3, -4], np.float32))
    np.testing.assert_allclose(vector, [0.6, -0.8], rtol=1e-6)
    assert vector.dtype == np.float32


@pytest.mark.parametrize("values", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_a_vector_without_direction_has_no_unit_vector(values: list[float]) -> None:
    with pytest.raises(DegenerateFeatureError, match="no direction"):
        unit_vector(np.array(values, np.float32))


def test_cosines_are_inner_products() -> None:
    vectors, query = drawn(1, 50, 40), drawn(2, 1, 40)[0]
    np.testing.assert_allclose(cosines(vectors, query), vectors @ query, atol=1e-4)


@given(st.integers(0, 99), st.integers(1, 70), st.sampled_from([1, 7, 64, 384, 1280]))
def test_a_row_gives_the_same_bits_whatever_is_beside_it(
    seed: int, rows: int, dimension: int
) -> None:
    vectors, query = drawn(seed, rows, dimension), drawn(seed + 1, 1, dimension)[0]
    for i in {0, rows // 2, rows - 1}:
        one = vectors[i : i + 1]
        np.testing.assert_array_equal(cosines(one, query)[0], cosines(vectors, query)[i])
        np.testing.assert_array_equal(row_lengths(one)[0], row_lengths(vectors)[i])
        np.testing.assert_array_equal(unit_rows(one)[0], unit_rows(vectors)[i])
