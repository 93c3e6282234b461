"""What a person does with the collection, done in Chromium."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.ui.browser.acting import QUERY, expect_hits, settle, tiles
from tests.ui.browser.conftest import Served
from tests.ui.browser.test_accessible import violations

EVERY = 74  # images of the store


def visit(page: Page, served: Served, address: str = "") -> None:
    page.goto(f"{served.url}/collection{address}")
    expect(page.get_by_role("navigation", name="Parts of the collection")).to_be_visible()
    settle(page)


def names(page: Page) -> list[str | None]:
    settle(page)
    expect(page.get_by_label(re.compile("loading$"))).to_have_count(0)
    return [picture.get_attribute("aria-label") for picture in tiles(page).all()]


# --- browsing -------------------------------------------------------------------------------------


def test_a_folder_is_browsed_and_left_again(page: Page, served: Served) -> None:
    (served.photos / "trip").mkdir()
    visit(page, served)
    expect(page.get_by_role("heading", name=f"{EVERY} photos")).to_be_visible()
    page.get_by_role("button", name="Folders").click()
    page.get_by_role("group", name="Folders").get_by_role("link", name="sample").click()
    page.wait_for_url("**folder=**sample")
    expect(page.get_by_role("link", name=re.compile("Remove: folder"))).to_be_visible()
    page.get_by_role("link", name="All", exact=True).click()
    page.wait_for_url(lambda url: "folder=" not in url)
    expect(page.get_by_role("heading", name=f"{EVERY} photos")).to_be_visible()
    page.go_back()
    page.wait_for_url("**folder=**")
    (served.photos / "trip").rmdir()


def test_all_photos_come_as_the_page_is_scrolled(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 600, "height": 600})
    visit(page, served)
    expect(tiles(page).first).to_be_visible()
    seen: set[str | None] = set()
    for _ in range(60):
        seen |= {*names(page)}
        page.evaluate("document.querySelector('[data-testid=stMain]').scrollBy(0, 500)")
        if len(seen) == EVERY:
            break
        page.wait_for_timeout(50)
    assert len(seen) == EVERY
    assert tiles(page).count() < EVERY  # what is far from the screen is not drawn


def test_a_photo_is_opened_and_searched_with(page: Page, served: Served) -> None:
    visit(page, served)
    tiles(page).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    tiles(page).first.focus()
    page.keyboard.press("f")
    page.wait_for_url(f"{served.url}/?image=*")  # the page of the hits
    expect(page.get_by_role("heading", name=re.compile("match|Best"))).to_be_visible()


def test_what_asks_on_a_page_without_hits_leads_to_them(page: Page, served: Served) -> None:
    visit(page, served)
    tiles(page).first.click()
    page.get_by_role("dialog").get_by_role("link", name="Find similar").click()
    page.wait_for_url(f"{served.url}/?image=*")
    first = page.url
    expect_hits(page)
    tiles(page).nth(1).focus()
    expect(tiles(page).nth(1)).to_be_focused()
    page.keyboard.press("f")
    expect(page).not_to_have_url(first)
    expect_hits(page)
    back = page.get_by_role("link", name=re.compile("Back to the query")).first
    expect(back).to_have_attribute("href", re.compile(r"^/\?image="))  # it names its page
    page.get_by_role("link", name="Collection").click()
    page.wait_for_url("**/collection?image=*")
    back.click()
    expect(page).to_have_url(first)
    expect_hits(page)
    page.get_by_role("link", name="Collection").click()
    page.wait_for_url("**/collection?image=*")
    page.get_by_role("button", name="Draw a box").click()
    page.get_by_label("Box in pixels").fill("10,10,150,150")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/?image=*box=*")
    expect_hits(page)


# --- the map --------------------------------------------------------------------------------------


@pytest.fixture
def plane(page: Page, served: Served) -> Locator:
    """The map, laid out unless it was already."""
    visit(page, served, "?show=map")
    drawn = page.get_by_role("application", name=re.compile("Map of"))
    start = page.get_by_role("button", name="Lay out the map")
    expect(drawn.or_(start)).to_be_visible()
    if start.is_visible():
        start.click()
    expect(page.locator(".plane[data-drawn=yes]")).to_be_visible()
    return drawn


def middle(plane: Locator) -> tuple[float, float]:
    area = plane.bounding_box()
    assert area is not None
    return area["x"] + area["width"] / 2, area["y"] + area["height"] / 2


def painted(page: Page) -> int:
    """Return how many colours the map shows."""
    shot = page.locator(".plane").screenshot()
    colours = Image.open(io.BytesIO(shot)).convert("RGB").getcolors(1 << 24)
    return len(colours or ())


def test_what_a_lasso_surrounds_is_chosen(page: Page, plane: Locator) -> None:
    plane.scroll_into_view_if_needed()
    x, y = middle(plane)
    area = plane.bounding_box()
    assert area is not None
    across, down = area["width"] / 2 - 4, area["height"] / 2 - 4
    page.get_by_role("button", name="Lasso").click()
    page.mouse.move(x - across, y - down)
    page.mouse.down()
    for right, below in ((1, -1), (1, 1), (-1, 1)):
        page.mouse.move(x + right * across, y + below * down, steps=4)
    page.mouse.up()
    expect(page.get_by_role("heading", name=f"{EVERY} chosen on the map")).to_be_visible()
    expect(page.get_by_role("region", name="Selection")).to_contain_text(f"{EVERY} selected")
    page.get_by_role("button", name="Show all images again").click()
    expect(page.get_by_role("heading", name=f"{EVERY} images on the map")).to_be_visible()
    page.keyboard.down("Shift")
    page.mouse.move(x - across, y - down)
    page.mouse.down()
    page.mouse.move(x, y - down, steps=3)
    page.mouse.move(x, y + down, steps=3)
    page.mouse.move(x - across, y + down, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    heading = page.get_by_role("heading", name=re.compile(r"\d+ chosen on the map"))
    expect(heading).to_be_visible()
    assert 0 < int(heading.inner_text().split()[0]) < EVERY


def test_the_map_shows_pictures_and_opens_them(page: Page, plane: Locator) -> None:
    expect(page.locator(".plane[data-pictures=yes]")).to_be_visible()
    for _ in range(100):
        if painted(page) > 500:  # colours: of photographs, not of points
            break
        page.wait_for_timeout(100)
    assert painted(page) > 500
    plane.focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("0")
    x, y = middle(plane)
    area = plane.bounding_box()
    assert area is not None
    card = page.locator(".plane .card")
    for step in range(-20, 21):
        page.mouse.move(x + step * area["width"] / 44, y)
        if card.is_visible():
            break
    expect(card).to_be_visible()
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("dialog")).to_be_visible()
    top = page.get_by_test_id("stMain").evaluate("part => part.scrollTop")
    page.keyboard.press("Escape")
    expect(plane).to_be_focused()  # and not the same image in the rows below
    assert page.get_by_test_id("stMain").evaluate("part => part.scrollTop") == top


@pytest.mark.usefixtures("plane")
def test_the_legend_names_the_colours(page: Page) -> None:
    page.get_by_label("Colour by").select_option("Date")
    legend = page.get_by_role("list", name=re.compile("Legend"))
    group = legend.get_by_role("button").first
    group.click()
    expect(group).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Colour by").select_option("One colour")
    expect(legend).to_be_hidden()
    page.get_by_label("Colour by").select_option("Folder")
    expect(legend).to_contain_text("photos")


@pytest.mark.usefixtures("plane")
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_rule_is_broken_by_the_map(page: Page, dark: bool, width: int) -> None:
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_viewport_size({"width": width, "height": 900})
    for way in ("Folders", "Dates", "Tags"):
        page.get_by_role("button", name=way).click()
        expect(page.get_by_role("button", name=way)).to_have_attribute("aria-expanded", "true")
        settle(page)
        assert violations(page) == []
    area = page.locator(".plane").bounding_box()
    assert area is not None
    assert area["x"] + area["width"] <= width


# --- jobs and files -------------------------------------------------------------------------------


def test_add_a_folder_and_watch(page: Page, served: Served, tmp_path: Path) -> None:
    shutil.copy(QUERY, tmp_path / "new.jpg")
    visit(page, served, "?show=jobs")
    page.get_by_label("Folder on this machine").fill("photos")
    page.get_by_role("button", name="Index it").click()
    expect(page.get_by_role("alert")).to_contain_text("full path")
    page.get_by_label("Folder on this machine").fill(str(tmp_path / "nowhere"))
    page.get_by_role("button", name="Index it").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no folder")
    page.get_by_label("Folder on this machine").fill(str(tmp_path))
    page.get_by_role("button", name="Index it").click()
    expect(page.get_by_text(re.compile(r"1 added.* in [\d.]+ s"))).to_be_visible()
    expect(page.get_by_text(f"{EVERY + 1} images")).to_be_visible()  # without a reload
    forget(served, tmp_path)


def test_a_job_survives_a_reload_and_is_stopped(page: Page, served: Served, tmp_path: Path) -> None:
    for number in range(300):
        shutil.copy(QUERY, tmp_path / f"{number}.jpg")
        with (tmp_path / f"{number}.jpg").open("ab") as file:
            file.write(b"%d" % number)  # another file for each
    visit(page, served, "?show=jobs")
    page.get_by_label("Folder on this machine").fill(str(tmp_path))
    page.get_by_role("button", name="Index it").click()
    indexing = page.get_by_role("article", name="Indexing")
    expect(indexing.get_by_role("progressbar")).to_be_visible()
    page.reload()
    expect(indexing.get_by_role("progressbar")).to_be_visible()
    expect(indexing).to_contain_text(str(tmp_path))
    indexing.get_by_role("button", name="Stop").click()
    expect(indexing).to_contain_text("Stopped. What is indexed stays")
    page.reload()
    expect(indexing).to_contain_text("Stopped. What is indexed stays")
    forget(served, tmp_path)


def forget(served: Served, folder: Path) -> None:
    from indexer.remove import remove_images
    from indexer.store.store import Store

    remove_images(Store.open(served.store), [folder])


def test_files_that_failed_have_a_reason(page: Page, served: Served) -> None:
    visit(page, served, "?show=files")
    table = page.get_by_role("table")
    expect(table).to_contain_text("notes [1] <b>.jpg")
    page.get_by_role("searchbox", name="Path or reason").fill("nothing like it")
    expect(table.get_by_role("row")).to_have_count(1)
    page.get_by_role("searchbox", name="Path or reason").fill("NOTES")
    expect(table.get_by_role("row")).to_have_count(2)
    with page.expect_download() as download:
        page.get_by_role("link", name="Save all as CSV").click()
    assert "notes [1] <b>.jpg" in download.value.path().read_text("utf-8")
