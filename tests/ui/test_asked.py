from __future__ import annotations

import datetime as dt
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as some

from indexer.features.regions import Region
from ui.asked import MOST_BOXES, MOST_FURTHER, Asked

TEXTS = some.text(max_size=20).map(str.strip)
IDS = some.integers(0, 10**12)
REGIONS = some.builds(
    lambda x, y, w, h: Region(x, y, x + w, y + h),
    some.integers(0, 5000),
    some.integers(0, 5000),
    some.integers(1, 5000),
    some.integers(1, 5000),
)
ANY = some.builds(
    Asked,
    image=IDS,
    text=TEXTS,
    box=some.lists(REGIONS, max_size=MOST_BOXES, unique=True).map(tuple),
    search=some.sampled_from([None, "image", "region"]),
    feature=some.sampled_from(["conv", "fc", "both"]),
    turns=some.booleans(),
    verify=some.sampled_from([None, True, False]),
    rerank=some.booleans(),
    also=some.lists(IDS, max_size=MOST_FURTHER, unique=True).map(tuple),
    unlike=some.lists(IDS, max_size=MOST_FURTHER, unique=True).map(tuple),
    also_text=TEXTS,
    folder=TEXTS,
    name=TEXTS,
    since=some.none() | some.dates(),
    until=some.none() | some.dates(),
    tags=some.lists(TEXTS.filter(bool), max_size=4, unique=True).map(tuple),
    where=TEXTS,
)


def read(address: str) -> tuple[Asked, list[str]]:
    return Asked.read(parse_qs(address, keep_blank_values=True))


@given(ANY)
def test_an_address_says_all_that_is_asked(asked: Asked) -> None:
    assert read(asked.address()) == (asked, [])


def test_what_goes_without_saying_is_not_in_the_address() -> None:
    assert Asked().address() == ""
    assert Asked(image=7, verify=False).address() == "image=7&verify=no"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("image=cat", "'cat' is not the number of an image"),
        ("image=1&box=1,2,3", "'1,2,3' cannot be read"),
        ("image=1&box=9,9,3,3", "9,9,3,3 is not valid"),
        ("search=pixels", "'pixels' in the address is none of image, region"),
        ("turns=maybe", "'maybe' in the address is neither yes nor no"),
        ("since=tomorrow", "'tomorrow' is not a day"),
        ("also=" + ",".join(map(str, range(17))), "16 further photos at most; 17"),
        ("also=1,x", "'x' is not the number"),
    ],
)
def test_what_cannot_be_read_is_left_out_and_said(address: str, said: str) -> None:
    asked, problems = read(f"{address}&name=cat")
    assert [said in problem for problem in problems] == [True]
    assert asked.name == "cat"


def test_a_box_goes_with_a_picture_alone() -> None:
    asked, problems = read("text=cat&box=1,2,3,4")
    assert (asked, problems) == (Asked(text="cat"), [])


def test_a_filter_is_that_of_the_store() -> None:
    day = dt.date(2024, 5, 31)
    assert not Asked(image=3).filter
    assert Asked(since=day, tags=("pet",)).filter.since == day
