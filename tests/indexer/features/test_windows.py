from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexer.arrays import Boxes
from indexer.features.regions import Region
from indexer.features.windows import WindowLayout, receptive_fields, to_boxes, to_regions

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


def test_a_receptive_field_is_half_a_cell_larger_on_every_side() -> None:
    boxes = np.array([[0.25, 0.5, 0.75, 0.75], [0, 0, 0.5, 1]], np.float32)
    fields = receptive_fields(boxes, cells_wide=4, cells_high=2)
    np.testing.assert_allclose(fields, [[0.125, 0.25, 0.875, 1], [0, 0, 0.625, 1]])
    assert fields.dtype == np.float32


@given(LAYOUTS, INPUTS, st.integers(1, 16), st.integers(1, 16))
def test_receptive_fields_hold_their_windows_and_stay_in_the_image(
    layout: WindowLayout, size: tuple[int, int], cells_wide: int, cells_high: int
) -> None:
    boxes = layout.boxes(*size)
    fields = receptive_fields(boxes, cells_wide, cells_high)
    assert (fields[:, :2] <= boxes[:, :2]).all()
    assert (fields[:, 2:] >= boxes[:, 2:]).all()
    assert ((fields >= 0) & (fields <= 1)).all()
    np.testing.assert_array_equal(fields[:1], WHOLE)
