"""WCAG 2.2 AA on every page, light and dark, as far as axe-core can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import ui
from indexer.store.store import Store
from retrieval.collection import Collection
from retrieval.duplicates.search import find_duplicates
from tests.ui.browser.acting import settle, tiles
from tests.ui.browser.conftest import Served

AXE = Path(ui.__file__).parent / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
# Returns a line for each element that breaks a rule.
LOOK = """async () => {
    const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
    const { violations } = await axe.run(document, { runOnly: rules });
    return violations.flatMap(({ id, nodes }) =>
        nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`));
}"""
PAGES = {
    "start": "",
    "hits": "?image={cat}&name=*.jpg&search=region",
    "hit": "?image={cat}&search=region&hit={cat}",
    "modes": "modes?image={cat}",
    "teach": "teach?image={cat}",
    "collection": "collection",
    "files": "collection?show=files",
    "jobs": "collection?show=jobs",
    "duplicates": "duplicates",
    "lab": "lab",
}


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text("utf-8"))
    found: list[str] = page.evaluate(LOOK)
    return found


def visit(page: Page, served: Served, address: str, dark: bool) -> None:
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.goto(f"{served.url}/{address.format(cat=served.id_of('sample/cat-1.jpg'))}")
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    settle(page)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_rule_is_broken(page: Page, served: Served, name: str, dark: bool) -> None:
    visit(page, served, PAGES[name], dark)
    assert violations(page) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_none_by_what_is_opened(page: Page, served: Served, dark: bool) -> None:
    visit(page, served, PAGES["hits"], dark)
    for panel in ("Filters", "Options"):
        page.get_by_role("button", name=panel).click()
        expect(page.get_by_role("group", name=panel)).to_be_visible()
        assert violations(page) == []
    tiles(page).first.focus()
    for key in ("Space", "ArrowRight", "Space"):
        page.keyboard.press(key)
    page.get_by_role("region", name="Selection").get_by_text("Duplicates", exact=True).click()
    expect(page.get_by_role("group", name="Duplicates")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Draw a box").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []


def test_a_rule_that_is_broken_is_found(page: Page, served: Served) -> None:
    visit(page, served, "", dark=False)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"/x\">')")
    assert any(found.startswith("image-alt") for found in violations(page))


SIZES = {"wide": (1440, 900), "narrow": (390, 844)}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_none_while_teaching(page: Page, served: Served, size: str, dark: bool) -> None:
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    visit(page, served, PAGES["teach"], dark)
    tiles(page).first.focus()
    for key in "yyyy":
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Rank again · 4 new")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("r")
    expect(page.get_by_role("heading", name="Label these next")).to_be_visible()
    settle(page)
    assert violations(page) == []
    page.get_by_label("Name of what you teach").fill("cat")
    page.keyboard.press("Enter")
    expect(page.get_by_text("got it as a tag")).to_be_visible()
    settle(page)
    page.get_by_text("Names that were taught").click()
    for way in ("Rename cat", "Cancel", "Remove cat"):
        page.get_by_role("button", name=way).click()
        assert violations(page) == []
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("cat is forgotten")).to_be_visible()
    settle(page)
    assert violations(page) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_none_by_a_group_of_duplicates(page: Page, served: Served, size: str, dark: bool) -> None:
    opened = Store.open(served.store)
    find_duplicates(Collection(opened))
    opened.close()
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    visit(page, served, PAGES["duplicates"], dark)
    expect(page.get_by_role("figure").first).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Larger").first.click()
    page.get_by_role("button", name="parts of one picture").click()
    expect(page.get_by_role("heading", name="parts of one picture")).to_be_visible()
    settle(page)
    assert violations(page) == []
