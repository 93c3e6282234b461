from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.errors import InvalidRegionError
from indexer.features.regions import Region


def test_text_and_back() -> None:
    region = Region.parse("4, 5,30,40")
    assert region.as_tuple() == (4, 5, 30, 40)
    assert Region.parse(str(region)) == region


@pytest.mark.parametrize("box", [(5, 0, 5, 9), (0, 9, 5, 3), (-1, 0, 5, 5), (0, -2, 5, 5)])
def test_a_box_without_area_or_outside_the_axes(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvalidRegionError, match=str(box[2])):
        Region(*box)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("10.0,20.0,110.0,120.0", (10, 20, 110, 120)),
        ("10.4,20.6,110.2,120.9", (10, 20, 111, 121)),
        ("0.2, 0.7, 0.3, 0.9", (0, 0, 1, 1)),
        ("1e1,2,30,4e1", (10, 2, 30, 40)),
    ],
)
def test_fractions_are_rounded_outwards(text: str, box: tuple[int, int, int, int]) -> None:
    assert Region.parse(text).as_tuple() == box


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,2,3,4", "1,2,inf,4", "0;0;5;5"]
)
def test_unreadable_text_is_quoted_in_the_error(text: str) -> None:
    with pytest.raises(InvalidRegionError, match="X0,Y0,X1,Y1") as caught:
        Region.parse(text)
    assert repr(text) in str(caught.value)


SIZES = st.tuples(st.integers(1, 9000), st.integers(1, 9000))


@given(st.data(), SIZES, SIZES)
def test_a_scaled_box_just_covers_the_box(
    data: st.DataObject, size: tuple[int, int], to: tuple[int, int]
) -> None:
    x0, y0 = (data.draw(st.integers(0, side - 1)) for side in size)
    x1, y1 = (
        data.draw(st.integers(low + 1, side)) for low, side in zip((x0, y0), size, strict=True)
    )
    box = Region(x0, y0, x1, y1)
    scaled = box.scaled(size, to)
    scaled.require_inside(*to)
    for low, high, own_low, own_high, own, side in (
        (scaled.x0, scaled.x1, x0, x1, size[0], to[0]),
        (scaled.y0, scaled.y1, y0, y1, size[1], to[1]),
    ):
        assert low * own <= own_low * side < (low + 1) * own
        assert (high - 1) * own < own_high * side <= high * own
    assert box.scaled(size, size) == box


def test_inside_an_image() -> None:
    Region(0, 0, 10, 20).require_inside(10, 20)
    with pytest.raises(InvalidRegionError, match=r"0,0,10,20.*9 × 20"):
        Region(0, 0, 10, 20).require_inside(9, 20)
    with pytest.raises(InvalidRegionError, match="10 × 19"):
        Region(0, 0, 10, 20).require_inside(10, 19)
