"""Pooling boxes of a map: by the generalised mean of the cells that they cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.arrays import Boxes, FloatArray
from indexer.features.pooling import box_weights, gem, pool_boxes, rmac
from indexer.features.windows import WindowLayout

WHOLE: Boxes = np.array([[0, 0, 1, 1]], np.float32)
SCALES = st.lists(st.floats(0.1, 1), max_size=3).map(tuple)
ASPECTS = st.lists(st.floats(0.2, 5), min_size=1, max_size=2).map(tuple)
LAYOUTS = st.builds(WindowLayout, SCALES, ASPECTS, st.floats(0, 0.6))
INPUTS = st.tuples(st.integers(32, 512), st.integers(32, 512))
CELLS = st.integers(1, 16)


def cell_weights(boxes: Boxes, h: int, w: int) -> FloatArray:
    """The share (N, h, w) of each box that lies in each cell."""
    rows, columns = box_weights(boxes, h, w)
    weights: FloatArray = rows[:, :, None] * columns[:, None, :]
    return weights


def pool_slowly(maps: FloatArray, box: FloatArray) -> FloatArray:
    """Pool one box of a map (C, h, w), cell by cell, in float64."""
    channels, h, w = maps.shape
    x0, y0, x1, y1 = (float(edge) for edge in box)
    total = np.zeros(channels)
    for row in range(h):
        high = min(y1, (row + 1) / h) - max(y0, row / h)
        for column in range(w):
            wide = min(x1, (column + 1) / w) - max(x0, column / w)
            if high > 0 and wide > 0:
                total += high * wide * np.maximum(maps[:, row, column].astype(np.float64), 0) ** 3
    return np.cbrt(total / ((x1 - x0) * (y1 - y0))).astype(np.float32)


@st.composite
def spans(draw: st.DrawFn) -> tuple[float, float]:
    """A low and a high edge, in 64ths."""
    low = draw(st.integers(0, 63))
    return low / 64, draw(st.integers(low + 1, 64)) / 64


BOXES = st.lists(st.tuples(spans(), spans()), min_size=1, max_size=5).map(
    lambda pairs: np.array([(x0, y0, x1, y1) for (x0, x1), (y0, y1) in pairs], np.float32)
)


@given(BOXES, st.integers(0, 999), CELLS, CELLS)
def test_boxes_are_pooled_as_one_cell_after_the_other_would_be(
    boxes: Boxes, seed: int, h: int, w: int
) -> None:
    maps = np.random.default_rng(seed).normal(size=(7, h, w)).astype(np.float32)
    pooled = pool_boxes(maps, boxes)
    assert pooled.shape == (len(boxes), 7)
    assert pooled.dtype == np.float32
    expected = [pool_slowly(maps, box) for box in boxes]
    np.testing.assert_allclose(pooled, expected, atol=1e-4, rtol=1e-4)


@given(BOXES, st.integers(0, 99), CELLS, CELLS)
@settings(max_examples=50)
def test_a_box_is_pooled_the_same_whatever_boxes_are_beside_it(
    boxes: Boxes, seed: int, h: int, w: int
) -> None:
    maps = np.random.default_rng(seed).random((7, h, w), np.float32)
    together = pool_boxes(maps, boxes)
    np.testing.assert_array_equal(pool_boxes(maps, boxes[::-1])[::-1], together)
    alone = [pool_boxes(maps, boxes[i : i + 1])[0] for i in range(len(boxes))]
    np.testing.assert_array_equal(alone, together)


@st.composite
def cell_boxes(draw: st.DrawFn) -> tuple[FloatArray, list[tuple[int, int, int, int]]]:
    """A map (C, h, w), and boxes of whole cells in it."""
    h, w = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    maps = np.random.default_rng(draw(st.integers(0, 99))).random((3, h, w), np.float32)
    boxes = []
    for _ in range(draw(st.integers(1, 5))):
        x0, y0 = draw(st.integers(0, w - 1)), draw(st.integers(0, h - 1))
        boxes.append((x0, y0, draw(st.integers(x0 + 1, w)), draw(st.integers(y0 + 1, h))))
    return maps, boxes


def shares_of(boxes: list[tuple[int, int, int, int]], h: int, w: int) -> Boxes:
    shares: Boxes = (np.array(boxes) / [w, h, w, h]).astype(np.float32)
    return shares


@given(cell_boxes())
def test_the_weights_of_whole_cells_give_their_average(
    case: tuple[FloatArray, list[tuple[int, int, int, int]]],
) -> None:
    maps, boxes = case
    weights = cell_weights(shares_of(boxes, *maps.shape[1:]), *maps.shape[1:])
    averages = np.einsum("nhw,chw->nc", weights, maps)
    expected = [maps[:, y0:y1, x0:x1].mean(axis=(1, 2)) for x0, y0, x1, y1 in boxes]
    np.testing.assert_allclose(averages, expected, atol=1e-5)


@given(cell_boxes())
def test_windows_of_whole_cells_are_pooled_by_gem(
    case: tuple[FloatArray, list[tuple[int, int, int, int]]],
) -> None:
    maps, boxes = case
    pooled = pool_boxes(maps, shares_of(boxes, *maps.shape[1:]))
    assert pooled.shape == (len(boxes), len(maps))
    assert pooled.dtype == np.float32
    expected = np.array([gem(maps[:, y0:y1, x0:x1], 3.0) for x0, y0, x1, y1 in boxes])
    # float32 edges touch the next cell by 1e-7 of it, which a cube root would make visible.
    np.testing.assert_allclose(pooled**3, expected**3, atol=1e-5)


@given(LAYOUTS, INPUTS, CELLS, CELLS)
@settings(max_examples=50)
def test_the_weights_of_each_window_sum_to_1(
    layout: WindowLayout, size: tuple[int, int], h: int, w: int
) -> None:
    boxes = layout.boxes(*size)
    rows, columns = box_weights(boxes, h, w)
    assert (rows.shape, columns.shape) == ((len(boxes), h), (len(boxes), w))
    assert rows.dtype == columns.dtype == np.float32
    for weights in (rows, columns):
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(cell_weights(boxes, h, w)[0], 1 / (h * w), rtol=1e-5)


def test_parts_of_cells_count_by_their_area() -> None:
    # Cells of a quarter of the width: half of the first, all of the second.
    weights = cell_weights(np.array([[0.125, 0, 0.5, 1]], np.float32), 1, 4)
    np.testing.assert_allclose(weights, [[[1 / 3, 2 / 3, 0, 0]]], atol=1e-6)


def test_a_window_within_one_cell_is_that_cell() -> None:
    maps = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
    for box in ([0.6, 0.7, 0.61, 0.71], [0.6, 0.7, 0.6, 0.7], [1, 1, 1, 1]):
        assert pool_boxes(maps, np.array([box], np.float32))[0, 0] == pytest.approx(3, abs=1e-3)


@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 12))
def test_the_whole_image_is_pooled_by_gem(seed: int, h: int, w: int) -> None:
    maps = np.random.default_rng(seed).normal(size=(5, h, w)).astype(np.float32) * 10
    np.testing.assert_allclose(pool_boxes(maps, WHOLE)[0], gem(maps, 3.0), rtol=1e-3, atol=1e-3)


def test_negative_activations_count_as_none() -> None:
    assert not pool_boxes(np.full((2, 3, 3), -5, np.float32), WHOLE).any()


def test_no_boxes_no_vectors() -> None:
    maps = np.ones((2, 3, 3), np.float32)
    assert pool_boxes(maps, np.empty((0, 4), np.float32)).shape == (0, 2)


@given(LAYOUTS, st.integers(0, 99), CELLS, CELLS)
@settings(max_examples=50)
def test_a_grid_of_windows_is_pooled_as_each_window_alone(
    layout: WindowLayout, seed: int, h: int, w: int
) -> None:
    maps = np.random.default_rng(seed).normal(size=(7, h, w)).astype(np.float32)
    boxes = layout.boxes(32 * w, 32 * h)
    alone = [pool_boxes(maps, boxes[i : i + 1])[0] for i in range(len(boxes))]
    np.testing.assert_array_equal(pool_boxes(maps, boxes), alone)


def test_maps_may_lie_in_memory_with_the_channels_last() -> None:
    maps = np.random.default_rng(0).normal(size=(70, 9, 12)).astype(np.float32)
    turned = np.ascontiguousarray(maps.transpose(1, 2, 0)).transpose(2, 0, 1)
    before = turned.copy()
    boxes = WindowLayout((0.7, 0.4), (1.0,), 0.4).boxes(384, 288)
    np.testing.assert_array_equal(pool_boxes(turned, boxes), pool_boxes(maps, boxes))
    np.testing.assert_array_equal(rmac(turned), rmac(maps))
    np.testing.assert_array_equal(turned, before)
