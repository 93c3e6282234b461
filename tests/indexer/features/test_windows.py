from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from indexer.features.pooling import FloatArray, gem
from indexer.features.regions import Region
from indexer.features.windows import (
    Boxes,
    WindowLayout,
    coverage,
    pool_boxes,
    to_boxes,
    to_regions,
)

WHOLE: Boxes = np.array([[0, 0, 1, 1]], np.float32)
SIDES = st.integers(1, 20_000)
SCALES = st.lists(st.floats(0.1, 1), max_size=3).map(tuple)
ASPECTS = st.lists(st.floats(0.2, 5), min_size=1, max_size=2).map(tuple)
LAYOUTS = st.builds(WindowLayout, SCALES, ASPECTS, st.floats(0, 0.6))
# The shapes at which pictures enter a network: at most 16 : 1.
INPUTS = st.tuples(st.integers(32, 512), st.integers(32, 512))


@given(LAYOUTS, INPUTS)
def test_windows_lie_in_the_image_and_the_first_is_all_of_it(
    layout: WindowLayout, size: tuple[int, int]
) -> None:
    boxes = layout.boxes(*size)
    assert boxes.dtype == np.float32
    assert boxes[0].tolist() == [0, 0, 1, 1]
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert len(np.unique(boxes, axis=0)) == len(boxes)


@given(st.floats(0.1, 1), st.floats(0.2, 5), st.floats(0, 0.6), INPUTS)
def test_the_windows_of_a_scale_cover_the_image_and_overlap(
    scale: float, aspect: float, overlap: float, size: tuple[int, int]
) -> None:
    boxes = WindowLayout((scale,), (aspect,), overlap).boxes(*size)
    windows = boxes[1:] if len(boxes) > 1 else boxes
    for low, high in ((0, 2), (1, 3)):
        starts, ends = np.unique(windows[:, low]), np.unique(windows[:, high])
        assert (starts[0], ends[-1]) == (0, pytest.approx(1, abs=1e-5))
        shared = (ends[:-1] - starts[1:]) / (ends[0] - starts[0])
        assert (shared >= overlap - 1e-3).all()
    # A grid: every start across stands at every start down.
    across, down = np.unique(windows[:, 0]), np.unique(windows[:, 1])
    assert len(windows) == len(across) * len(down)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [(300, 300), (400, 225), (240, 320)])
def test_the_size_and_shape_of_windows(aspect: float, size: tuple[int, int]) -> None:
    boxes = WindowLayout((0.5,), (aspect,)).boxes(*size)[1:]
    w = (boxes[:, 2] - boxes[:, 0]) * size[0]
    h = (boxes[:, 3] - boxes[:, 1]) * size[1]
    np.testing.assert_allclose(w / h, aspect, rtol=1e-3)
    np.testing.assert_allclose(np.sqrt(w * h), 0.5 * math.sqrt(size[0] * size[1]), rtol=1e-3)


def test_windows_by_hand() -> None:
    boxes = WindowLayout((0.5,), overlap=0.0).boxes(100, 100)
    halves = [(0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1)]
    np.testing.assert_array_equal(boxes, [(0, 0, 1, 1), *halves])


def test_windows_as_large_as_the_image_are_not_repeated() -> None:
    assert WindowLayout((1.0, 1.0)).boxes(100, 100).tolist() == [[0, 0, 1, 1]]


@given(LAYOUTS, SIDES, SIDES)
@example(WindowLayout((0.7, 0.31)), 1, 1)
@example(WindowLayout((0.7, 0.31)), 20_000, 1)
@example(WindowLayout((0.7, 0.31)), 1, 20_000)
def test_regions_are_pixels_inside_the_original(
    layout: WindowLayout, width: int, height: int
) -> None:
    # Windows are laid out on a network input that is at most 16 : 1.
    ratio = min(max(width / height, 1 / 16), 16)
    boxes = layout.boxes(round(100 * math.sqrt(ratio)), round(100 / math.sqrt(ratio)))
    regions = to_regions(boxes, width, height)
    assert len(regions) == len(boxes)
    assert regions[0] == Region(0, 0, width, height)
    for region in regions:  # a Region itself has at least one pixel
        region.require_inside(width, height)


SHARES = st.tuples(*[st.floats(0, 1, width=32)] * 4)


@given(st.lists(SHARES, max_size=5), SIDES, SIDES)
def test_regions_of_any_shares_have_a_pixel_in_the_image(
    shares: list[tuple[float, ...]], width: int, height: int
) -> None:
    boxes = np.array(shares, np.float32).reshape(-1, 4)
    boxes = np.hstack([boxes[:, :2], np.maximum(boxes[:, :2], boxes[:, 2:])])
    regions = to_regions(boxes, width, height)
    assert len(regions) == len(boxes)
    for region in regions:
        region.require_inside(width, height)


@st.composite
def sized_regions(draw: st.DrawFn) -> tuple[Region, int, int]:
    width, height = draw(SIDES), draw(SIDES)
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    region = Region(x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height)))
    return region, width, height


@given(sized_regions())
def test_regions_to_shares_and_back(case: tuple[Region, int, int]) -> None:
    region, width, height = case
    assert to_regions(to_boxes([region], width, height), width, height) == [region]


@given(LAYOUTS, st.integers(64, 4000), st.integers(64, 4000))
def test_shares_to_regions_and_back(layout: WindowLayout, width: int, height: int) -> None:
    boxes = layout.boxes(320, 224)
    again = to_boxes(to_regions(boxes, width, height), width, height)
    assert np.abs(again - boxes).max() <= 0.51 / min(width, height)


def test_no_regions_are_no_boxes() -> None:
    assert to_boxes([], 10, 10).shape == (0, 4)
    assert to_regions(np.empty((0, 4), np.float32), 10, 10) == []


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
def test_coverage_of_whole_cells_is_their_average(
    case: tuple[FloatArray, list[tuple[int, int, int, int]]],
) -> None:
    maps, boxes = case
    channels, h, w = maps.shape
    averages = coverage(shares_of(boxes, h, w), h, w) @ maps.reshape(channels, -1).T
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


@given(LAYOUTS, INPUTS, st.integers(1, 16), st.integers(1, 16))
@settings(max_examples=50)
def test_each_window_covers_its_cells_by_shares_that_sum_to_1(
    layout: WindowLayout, size: tuple[int, int], h: int, w: int
) -> None:
    boxes = layout.boxes(*size)
    shares = coverage(boxes, h, w)
    assert shares.shape == (len(boxes), h * w)
    assert shares.dtype == np.float32
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(shares[0], 1 / (h * w), rtol=1e-5)


def test_parts_of_cells_count_by_their_area() -> None:
    # Cells of a quarter of the width: half of the first, all of the second.
    shares = coverage(np.array([[0.125, 0, 0.5, 1]], np.float32), 1, 4)
    np.testing.assert_allclose(shares, [[1 / 3, 2 / 3, 0, 0]], atol=1e-6)


def test_a_window_within_one_cell_sees_that_cell() -> None:
    maps = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
    box = np.array([[0.6, 0.7, 0.61, 0.71]], np.float32)
    assert pool_boxes(maps, box)[0, 0] == pytest.approx(3, abs=1e-3)


@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 12))
def test_the_whole_image_is_pooled_by_gem(seed: int, h: int, w: int) -> None:
    maps = np.random.default_rng(seed).normal(size=(5, h, w)).astype(np.float32) * 10
    np.testing.assert_allclose(pool_boxes(maps, WHOLE)[0], gem(maps, 3.0), rtol=1e-3, atol=1e-3)


def test_negative_activations_count_as_none() -> None:
    assert not pool_boxes(np.full((2, 3, 3), -5, np.float32), WHOLE).any()
