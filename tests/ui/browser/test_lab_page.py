from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import streamlit as st
from PIL import Image
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest
from typer.testing import Result

from indexer.features.spec import read_choices
from indexer.store.store import Store
from tests.pictures import BLUE, RED, plain
from tests.ui.browser.conftest import Served
from tests.ui.conftest import Album
from ui.browser import lab_page
from ui.browser.measuring_job import LabChoice, MeasuringJob
from ui.gallery import thumbnail_inside


def page_alone() -> None:
    from ui.browser import lab_page  # Streamlit runs the text of this function as a script

    lab_page.show()


@pytest.fixture
def app(album: Album, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    monkeypatch.setenv("CBIR_STORE", str(album.store))
    st.cache_resource.clear()
    yield AppTest.from_function(page_alone, default_timeout=60)
    st.cache_resource.clear()


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Three classes: red and blue, and one of both, which is bound to be mistaken."""
    folder = tmp_path / "classes"
    for i in range(6):
        plain(folder / "red" / f"{i}.png", (200 + 9 * i, 20, 20))
        plain(folder / "blue" / f"{i}.png", (20, 20, 200 + 9 * i))
        plain(folder / "both" / f"{i}.png", (RED, BLUE)[i % 2], (64, 40 + i))
    return folder


def measure(app: AppTest, place: str, poolings: Sequence[str] = ("gem",)) -> AppTest:
    """Fill the form, press the button, and wait for the end."""
    app.run()
    app.text_input(key="lab_place").set_value(place)
    app.multiselect(key="lab_poolings").set_value(list(poolings))
    app.multiselect(key="lab_sizes").set_value([160])
    app.button[0].click().run()
    for _ in range(600):
        if not any(button.label == "Stop" for button in app.button):
            return app
        time.sleep(0.1)
        app.run()
    raise TimeoutError("the measuring does not end")


def texts(app: AppTest) -> str:
    found = [*app.markdown, *app.caption, *app.subheader, *app.success, *app.info]
    return " ".join(element.value for element in found).replace("\\", "")


def html_of(app: AppTest) -> str:
    return " ".join(str(element.proto.body) for element in app.get("html"))


def test_a_run_shows_curves_a_recommendation_and_the_classification(
    app: AppTest, classes: Path
) -> None:
    measure(app, str(classes))
    assert not app.exception
    assert [element.value for element in app.error] == []
    said = texts(app)
    for words in ("By layer", "Retrieval", "Classification", "3 classes, 9 test images"):
        assert words in said
    assert "over the default on the held-out half" in said
    assert len(app.get("vega_lite_chart")) == 3  # two curves, one confusion matrix
    settings, classified = (table.value for table in app.dataframe)
    assert set(settings["tap"]) == {"stage2", "stage4", "stage6", "head", "fc"}
    assert set(classified["features"]) >= {"head gem", "fc", "head gem + fc", "colour histogram"}
    assert list(classified["accuracy %"]) == sorted(classified["accuracy %"], reverse=True)
    assert "left out" not in " ".join(expander.label for expander in app.expander)


def test_mistakes_and_confusion_are_those_of_the_chosen_features(
    app: AppTest, classes: Path
) -> None:
    measure(app, str(classes))
    pick = next(box for box in app.selectbox if box.label == "Look closer at")
    pick.select("colour histogram").run()
    assert not app.exception
    shown = html_of(app)
    assert "taken for" in shown
    assert "shows both" in shown
    assert "data:image/jpeg" in shown


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("birds", "full path"),
        ("", "full path"),
        ("VOC2007", "full path"),
        ("/no/such/folder", "There is no folder or file /no/such/folder"),
    ],
)
def test_a_wrong_place_gets_a_sentence(app: AppTest, place: str, said: str) -> None:
    measure(app, place)
    assert not app.exception
    assert said in app.error[0].value.replace("\\", "")
    assert not lab_page._jobs()


def test_nothing_chosen_gets_a_sentence(app: AppTest, classes: Path) -> None:
    measure(app, str(classes), poolings=[])
    assert "at least one network" in app.error[0].value


def test_one_class_gets_a_sentence(app: AppTest, tmp_path: Path) -> None:
    plain(tmp_path / "one [1]" / "red" / "a.png", RED)
    measure(app, str(tmp_path / "one [1]"))
    assert not app.exception
    assert r"one \[1\] has only one class" in app.error[0].value


def test_broken_images_are_left_out_and_listed(app: AppTest, classes: Path) -> None:
    (classes / "red" / "broken.png").write_text("no picture", "utf-8")
    measure(app, str(classes))
    assert not app.exception
    assert "1 image was left out" in [expander.label for expander in app.expander]
    table = app.dataframe[0].value
    assert str(classes / "red" / "broken.png") in list(table["file"])


def test_images_that_are_all_broken_get_a_sentence(app: AppTest, tmp_path: Path) -> None:
    for name in ("red/a.png", "red/b.png", "blue/a.png", "blue/b.png"):
        (tmp_path / "classes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "classes" / name).write_text("no picture", "utf-8")
    measure(app, str(tmp_path / "classes"))
    assert not app.exception
    assert len(app.error) == 1


def test_a_manifest_with_queries_alone_has_no_classification(
    app: AppTest, classes: Path, tmp_path: Path
) -> None:
    images = sorted(path.relative_to(classes).as_posix() for path in classes.rglob("*.png"))
    queries = [
        {"id": name, "image": name, "positives": [n for n in images if n[:3] == name[:3]]}
        for name in images
    ]
    manifest = tmp_path / "queries.json"
    given = {"name": "colours", "images": "classes", "database": images, "queries": queries}
    manifest.write_text(json.dumps(given), "utf-8")
    measure(app, str(manifest))
    assert not app.exception
    assert "There is no classification here" in texts(app)
    assert len(app.get("vega_lite_chart")) == 1


def test_an_indexed_folder_fills_the_path(app: AppTest, album: Album) -> None:
    app.run()
    app.selectbox(key="lab_root").select(str(album.photos)).run()
    assert app.text_input(key="lab_place").value == str(album.photos)


def test_a_stopped_job_says_what_is_kept(classes: Path) -> None:
    job = MeasuringJob(LabChoice(classes, ("efficientnet_lite0",), ("gem",), (160,), whitens=False))
    job.stop()
    for _ in range(600):
        if not job.running:
            break
        time.sleep(0.05)
    assert (job.stopped, job.measured, job.error) == (True, None, "")


def test_pictures_outside_the_folder_are_plates(tmp_path: Path) -> None:
    plain(tmp_path / "secret.png", RED)
    inside = plain(tmp_path / "classes" / "red" / "a.png", RED)
    link = tmp_path / "classes" / "red" / "b.png"
    link.symlink_to(tmp_path / "secret.png")
    folder = tmp_path / "classes"
    assert Image.open(io.BytesIO(thumbnail_inside(inside, folder))).size == (48, 32)
    outside = thumbnail_inside(link, folder)
    assert outside == thumbnail_inside(tmp_path / "secret.png", folder)
    assert Image.open(io.BytesIO(outside)).size == (320, 240)


def test_the_spec_that_is_downloaded_is_what_index_reads(
    page: Page, served: Served, classes: Path, tmp_path: Path, cbir: Callable[..., Result]
) -> None:
    page.goto(f"{served.url}/lab")
    page.get_by_role("textbox", name="Labelled images").fill(str(classes))
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("Most confident mistakes")).to_be_visible(timeout=120_000)
    expect(page.locator(".stVegaLiteChart canvas, .stVegaLiteChart svg").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the spec").click()
    spec = Path(download.value.path())
    choices = read_choices(spec)
    assert choices["backbone"] == "efficientnet_lite0"
    indexed = cbir("index", classes, "--store", tmp_path / ".cbir", "--spec", spec)
    assert indexed.exit_code == 0, indexed.output
    made = Store.open(tmp_path / ".cbir").spec
    assert {name: getattr(made, name) for name in choices} == choices
