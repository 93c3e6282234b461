"""The pages without a browser: what they say in the cases that a mouse rarely makes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import Result

import ui
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.store import Store
from tests.pictures import BLUE, RED, plain
from tests.sample import SAMPLE
from tests.ui.conftest import Album

APP = Path(ui.__file__).with_name("app.py")


@pytest.fixture
def app(album: Album, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CBIR_STORE", str(album.store))
    return AppTest.from_file(str(APP), default_timeout=60)


def html_of(app: AppTest) -> str:
    return " ".join(str(element.proto.body) for element in app.get("html"))


def test_it_invites_and_offers_images(app: AppTest, album: Album) -> None:
    app.run()
    assert not app.exception
    assert "Where have I seen this" in app.subheader[0].value
    for photo in album.photos.glob("*.jpg"):
        assert (photo.name in html_of(app)) == (photo.name != "shopping list.jpg")


def test_an_image_of_the_collection_becomes_the_query(app: AppTest) -> None:
    app.run()
    app.button(key="sample-0-1").click().run()
    assert not app.exception
    assert app.query_params["image"] == "1"
    assert "Hit 1:" in html_of(app)
    assert any(" matches · " in caption.value for caption in app.caption)


def test_a_bookmark(app: AppTest) -> None:
    app.query_params["image"] = "1"
    app.query_params["box"] = "20,20,200,200"
    app.query_params["search"] = "Regions"
    app.run()
    assert not app.exception
    assert app.text_input(key="box_text").value == "20,20,200,200"
    assert "cbir-box" in html_of(app)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"image": "../../etc/passwd"}, "is not the number of an image"),
        ({"image": "99999"}, "There is no image 99999"),
        ({"image": "9" * 40}, "is not the number of an image"),
        ({"image": "1", "box": "20,20"}, "box"),
        ({"image": "1", "box": "0,0,9000,9000"}, "9000"),
    ],
)
def test_a_wrong_address_gets_a_sentence(
    app: AppTest, parameters: dict[str, str], said: str
) -> None:
    for name, value in parameters.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    assert said in app.error[0].value.replace("\\", "")


def test_another_image(app: AppTest) -> None:
    app.query_params["image"] = "1"
    app.query_params["box"] = "20,20,200,200"
    app.run()
    next(button for button in app.button if button.label == "Another image").click().run()
    assert not app.exception
    assert not {"image", "box"} & set(app.query_params)
    assert "Where have I seen this" in app.subheader[0].value


def test_a_box_typed_wrongly(app: AppTest) -> None:
    app.query_params["image"] = "1"
    app.run()
    app.text_input(key="box_text").set_value("one two").run()
    assert not app.exception
    assert len(app.error) == 1
    app.text_input(key="box_text").set_value("10,10,90,90").run()
    assert (len(app.error), app.query_params["box"]) == (0, "10,10,90,90")


def test_filters_that_nothing_passes(app: AppTest) -> None:
    app.query_params["image"] = "1"
    app.run()
    app.text_input(key="name").set_value("no such name").run()
    assert not app.exception
    assert "No image matches" in app.info[0].value


def test_a_store_that_is_gone(app: AppTest, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setenv("CBIR_STORE", str(here / "nowhere"))
    app.run()
    assert not app.exception
    assert "nowhere" in app.error[0].value.replace("\\", "")


@pytest.fixture
def odd(
    tmp_path: Path, cbir: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> Iterator[AppTest]:
    """A collection of images with names that mean something in HTML and Markdown."""
    plain(tmp_path / "photos" / "<img src=x onerror=alert(1)>.png", RED)
    plain(tmp_path / "photos" / "**bold** [a](javascript:b) $x$ :red[c].png", BLUE)
    store = tmp_path / ".cbir"
    indexed = cbir("index", tmp_path / "photos", "--store", store, "--regions", "none")
    assert indexed.exit_code == 0, indexed.output
    monkeypatch.setenv("CBIR_STORE", str(store))
    yield AppTest.from_file(str(APP), default_timeout=60)
    shutil.rmtree(tmp_path / "photos")


def test_names_are_escaped(odd: AppTest) -> None:
    odd.query_params["image"] = "1"
    odd.run()
    odd.button(key="hit-0-2").click().run()
    assert not odd.exception
    assert "<img src=x" not in html_of(odd)
    assert "&lt;img src=x" in html_of(odd)
    captions = " ".join(caption.value for caption in odd.caption)
    assert "**bold**" not in captions
    assert r"\*\*bold\*\*" in captions or "&lt;" in captions or r"\<img" in captions


def test_a_store_without_regions(odd: AppTest) -> None:
    odd.query_params["image"] = "1"
    odd.query_params["search"] = "Regions"
    odd.run()
    assert not odd.exception
    assert odd.radio(key="search").options == ["Whole image"]


# --- words and tags ----------------------------------------------------------------------------

OWN = [f"{group}-{i}.jpg" for group in ("cat", "coffee", "rocket", "clock") for i in (1, 2, 3, 4)]


def teach() -> None:
    """The Teach page by itself, which the address alone leads to."""
    from ui.browser import query_panel, state, teach_page

    state.start()
    query_panel.show()
    state.write_url()
    teach_page.show()


@pytest.fixture
def own(tmp_path: Path, cbir: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """A collection of a few sample pictures that a test may change."""
    (tmp_path / "photos").mkdir()
    for name in OWN:
        shutil.copy(SAMPLE / "images" / name, tmp_path / "photos" / name)
    store = tmp_path / ".cbir"
    indexed = cbir("index", tmp_path / "photos", "--store", store, "--regions", "none")
    assert indexed.exit_code == 0, indexed.output
    monkeypatch.setenv("CBIR_STORE", str(store))
    return AppTest.from_file(str(APP), default_timeout=60)


def test_a_word_is_a_query(own: AppTest) -> None:
    own.run()
    own.text_input(key="text_typed").set_value("espresso").run()
    assert not own.exception
    assert own.query_params["text"] == "espresso"
    assert "Hit 1: coffee-" in html_of(own)
    assert [radio.key for radio in own.radio] == []  # there is one way to compare a word
    own.button(key="hit-open-1").click().run()
    assert not own.exception
    facts = " ".join(element.value for element in own.markdown)
    assert "**Likeliest of 1,000 classes:** espresso" in facts
    own.text_input(key="text_typed").set_value("expresso").run()
    assert "Close ones are espresso" in own.error[0].value
    own.text_input(key="text_typed").set_value("").run()
    assert "Where have I seen this" in own.subheader[0].value


def test_a_bookmarked_word_and_an_image_after_it(own: AppTest) -> None:
    own.query_params["text"] = "tabby"
    own.run()
    assert not own.exception
    assert "Hit 1: cat-" in html_of(own)
    own.button(key="hit-0-1").click().run()
    assert not own.exception
    assert "text" not in own.query_params
    assert "image" in own.query_params


def test_labels_are_kept_as_a_tag(own: AppTest, tmp_path: Path) -> None:
    page = AppTest.from_function(teach, default_timeout=60)
    page.query_params["image"] = "1"
    page.run()
    assert not page.exception
    assert [select.label for select in page.multiselect] == []
    page.button(key="taught-0-2").click().run()
    page.button(key="taught-0-3").click().run()
    page.button(key="taught-1-16").click().run()
    named = next(field for field in page.text_input if field.label == "Keep as a tag")
    named.set_value("kitty")
    next(button for button in page.button if button.label == "Tag the collection").click().run()
    assert not page.exception
    assert "got the tag kitty" in page.success[0].value
    store = Store.open(tmp_path / ".cbir")
    tagged = {i.path.name for i in store.image_infos(find_ids(store, KITTY)).values()}
    store.close()
    assert tagged
    assert tagged <= set(OWN[:4])

    own.query_params["image"] = "1"
    own.query_params["tags"] = "kitty"
    own.run()
    assert not own.exception
    assert own.multiselect(key="tags").value == ["kitty"]
    assert not any(f"{name}, score" in html_of(own) for name in set(OWN) - tagged)
    own.button(key="hit-open-1").click().run()
    assert "**Tags:** kitty" in " ".join(element.value for element in own.markdown)


KITTY = ImageFilter(tags=("kitty",))


@pytest.mark.parametrize(("name", "said"), [("", "cannot be the name"), ("x", "2 positive")])
def test_labels_that_cannot_be_kept(own: AppTest, name: str, said: str) -> None:
    del own  # the page is asked by itself
    page = AppTest.from_function(teach, default_timeout=60)
    page.query_params["image"] = "1"
    page.run()
    next(field for field in page.text_input if field.label == "Keep as a tag").set_value(name)
    next(button for button in page.button if button.label == "Tag the collection").click().run()
    assert not page.exception
    assert said in page.error[0].value


def test_a_bookmark_of_a_tag_that_is_gone(app: AppTest) -> None:
    app.query_params["tags"] = "gone"
    app.run()
    assert not app.exception
    assert not app.multiselect
