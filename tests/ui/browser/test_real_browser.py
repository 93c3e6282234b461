"""What a person does on the pages, done in Chromium."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from indexer.features.regions import Region
from tests.sample import SAMPLE, SCENES, holding, is_centred_in
from tests.ui.browser.conftest import KEPT_OUT, Served

QUERY = SAMPLE / "images" / KEPT_OUT
CUP = SCENES[KEPT_OUT]["coffee"]


def begin(page: Page, served: Served, address: str = "") -> None:
    page.goto(f"{served.url}/{address}")
    expect(page.locator("figure").first).to_be_visible()
    settle(page)


def settle(page: Page) -> None:
    """Wait until the page is complete."""
    expect(page.locator(".stApp[data-test-script-state=notRunning]")).to_be_visible()


def expect_picker(page: Page) -> None:
    """Wait until the place for the query image listens."""
    expect(page.get_by_role("group", name="Query image")).to_have_attribute("data-ready", "yes")


def upload(page: Page, path: Path) -> None:
    page.set_input_files("[data-testid=stFileUploader] input", path)


def upload_query(page: Page, served: Served) -> None:
    begin(page, served)
    upload(page, QUERY)
    expect(page.get_by_text(re.compile(r"matches · \d"))).to_be_visible()
    settle(page)
    expect(picker(page).get_by_role("img")).to_be_visible()
    expect_picker(page)


def picker(page: Page) -> Locator:
    return page.get_by_role("group", name="Query image. Drag")


def drag(page: Page, box: Region, size: tuple[int, int]) -> None:
    """Draw a box, given in pixels of the original of `size`, on the query image."""
    area = picker(page).bounding_box()
    assert area is not None

    def place(x: int, y: int) -> tuple[float, float]:
        return area["x"] + area["width"] * x / size[0], area["y"] + area["height"] * y / size[1]

    page.mouse.move(*place(box.x0, box.y0))
    page.mouse.down()
    page.mouse.move(*place(box.x1, box.y1), steps=8)
    page.mouse.up()


def hits(page: Page) -> list[tuple[str, Region | None]]:
    """Return (name, matched box) of the hits that are shown, in order, once all are."""
    settle(page)
    found = []
    for image in page.locator("figure img[alt^='Hit']").all():
        text = image.get_attribute("alt") or ""
        match = re.fullmatch(r"Hit \d+: (.*), score -?[\d.]+(?:, matched box ([\d,]+))?", text)
        assert match is not None, text
        found.append((match[1], Region.parse(match[2]) if match[2] else None))
    return found


def search_regions_for_the_cup(page: Page, served: Served) -> None:
    upload_query(page, served)
    drag(page, CUP, (480, 360))
    expect(page.locator(".cbir-box").first).to_be_visible()


def open_first(page: Page) -> Locator:
    page.get_by_role("button", name="Open").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("figure").nth(1)).to_be_visible()
    return dialog


def test_draw_a_box_and_find_the_part(page: Page, served: Served) -> None:
    search_regions_for_the_cup(page, served)
    found = hits(page)
    name, box = found[0]
    assert name in holding("coffee") | {f"coffee-{i}.jpg" for i in range(1, 6)}
    assert holding("coffee") - {KEPT_OUT} <= {name for name, _ in found[:7]}
    for name, box in found[:7]:
        if name in SCENES:
            assert is_centred_in(box, SCENES[name]["coffee"]), name
    drawn = Region.parse(page.get_by_label("Box (x0").input_value())
    assert drawn.iou(CUP) > 0.9


def test_the_box_by_keyboard_alone(page: Page, served: Served) -> None:
    upload_query(page, served)
    picker(page).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".cbir-box").first).to_be_visible()
    field = page.get_by_label("Box (x0")
    before = field.input_value()
    picker(page).focus()
    page.keyboard.press("ArrowRight")
    expect(field).not_to_have_value(before)
    picker(page).focus()
    page.keyboard.press("Delete")
    expect(field).to_have_value("")


def test_a_hit_opens_larger_with_heat_map_and_mask(page: Page, served: Served) -> None:
    search_regions_for_the_cup(page, served)
    name, _ = hits(page)[0]
    dialog = open_first(page)
    expect(dialog.get_by_text(str(served.photos / "sample" / name))).to_be_visible()
    plain = dialog.locator("img").nth(1).get_attribute("src")
    dialog.get_by_text("Heat map").click()
    expect(dialog.get_by_text("Bright places")).to_be_visible()
    heat = dialog.locator("img").nth(1).get_attribute("src")
    dialog.get_by_text("Mask", exact=True).click()
    expect(dialog.locator("img[alt$='mask']")).to_be_visible()
    mask = dialog.locator("img").nth(1).get_attribute("src")
    assert len({plain, heat, mask}) == 3


def test_a_hit_becomes_the_next_query_and_can_be_bookmarked(page: Page, served: Served) -> None:
    search_regions_for_the_cup(page, served)
    name, _ = hits(page)[0]
    open_first(page).get_by_role("button", name="Search with the box").click()
    page.wait_for_url(f"**image={served.id_of(f'sample/{name}')}**")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text(f"{name} ·")).to_be_visible()
    expect(page.locator("figure img[alt^='Hit 24:']")).to_be_visible()
    found, address = hits(page), page.url
    assert found[0][0] == name
    assert "box=" in address
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator(".cbir-box").first).to_be_visible()
    assert hits(page) == found


def test_a_box_on_a_card_becomes_the_next_query(page: Page, served: Served) -> None:
    search_regions_for_the_cup(page, served)
    name, _ = hits(page)[1]
    page.get_by_role("button", name="Search this region").nth(1).click()
    expect(page.get_by_text(f"{name} ·")).to_be_visible()
    expect(page.get_by_label("Box (x0")).not_to_have_value("")


def test_feedback_changes_the_order(page: Page, served: Served) -> None:
    begin(page, served, f"?image={served.id_of('sample/scene-cup-on-bricks.jpg')}")
    expect(page.get_by_text(re.compile(r"matches · \d"))).to_be_visible()
    page.get_by_role("link", name="Teach").click()
    expect(page.get_by_text("Say which hits")).to_be_visible()
    expect(page.locator("figure")).to_have_count(24)
    before = [name for name, _ in hits(page)]
    wrong = next(i for i, name in enumerate(before) if name.startswith("bricks"))
    page.get_by_role("button", name="No", exact=True).nth(wrong).click()
    expect(page.get_by_text("1 wrong so far")).to_be_visible()
    expect(page.get_by_text("Label these next")).to_be_visible()
    ranked = [name for name, _ in hits(page)[-24:]]
    assert before[wrong] not in ranked or ranked.index(before[wrong]) > wrong
    with page.expect_download() as download:
        page.get_by_role("button", name="Save labels").click()
    saved = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert saved["labels"] == [{"path": f"photos/sample/{before[wrong]}", "match": False}]


def test_a_filter_leaves_what_it_names(page: Page, served: Served) -> None:
    upload_query(page, served)
    page.get_by_text("Filters").click()
    page.get_by_label("File name").fill("COINS-*")
    page.keyboard.press("Enter")
    expect(page.get_by_text("5 images match the filters.")).to_be_visible()
    expect(page.locator("figure img[alt^='Hit']")).to_have_count(5)
    assert {name for name, _ in hits(page)} == {f"coins-{i}.jpg" for i in range(1, 6)}
    assert "name=COINS" in page.url


def test_paging_through_all_hits(page: Page, served: Served) -> None:
    upload_query(page, served)
    seen = [name for name, _ in hits(page)]
    for number in (2, 3, 4):
        page.get_by_role("button", name="Next").first.click()
        expect(page.get_by_text(f"Page {number} of 4").first).to_be_visible()
        first = 24 * (number - 1) + 1
        expect(page.locator(f"figure img[alt^='Hit {first}:']")).to_be_visible()
        seen += [name for name, _ in hits(page)]
    assert len(seen) == len(set(seen)) == 74
    expect(page.get_by_role("button", name="Next").first).to_be_disabled()


def bomb(path: Path) -> Path:
    """A PNG of 400 megapixels in a few kilobytes."""
    Image.new("1", (20_000, 20_000)).save(path, optimize=True)
    return path


def test_useless_uploads_get_a_sentence(page: Page, served: Served, tmp_path: Path) -> None:
    begin(page, served)
    text = tmp_path / "list [1] <b>bold.jpg"
    text.write_text("milk, bread")
    upload(page, text)
    alert = page.get_by_test_id("stAlert")
    expect(alert).to_contain_text("list [1] <b>bold.jpg: ")
    upload(page, bomb(tmp_path / "bomb.png"))
    expect(alert).to_contain_text("400 megapixels is over the limit of 100")
    assert "Traceback" not in page.content()
    upload(page, QUERY)
    expect(page.get_by_text(re.compile(r"matches · \d"))).to_be_visible()
    expect(alert).to_have_count(0)


def test_paste(page: Page, served: Served) -> None:
    begin(page, served)
    expect_picker(page)
    data = base64.b64encode(QUERY.read_bytes()).decode()
    page.evaluate(
        """async (data) => {
            const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "image.jpg", { type: "image/jpeg" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer }));
        }""",
        data,
    )
    expect(page.get_by_text("pasted image · 480 × 360")).to_be_visible()
    expect(page.get_by_text(re.compile(r"matches · \d"))).to_be_visible()


@pytest.mark.parametrize("page_name", ["compare", "teach", "layers"])
def test_other_pages_answer_the_same_query(page: Page, served: Served, page_name: str) -> None:
    image = served.id_of("sample/cat-1.jpg")
    begin(page, served, f"{page_name}?image={image}")
    expect(page.locator("figure img[alt^='Hit 1: cat-1.jpg']").first).to_be_visible()


def test_the_collection_and_its_map(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/collection")
    expect(page.get_by_text("74", exact=True)).to_be_visible()
    page.get_by_text("Draw the map").click()
    chart = page.locator(".stVegaLiteChart canvas, .stVegaLiteChart svg").first
    expect(chart).to_be_visible()
    area = chart.bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + 5, area["y"] + 5)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] - 5, area["y"] + area["height"] - 5, steps=8)
    page.mouse.up()
    expect(page.get_by_text("74 images chosen")).to_be_visible()
    expect(page.locator("figure")).to_have_count(24)


def test_add_a_folder_and_watch(page: Page, served: Served, tmp_path: Path) -> None:
    shutil.copy(QUERY, tmp_path / "new.jpg")
    page.goto(f"{served.url}/collection")
    page.get_by_label("Folder on this machine").fill(str(tmp_path / "nowhere"))
    page.get_by_role("button", name="Index it").click()
    expect(page.get_by_test_id("stAlert")).to_contain_text("There is no folder")
    page.get_by_label("Folder on this machine").fill(str(tmp_path))
    page.get_by_role("button", name="Index it").click()
    expect(page.get_by_text("1 added")).to_be_visible()
    expect(page.get_by_text("75", exact=True)).to_be_visible()
    forget(served, tmp_path)


def forget(served: Served, folder: Path) -> None:
    from indexer.remove import remove_images
    from indexer.store.store import Store

    remove_images(Store.open(served.store), [folder])


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_screen_needs_no_sideways_scrolling(
    page: Page, served: Served, dark: bool
) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark" if dark else "light")
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}")
    width: int = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    background: str = page.evaluate(
        "getComputedStyle(document.querySelector('.stApp')).backgroundColor"
    )
    light = sum(int(v) for v in re.findall(r"\d+", background)[:3]) > 380
    assert light != dark
