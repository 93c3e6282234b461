"""The pages without a browser: what they say in the cases that a mouse rarely makes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import Result

from tests.pictures import BLUE, RED, plain
from tests.sample import SAMPLE
from tests.ui.browser.shown_pages import bar_of, data_of, grid_of, names_of, new_app, run_at
from tests.ui.conftest import Album


@pytest.fixture
def app(album: Album, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CBIR_STORE", str(album.store))
    return new_app()


def test_it_invites_and_offers_images(app: AppTest, album: Album) -> None:
    run_at(app, {})
    grid = grid_of(app)
    assert grid["heading"] == "Where have I seen this before?"
    assert grid["asks"]
    photos = {path.name for path in album.photos.glob("*.jpg")} - {"shopping list.jpg"}
    assert set(names_of(app)) == photos


def test_an_image_of_the_collection_is_the_query(app: AppTest) -> None:
    run_at(app, {"image": "1"})
    grid, bar = grid_of(app), bar_of(app)
    assert grid["rows"][0]["id"] == 1
    assert grid["rows"][0]["s"] == pytest.approx(1, abs=1e-3)
    assert " matches · " in grid["heading"]
    assert bar["picture"]["src"].startswith("/v1/images/1/picture?v=")
    assert (bar["picture"]["w"], bar["picture"]["h"]) == (320, 240)


def test_a_bookmark_with_a_box(app: AppTest) -> None:
    run_at(app, {"image": "1", "box": "20,20,200,200"})
    assert bar_of(app)["boxes"] == [[20, 20, 200, 200]]
    assert bar_of(app)["search"] == "region"
    assert all({"b", "q"} & row.keys() for row in grid_of(app)["rows"])


def test_several_boxes_are_joined_by_ranks(app: AppTest) -> None:
    run_at(app, {"image": "1", "box": ["20,20,120,200", "150,20,300,200"]})
    first = grid_of(app)["rows"][0]
    assert (first["id"], first["s"]) == (1, 1.0)  # first in both rankings
    assert all("t" not in row for row in grid_of(app)["rows"])


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ({"image": "../../etc/passwd"}, "is not the number of an image"),
        ({"image": "99999"}, "There is no image 99999"),
        ({"image": "9" * 40}, "is not the number of an image"),
        ({"picture": "0123456789abcdef"}, "no longer in memory: drop it on the page again"),
        ({"image": "1", "box": "20,20"}, "box"),
        ({"image": "1", "box": "0,0,9000,9000"}, "9000"),
        ({"tags": "gone"}, "gone"),
        ({"where": "heigth>3"}, "no field 'heigth'"),
        ({"also": "99999", "image": "1"}, "There is no image 99999"),
        ({"hit": "99999", "image": "1"}, "There is no image 99999"),
        ({"hit": "-4"}, "is not the number of an image"),
        ({"since": "2022-01-01", "until": "2020-01-01"}, "No day is between 2022-01-01 and"),
    ],
)
def test_a_wrong_address_gets_a_sentence(
    app: AppTest, address: dict[str, str | list[str]], said: str
) -> None:
    run_at(app, address)
    [problem] = bar_of(app)["problems"]
    assert said in problem
    assert names_of(app)


@pytest.mark.parametrize("name", ["where", "image", "tags", "folder", "name", "picture", "hit"])
def test_a_long_address_gets_a_short_sentence(app: AppTest, name: str) -> None:
    run_at(app, {name: "9 " * 5000})
    said = [*bar_of(app)["problems"], *(message.value for message in (*app.info, *app.error))]
    assert said
    assert max(map(len, said)) < 500


def test_filters_that_nothing_passes(app: AppTest) -> None:
    for address in ({"image": "1"}, {}):
        run_at(app, {**address, "name": "no such name"})
        assert "No image matches" in app.info[0].value
        assert not data_of(app, "grid")


def test_a_page_of_fifty_hits_is_small(app: AppTest, album: Album) -> None:
    run_at(app, {"image": "1", "box": "20,20,200,200"})
    sent = sum(len(e.proto.SerializeToString()) for e in app.get("bidi_component"))
    rows = len(grid_of(app)["rows"])
    assert sent / max(1, rows) < 20_000 / 50 or sent < 8_000
    assert len(list(album.photos.iterdir())) > rows > 3


def test_a_store_that_is_gone_offers_to_index(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setenv("CBIR_STORE", str(here / "nowhere"))
    app.run()
    assert not app.exception
    assert "nowhere" in app.caption[0].value.replace("\\", "")
    app.text_input[0].set_value("photos")
    app.button[0].click().run()
    assert "full path of a folder" in app.error[0].value
    app.text_input[0].set_value(str(here / "missing"))
    app.button[0].click().run()
    assert "There is no folder" in app.error[0].value


@pytest.fixture
def odd(tmp_path: Path, cbir: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """A collection of images with names that mean something in HTML and Markdown."""
    plain(tmp_path / "photos" / "<img src=x onerror=alert(1)>.png", RED)
    plain(tmp_path / "photos" / "**bold** [a](javascript:b) $x$ :red[c].png", BLUE)
    store = tmp_path / ".cbir"
    indexed = cbir("index", tmp_path / "photos", "--store", store, "--regions", "none")
    assert indexed.exit_code == 0, indexed.output
    monkeypatch.setenv("CBIR_STORE", str(store))
    return new_app()


def test_a_store_without_regions(odd: AppTest) -> None:
    run_at(odd, {"image": "1", "search": "region"})
    assert (bar_of(odd)["regions"], bar_of(odd)["search"]) == (False, "image")
    assert "<img src=x onerror=alert(1)>.png" in names_of(odd)  # the components take it as text


# --- words ----------------------------------------------------------------------------------------

OWN = [f"{group}-{i}.jpg" for group in ("cat", "coffee", "rocket", "clock") for i in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
def own_store(
    tmp_path_factory: pytest.TempPathFactory, cbir: Callable[..., Result], _own_folders: None
) -> Path:
    """A store of a few sample pictures."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "photos").mkdir()
    for name in OWN:
        shutil.copy(SAMPLE / "images" / name, folder / "photos" / name)
    indexed = cbir("index", folder / "photos", "--store", folder / ".cbir", "--regions", "none")
    assert indexed.exit_code == 0, indexed.output
    return folder / ".cbir"


@pytest.fixture
def own(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CBIR_STORE", str(own_store))
    return new_app()


def test_a_word_is_a_query(own: AppTest) -> None:
    run_at(own, {"text": "espresso"})
    assert names_of(own)[0].startswith("coffee-")
    bar = bar_of(own)
    assert (bar["text"], bar["picture"], bar["words"]) == ("espresso", None, True)


def test_a_word_that_is_not_known(own: AppTest) -> None:
    run_at(own, {"text": "expresso"})
    assert "Close ones are espresso" in own.error[0].value
