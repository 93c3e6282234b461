"""Clicks that come faster than the answers: only the last one counts."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.ui.browser.acting import begin, expect_hits, hits, tiles
from tests.ui.browser.conftest import Served

CLICK = """async (ids) => {
    for (const id of ids) {
        history.pushState({}, "", `?image=${id}&verify=yes`);
        dispatchEvent(new PopStateEvent("popstate"));
        await new Promise((done) => setTimeout(done, 40));
    }
}"""


def test_the_last_of_many_quick_clicks_is_answered(page: Page, served: Served) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}&verify=yes")
    expect_hits(page)
    last = served.id_of("sample/coins-1.jpg")
    page.evaluate(CLICK, [1 + (7 * i) % 70 for i in range(40)] + [last])
    expect(tiles(page).first).to_have_attribute("aria-label", re.compile("Hit 1: coins-1.jpg"))
    assert hits(page)[0][0] == "coins-1.jpg"
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)
