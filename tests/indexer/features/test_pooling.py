from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from indexer.arrays import FloatArray
from indexer.features.pooling import (
    POOLINGS,
    cube_root,
    gem,
    mac,
    pool,
    rmac,
    rmac_windows,
    spoc,
)

SIDES = st.integers(1, 64)


def maps(low: float) -> st.SearchStrategy[FloatArray]:
    shapes = array_shapes(min_dims=3, max_dims=3, max_side=6)
    values: Any = st.floats(low, 100, width=32)
    return arrays(np.float32, shapes, elements=values)


@given(maps(low=0.125))
def test_gem_of_exponent_1_is_spoc(activations: FloatArray) -> None:
    np.testing.assert_allclose(gem(activations, 1), spoc(activations), rtol=1e-4)


@given(maps(low=0.125))
def test_gem_of_a_large_exponent_is_mac(activations: FloatArray) -> None:
    # The mean over n cells is at least n^(-1/p) of the maximum.
    np.testing.assert_allclose(gem(activations, 120), mac(activations), rtol=0.04)


@given(maps(low=0.125), st.floats(1, 20))
def test_gem_lies_between_spoc_and_mac(activations: FloatArray, p: float) -> None:
    pooled = gem(activations, p)
    assert (pooled >= spoc(activations) * 0.999).all()
    assert (pooled <= mac(activations) * 1.001).all()


def test_gem_of_an_extreme_exponent_does_not_overflow() -> None:
    activations = np.array([[[2.0, 30.0]]], np.float32)
    np.testing.assert_allclose(gem(activations, 500), [30.0], rtol=0.01)


@given(maps(low=0), st.integers(0, 3))
def test_the_order_of_cells_counts_only_for_windows(activations: FloatArray, turns: int) -> None:
    turned = np.rot90(activations, turns, axes=(1, 2))
    for pooling in (spoc, mac, gem):
        np.testing.assert_allclose(pooling(turned), pooling(activations), rtol=1e-4)


@given(SIDES, SIDES)
def test_rmac_windows_lie_inside_the_map(width: int, height: int) -> None:
    windows = rmac_windows(width, height)
    assert windows
    assert len(set(windows)) == len(windows)
    for x0, y0, x1, y1 in windows:
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert x1 - x0 == y1 - y0


# A panorama of 16 : 1 is the longest that reaches the network.
@given(st.integers(1, 40), st.floats(1, 16), st.booleans())
def test_rmac_windows_cover_the_map(short: int, elongation: float, upright: bool) -> None:
    long = round(short * elongation)
    width, height = (short, long) if upright else (long, short)
    covered = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in rmac_windows(width, height):
        covered[y0:y1, x0:x1] = True
    assert covered.all()


def test_rmac_windows_of_a_square_map_are_those_of_the_paper() -> None:
    windows = rmac_windows(12, 12)
    sides = [x1 - x0 for x0, _, x1, _ in windows]
    assert [sides.count(side) for side in (12, 8, 6)] == [1, 4, 9]


def test_rmac_windows_at_level_1_overlap_by_about_two_fifths() -> None:
    large = [w for w in rmac_windows(16, 10) if w[3] - w[1] == 10]
    assert large == [(0, 0, 10, 10), (6, 0, 16, 10)]


def test_rmac_of_one_window_is_its_direction() -> None:
    activations = np.array([[[3.0]], [[4.0]]], np.float32)
    np.testing.assert_allclose(rmac(activations), [0.6, 0.8], rtol=1e-6)


def test_rmac_counts_each_window_alike_however_strong_it_is() -> None:
    activations = np.zeros((2, 1, 2), np.float32)
    activations[0, 0, 0], activations[1, 0, 1] = 1000, 1
    first, second = rmac(activations)
    assert first == pytest.approx(second)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3)])
def test_rmac_of_narrow_maps(shape: tuple[int, int]) -> None:
    activations = np.random.default_rng(1).random((5, *shape), np.float32)
    pooled = rmac(activations)
    assert pooled.shape == (5,)
    assert np.isfinite(pooled).all()


def test_rmac_of_an_empty_window_is_zero_not_nan() -> None:
    assert not rmac(np.zeros((4, 3, 3), np.float32)).any()


def test_mac_and_spoc_by_hand() -> None:
    activations = np.array([[[1, 2], [3, 6]], [[0, 0], [0, 4]]], np.float32)
    assert mac(activations).tolist() == [6, 4]
    assert spoc(activations).tolist() == [3, 1]


@given(maps(low=-100))
def test_every_pooling_gives_one_finite_float32_a_channel(activations: FloatArray) -> None:
    for name in POOLINGS:
        pooled = pool(activations, name, 3.0)
        assert pooled.shape == (len(activations),)
        assert pooled.dtype == np.float32
        assert np.isfinite(pooled).all()


def test_pool_passes_the_exponent_on() -> None:
    activations = np.array([[[1.0, 3.0]]], np.float32)
    assert pool(activations, "gem", 1.0)[0] == pytest.approx(2)
    assert pool(activations, "gem", 2.0)[0] == pytest.approx(5**0.5)


@given(arrays(np.float32, 37, elements=st.floats(0, width=32)))
def test_cube_roots_are_those_of_numpy(values: FloatArray) -> None:
    before = values.copy()
    np.testing.assert_allclose(cube_root(values), np.cbrt(values), rtol=1.2e-5)
    np.testing.assert_array_equal(values, before)
