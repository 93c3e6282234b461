"""The page of the collection, without a browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import Result

from indexer.store.store import Store
from tests.sample import SAMPLE
from tests.ui.browser.shown_pages import data_of, grid_of, names_of, run_at
from ui.map_job import MapJob
from ui.opened import opened_store
from ui.running_jobs import JOBS

PLACES = {
    "cats": [f"cat-{i}.jpg" for i in (1, 2, 3)],
    "cups": [f"coffee-{i}.jpg" for i in (1, 2, 3)],
    "rockets": [f"rocket-{i}.jpg" for i in (1, 2, 3)],
    "clocks": [f"clock-{i}.jpg" for i in (1, 2)],
}


@pytest.fixture(scope="module")
def album_store(
    tmp_path_factory: pytest.TempPathFactory, cbir: Callable[..., Result], _own_folders: None
) -> Path:
    """A store of four folders, with a file that is no picture."""
    folder = tmp_path_factory.mktemp("collection")
    for place, names in PLACES.items():
        (folder / "photos" / place).mkdir(parents=True)
        for name in names:
            shutil.copy(SAMPLE / "images" / name, folder / "photos" / place / name)
    (folder / "photos" / "list.jpg").write_text("milk, bread", "utf-8")
    indexed = cbir("index", folder / "photos", "--store", folder / ".cbir", "--regions", "none")
    assert indexed.exit_code == 0, indexed.output
    return folder / ".cbir"


@pytest.fixture
def page(album_store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The page alone, as the application draws it."""
    monkeypatch.setenv("CBIR_STORE", str(album_store))

    def draw() -> None:
        from ui.browser import collection_page

        collection_page.show()

    yield AppTest.from_function(draw, default_timeout=60)
    JOBS.close(60)


def head_of(page: AppTest) -> dict[str, object]:
    [head] = data_of(page, "collection")
    return head


def test_all_photos_are_there_with_their_numbers(page: AppTest) -> None:
    run_at(page, {})
    head = head_of(page)
    assert (head["view"], head["facts"], head["problems"]) == (
        "photos",
        ["11 images", "1 failed"],
        1,
    )
    assert set(names_of(page)) == {name for names in PLACES.values() for name in names}
    grid = grid_of(page)
    assert (grid["heading"], grid["more"], grid["query"]) == ("11 photos", None, None)
    assert all("s" not in row for row in grid["rows"])


def test_a_folder_is_browsed(page: AppTest, album_store: Path) -> None:
    run_at(page, {"folder": str(album_store.parent / "photos" / "cats")})
    assert sorted(names_of(page)) == PLACES["cats"]
    assert grid_of(page)["heading"] == "3 photos of 11"


def test_a_part_that_there_is_not_is_said(page: AppTest) -> None:
    run_at(page, {"show": "zzz"})
    assert "no part called zzz" in page.info[0].value
    assert names_of(page)


def test_no_photo_passes(page: AppTest) -> None:
    run_at(page, {"since": "2020-01-01"})
    assert "No image passes the filters" in page.info[0].value


@pytest.mark.parametrize(("part", "component"), [("files", "files"), ("jobs", "jobs")])
def test_the_other_parts_have_addresses(page: AppTest, part: str, component: str) -> None:
    run_at(page, {"show": part})
    assert head_of(page)["view"] == part
    assert len(data_of(page, component)) == 1
    assert data_of(page, "grid") == []


def test_an_unknown_part_shows_the_photos(page: AppTest) -> None:
    run_at(page, {"show": "nothing"})
    assert head_of(page)["view"] == "photos"


def test_the_map_is_asked_for_once_and_then_kept_up_to_date(
    page: AppTest, album_store: Path
) -> None:
    run_at(page, {"show": "map"})
    [told] = data_of(page, "map")
    assert (told["ready"], told["enough"]) == (False, True)
    assert JOBS.last("map", MapJob) is None  # it is laid out when somebody asks for it
    job = JOBS.start("map", lambda: MapJob(opened_store(album_store).engine))
    job.wait(60)
    run_at(page, {"show": "map"})
    assert data_of(page, "map")[0]["ready"] is True
    Store.open(album_store).keep_keypoints(False)  # any commit: the map is of an earlier one
    run_at(page, {"show": "map"})
    again = JOBS.last("map", MapJob)
    assert again is not None
    assert again is not job
    again.wait(60)
    run_at(page, {"show": "map"})
    assert data_of(page, "map")[0]["ready"] is True
