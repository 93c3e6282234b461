"""What a person does in a day, from an empty folder to copies that are decided, by keyboard."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image, ImageOps
from playwright.sync_api import Browser, Locator, Page, expect

from indexer.store.decisions import read_decisions
from indexer.store.store import Store
from indexer.store.tags import count_tags
from tests.sample import SAMPLE
from tests.ui.browser.acting import CUP, QUERY, expect_hits, hits, settle, tiles
from tests.ui.browser.conftest import KEPT_OUT, PATIENCE_MS, serving

GROUPS = ("cat", "coffee", "clock", "retina", "rocket")
STEPS = 5
PICKED = 3


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Sample pictures, and planted copies: the same bytes, and one that is mirrored."""
    folder = tmp_path / "photos"
    folder.mkdir()
    names = [f"{group}-{i}.jpg" for group in GROUPS for i in (1, 2, 3, 4, 5)]
    scenes = [path.name for path in (SAMPLE / "images").glob("scene-*.jpg")]
    for name in (*names, *sorted({*scenes} - {KEPT_OUT})):
        shutil.copy(SAMPLE / "images" / name, folder / name)
    shutil.copy(folder / "rocket-1.jpg", folder / "rocket again.jpg")
    with Image.open(folder / "clock-1.jpg") as clock:
        ImageOps.mirror(clock).save(folder / "clock mirrored.jpg", quality=92)
    return folder


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[Page]:
    """A tab of a browser that was never here before."""
    expect.set_options(timeout=PATIENCE_MS)
    context = chromium.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    yield page
    context.close()
    assert failures == []


def press(element: Locator, key: str = "Enter") -> None:
    """Go to an element by keyboard, and press a key there."""
    element.focus()
    element.press(key)


def go_to(page: Page, title: str) -> None:
    press(page.get_by_role("navigation", name="Pages").get_by_role("link", name=title))
    expect(page.get_by_role("link", name=title)).to_have_attribute("aria-current", "page")
    settle(page)


def test_a_persons_day(visitor: Page, photos: Path) -> None:
    store = photos.parent / ".cbir"
    with serving(store) as entry:
        visitor.goto(entry)
        index_the_folder(visitor, photos)
        draw_a_box_and_find(visitor)
        picked = step_through_hits_and_pick(visitor)
        teach_a_name(visitor)
        tagged = filter_by_the_name(visitor)
        export_the_selection(visitor, photos, picked)
        groups = find_duplicates_and_decide_two(visitor)
        visitor.reload()
        expect(visitor.get_by_role("heading", name=f"1 of {groups - 2}: ")).to_be_visible()
        all_is_still_there(visitor)
    opened = Store.open(store)
    assert count_tags(opened) == {"espresso": tagged}
    decisions = read_decisions(opened)
    assert decisions.kept
    assert decisions.copies
    opened.close()


def index_the_folder(page: Page, photos: Path) -> None:
    folder = page.get_by_label("Folder with photos")
    folder.fill(str(photos))
    folder.press("Enter")
    count = len(list(photos.iterdir()))
    expect(page.get_by_text(re.compile(f"{count} added"))).to_be_visible()
    press(page.get_by_role("link", name="Photos"))
    expect(page.get_by_role("heading", name=f"{count} photos")).to_be_visible()
    settle(page)


def draw_a_box_and_find(page: Page) -> None:
    go_to(page, "Search")
    with page.expect_file_chooser() as chooser:
        press(page.get_by_role("button", name="Pick a picture"))
    chooser.value.set_files(QUERY)
    expect(page.get_by_role("button", name=f"Query: {KEPT_OUT}")).to_be_visible()
    expect_hits(page)
    press(page.get_by_role("button", name="Draw a box"))
    typed = page.get_by_label("Box in pixels")
    typed.fill(str(CUP))
    typed.press("Tab")
    page.wait_for_url("**box=**")
    expect(page.locator(".tile .mark").first).to_be_visible()
    expect_hits(page)


def step_through_hits_and_pick(page: Page) -> list[str]:
    """Open the first hit, go on by five, and select the first three of them; return their names."""
    found = [name for name, _ in hits(page)[: STEPS + 1]]
    press(tiles(page).first)
    dialog = page.get_by_role("dialog")
    for place, name in enumerate(found):
        expect(dialog.get_by_role("heading", name=name)).to_be_visible()
        expect(dialog.get_by_text(re.compile(f"^{place + 1} of "))).to_be_visible()
        if place < PICKED:
            page.keyboard.press("s")
            expect(dialog.get_by_role("button", name="Selected")).to_be_visible()
        if place < STEPS:
            page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_text(f"{PICKED} selected")).to_be_visible()
    return found[:PICKED]


def teach_a_name(page: Page) -> None:
    go_to(page, "Teach")
    press(page.get_by_role("button", name="Label right"))
    expect(page.get_by_text(f"{PICKED} yes")).to_be_visible()
    page.keyboard.press("r")
    expect(page.get_by_role("heading", name=f"Ranked by {PICKED} labels")).to_be_visible()
    settle(page)
    name = page.get_by_label("Name of what you teach")
    name.fill("espresso")
    name.press("Enter")
    expect(page.get_by_text("got it as a tag")).to_be_visible()
    press(page.get_by_role("link", name="Show them"))
    page.wait_for_url("**/collection?tags=espresso")
    expect(page.get_by_role("heading", name=re.compile(r"photos of \d+"))).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name=f"Ranked by {PICKED} labels")).to_be_visible()


def filter_by_the_name(page: Page) -> int:
    """Show the hits with the tag; return how many there are."""
    go_to(page, "Search")
    press(page.get_by_role("button", name="Filters"))
    press(page.get_by_role("checkbox", name=re.compile("^espresso")), "Space")
    page.wait_for_url("**tags=espresso**")
    expect_hits(page)
    expect(page.get_by_role("link", name="Remove: tag espresso")).to_be_visible()
    return len(hits(page))


def export_the_selection(page: Page, photos: Path, picked: list[str]) -> None:
    with page.expect_download() as download:
        press(page.get_by_role("link", name="Save as ZIP"))
    with ZipFile(download.value.path()) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("hits.csv").decode())))
        assert [Path(row["path"]).name for row in rows] == picked
        for row in rows:
            assert archive.read(row["file"]) == (photos / Path(row["path"]).name).read_bytes()


def find_duplicates_and_decide_two(page: Page) -> int:
    """Search for duplicates, and decide about the first two groups; return how many there are."""
    press(page.get_by_role("link", name="Remove: tag espresso"))
    page.wait_for_url(lambda url: "tags=" not in url)
    go_to(page, "Duplicates")
    press(page.get_by_role("button", name="Search for duplicates"))
    expect(page.get_by_role("button", name="Search again")).to_be_visible()
    settle(page)
    heading = page.get_by_role("heading", name=re.compile("^1 of "))
    expect(heading).to_be_visible()
    count = int(heading.inner_text().split()[2].rstrip(":"))
    for key, place in (("1", 2), ("k", 3)):
        settle(page)
        expect(page.get_by_role("figure").first).to_be_visible()
        page.keyboard.press(key)
        expect(page.get_by_role("heading", name=f"{place} of {count}: ")).to_be_visible()
    expect(page.get_by_text("2 decided")).to_be_visible()
    return count


def all_is_still_there(page: Page) -> None:
    go_to(page, "Teach")
    expect(page.get_by_role("heading", name=f"Ranked by {PICKED} labels")).to_be_visible()
    expect(page.get_by_text(f"{PICKED} yes")).to_be_visible()
    expect(page.get_by_text(f"{PICKED} selected")).to_be_visible()
    expect(page.get_by_label("Name of what you teach")).to_have_value("espresso")
    press(page.get_by_role("button", name="Filters"))
    expect(page.get_by_role("checkbox", name=re.compile("^espresso"))).to_be_visible()
