"""The duplicates page: searching, deciding, taking back, and what is left after a reload."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from PIL import ImageOps
from streamlit.testing.v1 import AppTest
from typer.testing import Result

from indexer.store.decisions import read_decisions
from indexer.store.records import ImageInfo
from indexer.store.store import Store
from retrieval.collection import Collection
from retrieval.duplicates.relation import Relation
from retrieval.duplicates.search import find_duplicates
from tests.pictures import photo
from tests.ui.browser.shown_pages import data_of
from ui.browser.duplicate_pictures import pose_text
from ui.browser.reviewing import lay
from ui.running_jobs import JOBS


def page_alone() -> None:
    # Streamlit runs the text of this function as a script.
    from ui.browser import duplicates_page

    duplicates_page.show()


@pytest.fixture
def store(tmp_path: Path, cbir: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of photos that are there again: the same bytes, mirrored, and cut out."""
    photos = tmp_path / "photos"
    photos.mkdir()
    coffee, rocket = (photo(name).resize((400, 300)) for name in ("coffee", "rocket"))
    rocket.save(photos / "rocket.png")
    shutil.copy(photos / "rocket.png", photos / "rocket & again.png")
    coffee.save(photos / "coffee.png")
    ImageOps.mirror(coffee).save(photos / "mirrored.jpg")
    coffee.crop((60, 40, 360, 280)).save(photos / "cut.png")
    place = tmp_path / ".cbir"
    indexed = cbir("index", photos, "--store", place, "--regions", "none")
    assert indexed.exit_code == 0, indexed.output
    monkeypatch.setenv("CBIR_STORE", str(place))
    return place


@pytest.fixture
def app(store: Path) -> Iterator[AppTest]:
    assert store.is_dir()
    st.cache_resource.clear()
    yield AppTest.from_function(page_alone, default_timeout=60)
    JOBS.close(60)
    st.cache_resource.clear()


@pytest.fixture
def searched(store: Path, app: AppTest) -> AppTest:
    opened = Store.open(store)
    find_duplicates(Collection(opened))
    opened.close()
    return app.run()


def texts(app: AppTest) -> str:
    found = [*app.subheader, *app.markdown, *app.caption, *app.info, *app.success]
    html = " ".join(str(element.proto.body) for element in app.get("html"))
    twins = " ".join(f"{twin['title']} {twin['name']}" for twin in data_of(app, "twin"))
    return " ".join([*(element.value for element in found), html, twins])


def heading(app: AppTest) -> str:
    return app.subheader[-1].value


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def decided(store: Path) -> tuple[int, int]:
    opened = Store.open(store)
    found = read_decisions(opened)
    opened.close()
    return len(found.kept), len(found.copies)


def test_it_explains_searches_and_shows_the_first_group(app: AppTest) -> None:
    app.run()
    assert "Which photos are there twice?" in app.subheader[0].value
    assert "same bytes" in heading(app)  # for which nothing has to be compared
    next(button for button in app.button if button.label == "Search for duplicates").click().run()
    for _ in range(600):
        if not any(button.label == "Stop" for button in app.button):
            break
        time.sleep(0.1)
        app.run()
    assert not app.exception
    assert "Search again" in [button.label for button in app.button]
    assert heading(app) == "1 of 3: the same picture"


def test_each_group_says_what_it_is(searched: AppTest) -> None:
    said = texts(searched)
    for words in (
        "1 · to keep",
        "2 · copy",
        "coffee.png",
        "400 × 300 pixels",
        "mirrored",
        "photos",
    ):
        assert words in said
    press(searched, "twin-go-Right")
    assert heading(searched) == "2 of 3: the same bytes"
    assert "rocket & again.png" in texts(searched)
    press(searched, "twin-go-Right")
    assert heading(searched) == "3 of 3: parts of one picture"
    assert "1 · whole" in texts(searched)
    assert "2 · part" in texts(searched)
    assert searched.button(key="twin-go-Right").disabled
    press(searched, "twin-go-Left")
    assert heading(searched).startswith("2 of 3")


def test_pictures_come_by_url_and_those_of_the_next_group_ahead(searched: AppTest) -> None:
    twins = data_of(searched, "twin")
    assert [twin["place"] for twin in twins] == [1, 2]
    assert all(re.fullmatch(r"/v1/images/\d+/picture\?v=.+", twin["src"]) for twin in twins)
    ahead = twins[0]["next"]
    press(searched, "twin-go-Right")
    assert [twin["src"] for twin in data_of(searched, "twin")] == ahead
    press(searched, "twin-go-Right")
    whole, part = data_of(searched, "twin")
    [corners] = whole["outlines"]
    assert corners == pytest.approx([60, 40, 360, 40, 360, 280, 60, 280], abs=3)
    assert (part["outlines"], whole["next"]) == ([], [])


def test_deciding_goes_on_and_can_be_taken_back(searched: AppTest, store: Path) -> None:
    press(searched, "original-2")
    assert decided(store) == (0, 1)
    assert heading(searched).startswith("2 of 3")
    assert "1 decided" in texts(searched)
    press(searched, "twin-keep")
    assert decided(store) == (1, 1)
    assert heading(searched).startswith("3 of 3")
    press(searched, "twin-undo")
    assert decided(store) == (0, 1)
    assert heading(searched).startswith("2 of 3")
    press(searched, "twin-undo")
    assert decided(store) == (0, 0)
    assert heading(searched).startswith("1 of 3")
    assert searched.button(key="twin-undo").disabled


def test_what_is_decided_does_not_come_back_unless_asked_for(
    searched: AppTest, store: Path
) -> None:
    press(searched, "original-1")
    press(searched, "twin-keep")
    press(searched, "twin-keep")
    assert "All 3 groups are decided" in texts(searched)
    again = AppTest.from_function(page_alone, default_timeout=60).run()
    assert "All 3 groups are decided" in texts(again)
    again.toggle(key="twin_decided").set_value(True).run()
    assert heading(again).startswith("1 of 3")
    assert "decided before" in texts(again)
    press(again, "twin-keep")
    assert decided(store) == (3, 0)
    press(again, "twin-undo")
    assert decided(store) == (2, 1)


def test_the_whole_of_a_part_keeps_what_was_decided_about_its_copies(
    searched: AppTest, store: Path
) -> None:
    press(searched, "original-1")
    press(searched, "twin-go-Right")
    press(searched, "original-1")
    assert decided(store) == (0, 2)
    assert "2 decided" in texts(searched)


def test_one_kind(searched: AppTest) -> None:
    press(searched, "twin-kind-part")
    assert heading(searched) == "1 of 1: parts of one picture"
    press(searched, "twin-kind-all")
    assert heading(searched) == "1 of 3: the same picture"


@pytest.mark.parametrize(
    ("pose", "x", "y"),
    [
        (None, 20, 10),
        (Relation("picture", 2, 1, 1.0, mirrored=True), 180, 10),
        (Relation("picture", 2, 1, 1.0, turned=180), 180, 90),
    ],
)
def test_an_outline_in_a_copy_lies_in_the_first_image(
    pose: Relation | None, x: float, y: float
) -> None:
    copy, first = (ImageInfo(n, Path(f"{n}.png"), *size, None, None) for n, size in SIZES.items())
    [point] = {*lay(((10, 5),) * 4, copy, first, pose)}
    assert point == pytest.approx((x, y))


def test_an_outline_in_a_turned_copy() -> None:
    # its upper left corner is at the upper right after a quarter clockwise
    copy = ImageInfo(2, Path("2.png"), 50, 100, None, None)
    first = ImageInfo(1, Path("1.png"), 100, 50, None, None)
    [point] = {*lay(((0, 0),) * 4, copy, first, Relation("picture", 2, 1, 1.0, turned=90))}
    assert point == (100, 0)


SIZES = {2: (100, 50), 1: (200, 100)}


def test_a_store_that_another_process_writes_to(searched: AppTest, store: Path) -> None:
    busy = Store.open(store)
    with busy.writing():
        press(searched, "twin-keep")
    busy.close()
    assert "Another process is writing" in searched.error[0].value
    assert heading(searched).startswith("1 of 3")
    assert decided(store) == (0, 0)


def test_a_removed_photo_leaves_the_groups(
    searched: AppTest, store: Path, cbir: Callable[..., Result]
) -> None:
    removed = cbir("remove", store.parent / "photos" / "mirrored.jpg", "--store", store)
    assert removed.exit_code == 0, removed.output
    searched.run()
    assert not searched.exception
    assert heading(searched).startswith("1 of 2")


@pytest.mark.parametrize(
    ("turned", "mirrored", "said"),
    [
        (0, False, ""),
        (90, False, "turned by 90° to the left"),
        (180, False, "turned by 180°"),
        (270, False, "turned by 90° to the right"),
        (0, True, "mirrored"),
        (90, True, "mirrored, turned by 90° to the right"),
    ],
)
def test_poses_in_words(turned: int, mirrored: bool, said: str) -> None:
    there = Relation("picture", 1, 2, 1.0, turned, mirrored)
    assert pose_text(there) == said
    assert there.reversed().reversed() == there
