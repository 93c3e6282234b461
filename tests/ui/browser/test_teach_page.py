"""The teach page, without a browser and with one: labels, rankings by them, and names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from streamlit.testing.v1 import AppTest

from indexer.store.store import Store
from indexer.store.tags import count_tags, delete_concept, tags_of
from retrieval.query import Query
from retrieval.relevance_feedback import RelevanceFeedback
from tests.ui.browser.acting import begin, settle, tiles
from tests.ui.browser.conftest import Served
from tests.ui.browser.shown_pages import data_of, run_at
from tests.ui.conftest import Album
from ui.asked import Asked
from ui.browser.teach_page import AFTER, SHOWN, SUGGESTED, looked_for, signature
from ui.shown import shown

# --- what the components are told -----------------------------------------------------------------


def page_alone() -> None:
    # Streamlit runs the text of this function as a script.
    from ui.browser import teach_page

    teach_page.show()


@pytest.fixture
def app(album: Album, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CBIR_STORE", str(album.store))
    return AppTest.from_function(page_alone, default_timeout=60)


def grids(app: AppTest) -> dict[str, dict[str, Any]]:
    return {grid["list"].partition("?")[0]: grid for grid in data_of(app, "grid")}


def teaching(app: AppTest) -> dict[str, Any]:
    [data] = data_of(app, "teaching")
    return data


def test_filters_do_not_change_what_labels_belong_to() -> None:
    assert looked_for(Asked(image=4, name="c*", search="region", rerank=True)) == "image=4"
    assert signature({12: True, 7: False}) == "7-,12+"


def test_without_labels_there_are_the_matches_of_the_query(app: AppTest) -> None:
    run_at(app, {"image": "1"})
    assert list(grids(app)) == ["taught"]
    assert grids(app)["taught"]["rows"][0]["s"] == pytest.approx(1, abs=1e-3)
    assert not grids(app)["taught"]["ranks"]
    data = teaching(app)
    assert (data["of"], data["query"], data["counted"], data["said"]) == ("image=1", True, "", None)


def test_labels_rank_and_show_ranks_in_place_of_scores(app: AppTest, album: Album) -> None:
    labels = {2: False, 3: True}
    app.session_state["counted"] = {"image=1": labels}
    run_at(app, {"image": "1"})
    taught, strip = grids(app)["taught"], grids(app)["suggested"]
    feedback = RelevanceFeedback(shown(album.store).engine.collection)
    query = Query.for_store(shown(album.store).spec, image_id=1, k=SHOWN, damaged="take")
    assert [row["id"] for row in taught["rows"]] == [
        hit.image_id for hit in feedback.search(query, labels)
    ]
    assert taught["ranks"]
    assert taught["heading"] == "Ranked by 2 labels"
    assert not any("s" in row for row in (*taught["rows"], *strip["rows"]))
    assert not {1, 2, 3} & {row["id"] for row in strip["rows"]} - {1}
    assert len(strip["rows"]) <= SUGGESTED
    assert taught["counted"] == strip["counted"] == teaching(app)["counted"] == "2-,3+"


def test_labels_of_another_query_do_not_count(app: AppTest) -> None:
    app.session_state["counted"] = {"image=1": {2: True}}
    run_at(app, {"image": "3"})
    assert teaching(app)["counted"] == ""
    assert list(grids(app)) == ["taught"]


def test_labels_that_contradict_the_query_are_told_and_the_matches_stay(app: AppTest) -> None:
    app.session_state["counted"] = {"image=1": {1: False}}
    run_at(app, {"image": "1"})
    said = teaching(app)["said"]
    assert said["bad"]
    assert "Remove one of the labels" in said["text"]
    assert grids(app)["taught"]["rows"][0]["id"] == 1
    assert teaching(app)["counted"] == "1-"  # it is not asked for again


def test_nothing_is_asked(app: AppTest) -> None:
    run_at(app, {})
    assert not teaching(app)["query"]
    assert grids(app)["samples"]["asks"]


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture
def cats(page: Page, served: Served) -> Iterator[Page]:
    """The teach page, asked with a cat; what it teaches is forgotten after the test."""
    begin(page, served, f"teach?image={served.id_of('sample/cat-1.jpg')}")
    yield page
    page.goto("about:blank")
    store = Store.open(served.store)
    for name in count_tags(store):
        with store.writing():
            delete_concept(store, name)
    store.close()


def grid(page: Page, heading: str) -> Locator:
    return page.get_by_role("region", name=re.compile(heading))


def names(part: Locator) -> list[str]:
    said = [one.get_attribute("aria-label") or "" for one in part.locator(".tile .picture").all()]
    return [re.sub(r"^Hit \d+: |, .*$", "", text) for text in said]


def label(page: Page, keys: str) -> None:
    """Label pictures from the one that has the keyboard on."""
    for key in keys:
        page.keyboard.press(key)


def rank_again(page: Page, count: int) -> None:
    page.keyboard.press("r")
    expect(page.get_by_role("heading", name=re.compile(f"Ranked by {count} label"))).to_be_visible()
    settle(page)


def test_nothing_moves_until_it_is_ranked_again_and_a_reload_keeps_all(cats: Page) -> None:
    before = names(grid(cats, "Best matches"))
    tiles(cats).first.focus()
    label(cats, "yynn")
    expect(cats.get_by_role("button", name="Rank again · 4 new")).to_be_visible()
    expect(cats.get_by_text("2 yes")).to_be_visible()
    settle(cats)
    assert names(grid(cats, "Best matches")) == before
    rank_again(cats, 4)
    ranked, strip = names(grid(cats, "Ranked by")), names(grid(cats, "Label these next"))
    assert ranked != before
    focused = cats.locator(".tile .picture:focus")  # where labelling goes on
    focused.wait_for()
    assert ", labelled" not in (focused.get_attribute("aria-label") or "")
    for place in (0, 1):
        grid(cats, "Label these next").get_by_role("button", name=re.compile("^No,")).nth(
            place
        ).click()
    expect(cats.get_by_role("button", name="Rank again · 2 new")).to_be_visible()
    settle(cats)
    assert names(grid(cats, "Ranked by")) == ranked
    assert names(grid(cats, "Label these next")) == strip
    cats.reload()
    expect(cats.get_by_role("heading", name="Ranked by 4 labels")).to_be_visible()
    expect(cats.get_by_role("button", name="Rank again · 2 new")).to_be_visible()
    settle(cats)
    assert names(grid(cats, "Ranked by")) == ranked
    assert names(grid(cats, "Label these next")) == strip
    assert "score" not in (tiles(cats).first.get_attribute("aria-label") or "")


def test_eight_labels_rank_but_not_behind_a_hit_that_is_open(cats: Page) -> None:
    tiles(cats).first.click()
    dialog = cats.get_by_role("dialog")
    expect(dialog).to_be_visible()
    label(cats, "yyyynnnn")
    expect(dialog.get_by_text(re.compile(f"^{AFTER + 1} of "))).to_be_visible()
    expect(cats.get_by_role("heading", name="Best matches")).to_have_count(1)
    cats.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(cats.get_by_role("heading", name=f"Ranked by {AFTER} labels")).to_be_visible()


def test_the_hit_that_is_open_is_shown_once(cats: Page) -> None:
    tiles(cats).first.focus()
    label(cats, "yynn")
    rank_again(cats, 4)
    strip = grid(cats, "Label these next")
    strip.locator(".tile .picture").first.click()
    expect(cats.get_by_role("dialog")).to_have_count(1)
    expect(cats.get_by_role("dialog").get_by_text(re.compile("^1 of 8"))).to_be_visible()
    cats.reload()
    expect(cats.get_by_role("dialog")).to_have_count(1)


def test_labels_go_into_a_file_and_come_back(cats: Page, tmp_path: Path) -> None:
    tiles(cats).first.focus()
    label(cats, "yyn")
    with cats.expect_download() as download:
        cats.get_by_role("link", name="Save labels").click()
    file = tmp_path / "labels.json"
    download.value.save_as(file)
    assert [one["match"] for one in json.loads(file.read_text("utf-8"))["labels"]].count(True) == 2
    rank_again(cats, 3)
    cats.get_by_role("button", name="Clear labels").click()
    expect(cats.get_by_role("heading", name="Best matches")).to_be_visible()
    expect(cats.get_by_text("0 yes")).to_be_visible()
    cats.get_by_label("File of labels").set_input_files(file)
    expect(cats.get_by_text("3 labels were loaded.")).to_be_visible()
    expect(cats.get_by_role("button", name="Rank again · 3 new")).to_be_visible()
    file.write_text("milk, bread", "utf-8")
    cats.get_by_label("File of labels").set_input_files(file)
    expect(cats.get_by_text("labels.json: The labels file is not valid")).to_be_visible()


def test_a_name_is_saved_improved_renamed_and_removed(cats: Page, served: Served) -> None:
    asked = cats.url
    tiles(cats).first.focus()
    label(cats, "yyyy")
    name = cats.get_by_label("Name of what you teach")
    name.fill("cat")
    name.press("Enter")
    expect(cats.get_by_text(re.compile("probably show cat and got it as a tag"))).to_be_visible()
    store = Store.open(served.store)
    assert "cat" in tags_of(store, served.id_of("sample/cat-1.jpg"))
    expect(cats.get_by_role("button", name="Teach it again")).to_be_visible()
    facts = tiles(cats).first
    facts.click()
    expect(cats.get_by_label("Facts").get_by_text(re.compile(r"^cat \(\d\.\d\d\)"))).to_be_visible()
    cats.keyboard.press("Escape")
    cats.get_by_role("button", name="Filters").click()
    cats.get_by_role("checkbox", name=re.compile("^cat ")).check()
    cats.wait_for_url("**tags=cat**")
    expect(cats.get_by_role("link", name="Remove: tag cat")).to_be_visible()
    cats.goto(f"{served.url}/teach")
    taught = cats.get_by_role("list", name="Names that were taught")
    taught.get_by_role("link", name="Improve cat").click()
    cats.wait_for_url(asked)
    expect(cats.get_by_text("4 yes")).to_be_visible()
    expect(name).to_have_value("cat")
    cats.get_by_text("Names that were taught").click()
    taught.get_by_role("button", name="Rename cat").click()
    cats.get_by_label("New name of cat").fill("kitten")
    cats.keyboard.press("Enter")
    expect(cats.get_by_text("cat is now called kitten.")).to_be_visible()
    expect(name).to_have_value("kitten")
    assert list(count_tags(store)) == ["kitten"]
    taught.get_by_role("button", name="Remove kitten").click()
    taught.get_by_role("button", name="Remove it").click()
    expect(cats.get_by_text("kitten is forgotten")).to_be_visible()
    expect(taught).to_have_count(0)
    assert count_tags(store) == {}
    store.close()


def test_a_name_that_cannot_be_taught_says_why(cats: Page) -> None:
    name = cats.get_by_label("Name of what you teach")
    name.fill("cat")
    name.press("Enter")
    expect(cats.get_by_role("alert")).to_contain_text("needs at least 2 positive examples")
