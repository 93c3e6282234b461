"""What a person does on the pages in Chromium, as steps of tests."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from indexer.features.regions import Region
from tests.sample import SAMPLE, SCENES
from tests.ui.browser.conftest import KEPT_OUT, Served

QUERY = SAMPLE / "images" / KEPT_OUT
CUP = SCENES[KEPT_OUT]["coffee"]
HIT = re.compile(
    r"Hit \d+: (?P<name>.*), score -?[\d.]+(, [a-z ]+?)?"
    r"(, matched box (?P<box>[\d,]+))?(, labelled .*)?"
)


def begin(page: Page, served: Served, address: str = "") -> None:
    page.goto(f"{served.url}/{address}")
    expect(tiles(page).first).to_be_visible()
    settle(page)


def settle(page: Page) -> None:
    """Wait until the page is complete."""
    expect(page.locator(".stApp[data-test-script-state=notRunning]")).to_be_visible()


def tiles(page: Page) -> Locator:
    """The pictures of the lists on a page."""
    return page.locator(".tile .picture")


def upload(page: Page, path: Path) -> None:
    page.set_input_files("input[type=file]", path)


def upload_query(page: Page, served: Served) -> None:
    begin(page, served)
    upload(page, QUERY)
    expect_hits(page)
    expect(page.get_by_role("button", name=f"Query: {KEPT_OUT}")).to_be_visible()


def expect_hits(page: Page) -> None:
    expect(page.get_by_role("heading", name=re.compile(r"match|Best"))).to_be_visible()
    settle(page)


def canvas(page: Page) -> Locator:
    """The query picture, opened to draw on it."""
    return page.get_by_role("application", name="Query picture")


def drag(page: Page, box: Region, size: tuple[int, int]) -> None:
    """Draw a box, given in pixels of the original of `size`, on the query picture."""
    area = canvas(page).locator(".stage").bounding_box()
    assert area is not None

    def place(x: int, y: int) -> tuple[float, float]:
        return area["x"] + area["width"] * x / size[0], area["y"] + area["height"] * y / size[1]

    page.mouse.move(*place(box.x0, box.y0))
    page.mouse.down()
    page.mouse.move(*place(box.x1, box.y1), steps=8)
    page.mouse.up()


def search_regions_for_the_cup(page: Page, served: Served) -> None:
    upload_query(page, served)
    page.get_by_role("button", name="Draw a box").click()
    drag(page, CUP, (480, 360))
    page.wait_for_url("**box=**")
    expect(page.locator(".tile .mark").first).to_be_visible()
    settle(page)


def hits(page: Page) -> list[tuple[str, Region | None]]:
    """Return (name, matched box) of the hits that are drawn, in order, once all are.

    Of hits that are proved the outline is drawn, which has no box.
    """
    settle(page)
    found = []
    for picture in tiles(page).all():
        text = picture.get_attribute("aria-label") or ""
        match = HIT.fullmatch(text)
        assert match is not None, text
        found.append((match["name"], Region.parse(match["box"]) if match["box"] else None))
    return found


def open_hit(page: Page, place: int = 0) -> Locator:
    tiles(page).nth(place).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img", name="Match: ")).to_be_visible()
    return dialog
