"""The keyboard is never lost: what it was on goes, and it is on what is nearest."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.ui.browser.acting import begin, expect_hits, settle, tiles, upload_query
from tests.ui.browser.conftest import Served


def focused(page: Page) -> Locator:
    return page.locator(".cbir :focus")


def test_the_drawing_is_closed_on_the_button_that_opened_it(page: Page, served: Served) -> None:
    upload_query(page, served)
    draw = page.get_by_role("button", name="Draw a box")
    draw.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(draw).to_be_focused()


def test_escape_closes_panels_and_leaves_the_keyboard_on_their_buttons(
    page: Page, served: Served
) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}")
    for name in ("Filters", "Options"):
        button = page.get_by_role("button", name=name, exact=True)
        panel = page.get_by_role("group", name=name, exact=True)
        button.focus()
        page.keyboard.press("Enter")
        panel.get_by_role("textbox").or_(panel.get_by_role("checkbox")).first.focus()
        page.keyboard.press("Escape")
        expect(panel).to_have_count(0)
        expect(button).to_be_focused()
    keys = page.get_by_text("Keys", exact=True)
    keys.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("find similar ones")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("find similar ones")).to_be_hidden()


def test_removed_chips_and_a_cleared_query_leave_the_keyboard_in_the_bar(
    page: Page, served: Served
) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}&name=c&where=width>10")
    settle(page)
    chips = page.get_by_role("link", name=re.compile("^Remove: "))
    for left in range(chips.count() - 1, -1, -1):
        chips.first.focus()
        page.keyboard.press("Enter")
        expect(chips).to_have_count(left)
        expect(page.locator(".bar :focus")).to_have_count(1)
    page.get_by_role("link", name="Clear the query").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pick a picture")).to_be_focused()


def test_a_selection_that_is_cleared_and_a_new_query_leave_it_on_a_picture(
    page: Page, served: Served
) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}")
    expect_hits(page)
    tiles(page).first.focus()
    page.keyboard.press("Space")
    page.get_by_role("region", name="Selection").get_by_role("button", name="Clear").focus()
    page.keyboard.press("Enter")
    expect(tiles(page).first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(tiles(page).nth(1)).to_be_focused()
    name = (focused(page).get_attribute("aria-label") or "").partition(",")[0].split(": ")[1]
    page.keyboard.press("f")
    expect(focused(page)).to_have_attribute("aria-label", re.compile(f"^Hit 1: {name}"))


def test_keys_are_for_the_picture_that_has_the_keyboard_in_another_list_too(
    page: Page, served: Served
) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}")
    expect_hits(page)
    tiles(page).nth(2).focus()
    chosen = page.locator(".tile:has(:focus)").get_attribute("data-id")
    page.keyboard.press("+")
    page.wait_for_url(f"**also={chosen}")
    expect(page.locator(f"section[data-list$='also={chosen}']")).to_be_visible()
    expect_hits(page)
    page.locator(f".tile[data-id='{chosen}'] .picture").and_(focused(page)).wait_for()
    page.keyboard.press("-")
    page.wait_for_url(f"**unlike={chosen}")
