"""The search page without a browser: chips, filters in words, further photos and words."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import Result

from retrieval.engine import SearchEngine
from retrieval.query import Query
from tests.sample import SAMPLE
from tests.ui.browser.shown_pages import bar_of, chips_of, grid_of, names_of, new_app, run_at
from ui.further import UNLIKE, FurtherFeature, with_further

NAMES = [f"{group}-{i}.jpg" for group in ("cat", "coffee", "rocket") for i in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory, cbir: Callable[..., Result], _own_folders: None
) -> Path:
    """A store whose photos of cats have fields of the user's own; not to be changed by tests."""
    folder = tmp_path_factory.mktemp("told")
    (folder / "photos").mkdir()
    for name in NAMES:
        shutil.copy(SAMPLE / "images" / name, folder / "photos" / name)
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "SKU", "on *sale*"])
        rows.writerows([[name, f"A-{name[4]}", "<b>yes</b>"] for name in NAMES[:4]])
    for arguments in (
        ("index", folder / "photos", "--regions", "none"),
        ("annotate", folder / "table.csv"),
    ):
        done = cbir(*arguments, "--store", folder / ".cbir")
        assert done.exit_code == 0, done.output
    return folder / ".cbir"


@pytest.fixture
def app(told: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CBIR_STORE", str(told))
    return new_app()


# --- filters ------------------------------------------------------------------------------------


def test_a_filter_in_words_is_a_chip_that_leads_to_the_page_without_it(app: AppTest) -> None:
    everything = names_of(run_at(app, {"image": "1"}))
    run_at(app, {"image": "1", "where": "sku:A-* and not name:cat-3*"})
    assert sorted(names_of(app)) == ["cat-1.jpg", "cat-2.jpg", "cat-4.jpg"]
    assert chips_of(app) == {"sku:A-* and not name:cat-3*": "image=1"}
    assert names_of(run_at(app, {"image": "1"})) == everything


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("heigth>3", "no field 'heigth'"),
        ("width>", "ends too early"),
        ("width>cat", "width"),
        ("(((", "The filter"),
    ],
)
def test_a_wrong_filter_is_said_and_does_not_restrict(app: AppTest, typed: str, said: str) -> None:
    run_at(app, {"image": "1", "where": typed, "name": "cat*"})
    [problem] = bar_of(app)["problems"]
    assert said in problem
    assert problem.endswith(". The images below are not filtered by it.")
    assert list(chips_of(app)) == ["name cat*"]
    assert {name[:3] for name in names_of(app)} == {"cat"}


def test_a_filter_whose_field_is_removed_meanwhile(
    app: AppTest,
    told: Path,
    tmp_path: Path,
    cbir: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = tmp_path / ".cbir"
    shutil.copytree(told, own)
    shutil.copytree(told.parent / "photos", tmp_path / "photos")
    monkeypatch.setenv("CBIR_STORE", str(own))
    assert names_of(run_at(app, {"image": "1", "where": "sku:A-1"})) == ["cat-1.jpg"]
    assert cbir("annotate", "--remove", "SKU", "--store", own).exit_code == 0
    run_at(app, {"image": "1", "where": "sku:A-1"})
    assert "no field 'sku'" in bar_of(app)["problems"][0]
    assert (len(names_of(app)), chips_of(app)) == (len(NAMES), {})


def test_every_filter_has_a_chip_that_keeps_the_others(app: AppTest, told: Path) -> None:
    folder = str(told.parent / "photos")
    address = {"name": "*.jpg", "since": "2001-02-03", "until": "2020-01-01", "folder": folder}
    run_at(app, dict(address))
    assert "No image matches" in app.info[0].value
    texts = ["folder", "name *.jpg", "from 2001-02-03", "until 2020-01-01"]
    assert [chip.startswith(text) for chip, text in zip(chips_of(app), texts, strict=True)] == [
        True
    ] * 4
    for left_out, href in zip(
        ["folder", "name", "since", "until"], chips_of(app).values(), strict=True
    ):
        others = {name: [value] for name, value in address.items() if name != left_out}
        assert parse_qs(href) == others


# --- fields of the user's own -------------------------------------------------------------------


def test_own_fields_are_shown_short_in_the_rows(app: AppTest) -> None:
    run_at(app, {"image": "1"})
    said = {row["n"]: row.get("a") for row in grid_of(app)["rows"]}
    assert said["cat-1.jpg"] == "A-1 · <b>yes</b>"
    assert said["coffee-1.jpg"] is None


# --- further photos and words -------------------------------------------------------------------


def test_further_photos_are_asked_with(app: AppTest, told: Path) -> None:
    engine = SearchEngine.open(told)
    ids = {hit.path.name: hit.image_id for hit in engine.search(Query(image_id=1, k=None))}
    like, unlike = ids["rocket-1.jpg"], ids["cat-2.jpg"]
    run_at(app, {"image": "1", "also": str(like), "unlike": str(unlike)})
    images = [({"image_id": like}, 1.0), ({"image_id": unlike}, -UNLIKE)]
    asked = with_further(engine.store.spec, Query(image_id=1, k=None), images=images)
    assert names_of(app) == [hit.path.name for hit in engine.search(asked)]
    assert chips_of(app) == {
        "like rocket-1.jpg": f"image=1&unlike={unlike}",
        "unlike cat-2.jpg": f"image=1&also={like}",
    }


def test_a_photo_and_a_word_and_both_features(app: AppTest, told: Path) -> None:
    engine = SearchEngine.open(told)
    run_at(app, {"image": "1", "also_text": "espresso", "feature": "both"})
    assert chips_of(app) == {"like espresso": "image=1&feature=both"}
    assert "Scores are made of ranks" in grid_of(app)["note"]
    asked = with_further(
        engine.store.spec,
        Query(image_id=1, k=None),
        features=[FurtherFeature("fc")],
        words=[("espresso", 1.0)],
    )
    assert names_of(app) == [hit.path.name for hit in engine.search(asked)]
    run_at(app, {"image": "1", "also_text": "expresso"})
    assert "Close ones are espresso" in app.error[0].value


def test_a_word_and_a_photo(app: AppTest, told: Path) -> None:
    engine = SearchEngine.open(told)
    run_at(app, {"text": "espresso", "also": "1"})
    asked = with_further(engine.store.spec, Query(image_id=1, k=None), words=[("espresso", 1.0)])
    assert names_of(app) == [hit.path.name for hit in engine.search(asked)]


def test_nothing_is_unlike_a_word_alone(app: AppTest) -> None:
    run_at(app, {"text": "espresso", "unlike": "1"})
    assert "taken away from a word alone" in app.error[0].value
