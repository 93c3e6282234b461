"""Two tabs of one browser: what is kept for both is not lost to either."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.ui.browser.acting import begin, settle, tiles
from tests.ui.browser.conftest import Served


def test_labels_of_one_tab_are_those_of_the_other(page: Page, served: Served) -> None:
    address = f"teach?image={served.id_of('sample/cat-1.jpg')}"
    begin(page, served, address)
    other = page.context.new_page()
    begin(other, served, address)
    for tab, place, key, said in ((page, 1, "y", "1 yes 0 no"), (other, 2, "n", "1 yes 1 no")):
        tiles(tab).nth(place).focus()
        tab.keyboard.press(key)
        for one in (page, other):
            expect(one.locator(".counts")).to_have_text(said)
    page.reload()
    settle(page)
    expect(page.locator(".counts")).to_have_text("1 yes 1 no")
    other.close()
