"""The search page without a browser: chips, filters in words, further photos, picked photos."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import Result

import ui
from retrieval.engine import SearchEngine
from retrieval.query import Query
from tests.sample import SAMPLE
from ui import zipped_hits
from ui.further import UNLIKE, FurtherFeature, with_further

APP = Path(ui.__file__).with_name("app.py")
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
    with (folder / "table.csv").open("w", newline="") as file:
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
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.query_params["image"] = "1"
    return app


def html_of(app: AppTest) -> str:
    return " ".join(str(element.proto.body) for element in app.get("html"))


def ranking(app: AppTest) -> list[str]:
    """Return the names of the hits that are shown, in order."""
    assert not app.exception
    return [part.split(",")[0].split(": ")[1] for part in html_of(app).split('alt="Hit ')[1:]]


def chips(app: AppTest) -> dict[str, str]:
    found = [button for button in app.button if (button.key or "").startswith("chip-")]
    return {str(b.key): b.label.replace("\\", "").removesuffix(" ✕") for b in found}


# --- filters ------------------------------------------------------------------------------------


def test_a_filter_in_words_is_a_chip_that_a_click_removes(app: AppTest) -> None:
    app.run()
    everything = ranking(app)
    app.text_input(key="where").set_value("sku:A-* and not name:cat-3*").run()
    assert sorted(ranking(app)) == ["cat-1.jpg", "cat-2.jpg", "cat-4.jpg"]
    assert chips(app) == {"chip-where": "sku:A-* and not name:cat-3*"}
    app.button(key="chip-where").click().run()
    assert (ranking(app), chips(app)) == (everything, {})
    assert app.text_input(key="where").value == ""


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("heigth>3", "no field 'heigth'"),
        ("width>", "ends too early"),
        ("width>cat", "width"),
        ("(((", "Fields: folder"),
    ],
)
def test_a_wrong_filter_keeps_the_last_hits(app: AppTest, typed: str, said: str) -> None:
    app.run()
    app.text_input(key="where").set_value("name:cat*").run()
    before = ranking(app)
    app.text_input(key="where").set_value(typed).run()
    error = app.sidebar.error[0].value.replace("\\", "")
    assert said in error
    assert error.count("SKU, on *sale*") == 1  # which columns there are
    assert ranking(app) == before
    assert list(chips(app)) == ["chip-where"]
    app.text_input(key="where").set_value("name:coffee*").run()
    assert not app.error
    assert {name[:6] for name in ranking(app)} == {"coffee"}


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
    app.query_params["where"] = "sku:A-1"
    app.run()
    assert ranking(app) == ["cat-1.jpg"]
    assert cbir("annotate", "--remove", "SKU", "--store", own).exit_code == 0
    app.run()
    assert "no field 'sku'" in app.sidebar.error[0].value.replace("\\", "")
    assert (len(ranking(app)), chips(app)) == (len(NAMES), {})


def test_a_bookmark_with_a_wrong_filter_says_so(app: AppTest) -> None:
    app.query_params["where"] = "nonsense"
    app.run()
    assert "The filter" in app.sidebar.error[0].value
    assert len(ranking(app)) == len(NAMES)


def test_every_filter_has_a_chip(app: AppTest, told: Path) -> None:
    app.query_params["name"] = "*.jpg"
    app.query_params["since"] = "2001-02-03"
    app.query_params["until"] = "2020-01-01"
    app.query_params["folder"] = str(told.parent / "photos")
    app.run()
    assert not app.exception
    assert list(chips(app)) == ["chip-folder", "chip-name", "chip-since", "chip-until"]
    assert chips(app)["chip-name"] == "name *.jpg"
    assert "No image matches" in app.info[0].value
    for key in list(chips(app)):
        app.button(key=key).click().run()
    assert (chips(app), len(ranking(app))) == ({}, len(NAMES))
    assert not {"name", "since", "until", "folder"} & set(app.query_params)


# --- fields of the user's own -------------------------------------------------------------------


def test_own_fields_are_shown_short_on_cards_and_whole_in_the_detail(app: AppTest) -> None:
    app.run()
    assert "A-1 · &lt;b&gt;yes&lt;/b&gt;" in html_of(app)
    assert "<b>yes" not in html_of(app)
    app.button(key="hit-open-1").click().run()
    assert not app.exception
    facts = " ".join(element.value for element in app.markdown).replace("\\", "")
    assert "**SKU:** A-1" in facts
    assert "**on *sale*:** <b>yes</b>" in facts


# --- further photos and words -------------------------------------------------------------------


def test_plus_and_minus_ask_with_further_photos(app: AppTest, told: Path) -> None:
    engine = SearchEngine.open(told)
    app.run()
    place = ranking(app).index("rocket-1.jpg") + 1
    app.button(key=f"hit-mark-0-{place}").click().run()
    place = ranking(app).index("cat-2.jpg") + 1
    app.button(key=f"hit-mark-1-{place}").click().run()
    assert set(chips(app).values()) == {"like rocket-1.jpg", "unlike cat-2.jpg"}
    ids = {hit.path.name: hit.image_id for hit in engine.search(Query(image_id=1, k=None))}
    images = [({"image_id": ids["rocket-1.jpg"]}, 1.0), ({"image_id": ids["cat-2.jpg"]}, -UNLIKE)]
    asked = with_further(engine.store.spec, Query(image_id=1, k=None), images=images)
    assert ranking(app) == [hit.path.name for hit in engine.search(asked)]
    assert app.query_params["also"] == str(ids["rocket-1.jpg"])
    assert app.query_params["unlike"] == str(ids["cat-2.jpg"])
    app.button(key=f"chip-further-{ids['cat-2.jpg']}").click().run()
    assert list(chips(app).values()) == ["like rocket-1.jpg"]
    app.button(key="hit-mark-0-" + str(ranking(app).index("rocket-1.jpg") + 1)).click().run()
    assert (chips(app), "also" in app.query_params) == ({}, False)


def test_a_bookmark_of_further_photos(app: AppTest) -> None:
    app.query_params["also"] = "5"
    app.query_params["unlike"] = "9"
    app.query_params["also_text"] = "espresso"
    app.run()
    assert len(chips(app)) == 3
    app.button(key="hit-0-2").click().run()  # another query begins without further ones
    assert (chips(app), not app.exception) == ({}, True)


@pytest.mark.parametrize(("also", "said"), [("x", "'x' is not the number"), ("99", "no image 99")])
def test_a_wrong_address_of_a_further_photo(app: AppTest, also: str, said: str) -> None:
    app.query_params["also"] = also
    app.run()
    assert said in app.error[0].value.replace("\\", "")
    assert ranking(app)[0] == "cat-1.jpg"


def test_a_photo_and_a_word_and_both_features(app: AppTest, told: Path) -> None:
    engine = SearchEngine.open(told)
    app.run()
    app.text_input(key="also_text").set_value("espresso").run()
    assert chips(app) == {"chip-word": "like espresso"}
    assert any("scores are made of ranks" in caption.value for caption in app.caption)
    app.radio(key="feature").set_value("both").run()
    asked = with_further(
        engine.store.spec,
        Query(image_id=1, k=None),
        features=[FurtherFeature("fc")],
        words=[("espresso", 1.0)],
    )
    assert ranking(app) == [hit.path.name for hit in engine.search(asked)]
    app.button(key="chip-word").click().run()
    assert (chips(app), app.text_input(key="also_text").value) == ({}, "")
    app.text_input(key="also_text").set_value("expresso").run()
    assert "Close ones are espresso" in app.error[0].value


def test_a_word_and_a_photo(app: AppTest, told: Path) -> None:
    engine = SearchEngine.open(told)
    del app.query_params["image"]
    app.query_params["text"] = "espresso"
    app.run()
    assert app.button(key="hit-mark-1-1").disabled  # nothing is unlike a word alone
    place = ranking(app).index("cat-1.jpg") + 1
    app.button(key=f"hit-mark-0-{place}").click().run()
    asked = with_further(engine.store.spec, Query(image_id=1, k=None), words=[("espresso", 1.0)])
    assert ranking(app) == [hit.path.name for hit in engine.search(asked)]
    assert not app.button(key="hit-mark-1-1").disabled
    assert app.query_params["text"] == "espresso"


# --- picking ------------------------------------------------------------------------------------


def saved(app: AppTest) -> str | None:
    found = app.get("download_button")
    return found[0].proto.label if found else None


def test_photos_are_picked_one_by_one_or_all(app: AppTest) -> None:
    app.run()
    assert saved(app) is None
    app.checkbox(key="pick-1").check().run()
    assert saved(app) == "Save 1 photo as ZIP"
    app.checkbox(key="pick-all").check().run()
    assert saved(app) == f"Save {len(NAMES)} photos as ZIP"
    app.checkbox(key="pick-2").uncheck().run()
    assert not app.checkbox(key="pick-all").value
    app.text_input(key="name").set_value("cat-*").run()  # those picked of what is found count
    assert saved(app) == "Save 3 photos as ZIP"
    app.button(key="pick-none").click().run()
    assert (saved(app), app.checkbox(key="pick-1").value) == (None, False)


def test_too_many_are_refused_with_a_sentence(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipped_hits, "MAX_PHOTOS", 2)
    app.run()
    app.checkbox(key="pick-all").check().run()
    assert saved(app) is None
    assert "12 photos are picked; a ZIP file takes 2" in app.error[0].value.replace("\\", "")
