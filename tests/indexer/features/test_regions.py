from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,2,3,4", "0;0;5;5"])
def test_unreadable_text_is_quoted_in_the_error(text: str) -> None:
    with pytest.raises(InvalidRegionError, match="X0,Y0,X1,Y1") as caught:
        Region.parse(text)
    assert repr(text) in str(caught.value)


def test_inside_an_image() -> None:
    Region(0, 0, 10, 20).require_inside(10, 20)
    with pytest.raises(InvalidRegionError, match=r"0,0,10,20.*9 × 20"):
        Region(0, 0, 10, 20).require_inside(9, 20)
    with pytest.raises(InvalidRegionError, match="10 × 19"):
        Region(0, 0, 10, 20).require_inside(10, 19)
