"""WCAG 2.2 AA on every page, light and dark, as far as axe-core can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import ui
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
    page.keyboard.press("Space")
    assert violations(page) == []
    page.get_by_role("button", name="Draw a box").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []


def test_a_rule_that_is_broken_is_found(page: Page, served: Served) -> None:
    visit(page, served, "", dark=False)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"/x\">')")
    assert any(found.startswith("image-alt") for found in violations(page))
