"""A list of the whole collection: any part of it at once, and the same place again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.ui.browser.acting import settle, tiles
from tests.ui.browser.conftest import Served

EVERY = 74  # images of the store
SCROLLER = "document.querySelector('[data-testid=stMain]')"
LONG = f"() => {SCROLLER}.scrollHeight > 4000"  # the 50 images that come with the page are 3,300

# Whether images are drawn where the list is scrolled to.
DRAWN = """() => [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
    .flatMap((host) => [...(host.shadowRoot?.querySelectorAll('.tile') ?? [])])
    .map((tile) => tile.getBoundingClientRect())
    .some(({ top, bottom }) => bottom > 0 && top < innerHeight)"""
SET = """(field, value) => {
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
}"""
IN_VIEW = """all => all.filter((one) => one.getBoundingClientRect().top > 0)
    .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
    .map((one) => one.dataset.id)"""


def visit(page: Page, served: Served) -> None:
    """Open the collection on a screen that shows a few images of it, once its length is known."""
    page.set_viewport_size({"width": 390, "height": 600})
    with page.expect_response("**/page/shapes*"):
        page.goto(f"{served.url}/collection")
    expect(tiles(page).first).to_be_visible()
    settle(page)
    page.wait_for_function(LONG)


def scroll_to(page: Page, share: float) -> int:
    top: int = page.evaluate(
        f"share => {{ {SCROLLER}.scrollTo(0, share * {SCROLLER}.scrollHeight);"
        f" return {SCROLLER}.scrollTop; }}",
        share,
    )
    page.wait_for_function(DRAWN)
    return top


def expect_no_holes(page: Page) -> None:
    expect(page.get_by_label(re.compile("loading$"))).to_have_count(0)


def test_the_end_key_leads_to_the_last_image_and_home_to_the_first(
    page: Page, served: Served
) -> None:
    visit(page, served)
    first = tiles(page).first.get_attribute("aria-label") or ""
    tiles(page).first.focus()
    page.keyboard.press("End")
    focused = page.locator(".tile .picture:focus")
    expect_no_holes(page)
    expect(focused).not_to_have_attribute("aria-label", first)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(f"{EVERY} of {EVERY}", exact=True)).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(dialog.get_by_text(f"{EVERY - 1} of {EVERY}", exact=True)).to_be_visible()
    name = dialog.get_by_role("heading").first.inner_text()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(focused).to_have_attribute("aria-label", name)  # where the last look was
    page.keyboard.press("Home")
    expect(focused).to_have_attribute("aria-label", first)


def test_a_place_far_down_is_fetched_without_all_before_it(page: Page, served: Served) -> None:
    asked: list[str] = []

    def note(route: Route) -> None:
        asked.append(route.request.url)
        route.continue_()

    page.route("**/page/images?*", note)
    visit(page, served)
    with page.expect_response("**/page/images?*from=48*"):
        scroll_to(page, 1)
    expect_no_holes(page)
    page.unroute_all()
    assert len(asked) <= 2


def test_back_and_reload_lead_to_the_same_place(page: Page, served: Served) -> None:
    visit(page, served)
    top = scroll_to(page, 0.6)
    expect_no_holes(page)
    page.evaluate("() => history.pushState({}, '', '/?text=')")  # without a click, which scrolls
    page.evaluate("() => dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.get_by_role("heading", name="Where have I seen this before?")).to_be_visible()
    page.go_back()
    page.wait_for_function(f"top => Math.abs({SCROLLER}.scrollTop - top) < 2", arg=top)
    page.reload()
    page.wait_for_function(f"top => Math.abs({SCROLLER}?.scrollTop - top) < 2", arg=top)
    expect_no_holes(page)


def test_what_did_not_arrive_is_said_and_asked_for_again(page: Page, served: Served) -> None:
    visit(page, served)
    page.route("**/page/images?*", lambda route: route.abort())
    scroll_to(page, 1)
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("Some images did not arrive. The server does not answer.")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(problem).to_have_count(0)
    expect_no_holes(page)


def test_a_list_of_hits_says_so_too(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 390, "height": 600})
    page.route("**/page/hits?*", lambda route: route.fulfill(status=500, body="oops"))
    page.goto(f"{served.url}/?image={served.id_of('sample/cat-1.jpg')}")
    expect(tiles(page).first).to_be_visible()
    settle(page)
    scroll_to(page, 1)
    expect(page.get_by_role("alert")).to_contain_text("The server answers with an error (500).")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.wait_for_function(LONG)


def test_shift_selects_images_that_were_not_fetched(page: Page, served: Served) -> None:
    visit(page, served)
    tiles(page).first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("End")
    expect_no_holes(page)
    page.keyboard.press("Shift+Space")
    expect(page.get_by_text(f"{EVERY} selected")).to_be_visible()
    page.get_by_role("region", name="Selection").get_by_role("button", name="Clear").click()


def test_rows_of_another_height_show_the_same_images(page: Page, served: Served) -> None:
    visit(page, served)
    page.set_viewport_size({"width": 800, "height": 900})
    expect(page.get_by_label("Height of the rows")).to_be_visible()
    scroll_to(page, 0.5)
    expect_no_holes(page)
    ids: list[str] = page.locator(".tile").evaluate_all(IN_VIEW)
    page.get_by_label("Height of the rows").evaluate(SET, "360")  # filling it would scroll
    expect(page.locator(f".tile[data-id='{ids[0]}']")).to_be_in_viewport()


@pytest.mark.parametrize(
    ("count", "said", "saved"),
    [
        (501, "A ZIP file takes up to 500 photos.", ["Save the table"]),
        (2001, "A table takes up to 2,000 images, and a ZIP file 500.", []),
        (500, "500 selected", ["Save as ZIP", "Save the table"]),
    ],
)
def test_a_selection_offers_what_can_be_done_with_so_many(
    page: Page, served: Served, count: int, said: str, saved: list[str]
) -> None:
    page.goto(f"{served.url}/_stcore/health")
    ids = list(range(1, count + 1))
    page.evaluate("ids => sessionStorage.setItem('cbir-selected', JSON.stringify(ids))", ids)
    page.goto(f"{served.url}/collection")
    selection = page.get_by_role("region", name="Selection")
    expect(selection.get_by_text(said)).to_be_visible()
    expect(selection.get_by_role("link")).to_have_text(saved)
    expect(selection.get_by_text("Duplicates", exact=True)).to_have_count(int(count == 500))


def test_why_there_is_no_zip_file_is_said(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/_stcore/health")
    page.evaluate("sessionStorage.setItem('cbir-selected', '[1, 2]')")
    page.goto(f"{served.url}/collection")
    why = {"error": "The photos that are picked have 612 MB; a ZIP file takes 500 MB."}
    page.route("**/page/zip?*check=1*", lambda route: route.fulfill(status=413, json=why))
    selection = page.get_by_role("region", name="Selection")
    selection.get_by_role("link", name="Save as ZIP").click()
    expect(selection.get_by_role("alert")).to_have_text(why["error"])
    page.unroute_all()
    with page.expect_download() as download:
        selection.get_by_role("link", name="Save as ZIP").click()
    assert download.value.suggested_filename == "hits.zip"
    expect(selection.get_by_role("alert")).to_have_count(0)
