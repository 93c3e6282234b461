"""Clicks that come faster than the answers: only the last one counts."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.ui.browser.conftest import Served
from tests.ui.browser.test_real_browser import begin, hits, settle

CLICK = """async (count) => {
    for (let i = 0; i < count; i++) {
        const found = [...document.querySelectorAll("button")]
            .filter((button) => button.innerText.includes("Find similar"));
        found[(7 * i) % found.length]?.click();
        await new Promise((done) => setTimeout(done, 40));
    }
}"""


def test_the_last_of_many_quick_clicks_is_answered(page: Page, served: Served) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}&verify=true")
    expect(page.get_by_text(re.compile(r"matches · \d"))).to_be_visible()
    page.evaluate(CLICK, 40)
    last = served.id_of("sample/coins-1.jpg")
    page.goto(f"{served.url}/?image={last}")
    expect(page.locator("figure img[alt^='Hit 1: coins-1.jpg']")).to_be_visible()
    settle(page)
    assert hits(page)[0][0] == "coins-1.jpg"
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_test_id("stAlert")).to_have_count(0)
