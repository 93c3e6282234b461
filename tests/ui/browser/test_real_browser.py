"""What a person does on the pages, done in Chromium."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from indexer.features.regions import Region
from tests.sample import SCENES, holding, is_centred_in
from tests.ui.browser.acting import (
    CUP,
    QUERY,
    begin,
    canvas,
    drag,
    expect_hits,
    hits,
    open_hit,
    search_regions_for_the_cup,
    settle,
    tiles,
    upload,
    upload_query,
)
from tests.ui.browser.conftest import KEPT_OUT, Served


def box_of(page: Page) -> Region:
    [text] = re.findall(r"box=([\d%C,]+)", page.url)
    return Region.parse(text.replace("%2C", ","))


# --- asking ---------------------------------------------------------------------------------------


def test_draw_a_box_and_find_the_part(page: Page, served: Served) -> None:
    search_regions_for_the_cup(page, served)
    found = hits(page)
    assert found[0][0] in holding("coffee") | {f"coffee-{i}.jpg" for i in range(1, 6)}
    assert holding("coffee") - {KEPT_OUT} <= {name for name, _ in found[:7]}
    for name, box in found[:7]:
        if name in SCENES and box is not None:
            assert is_centred_in(box, SCENES[name]["coffee"]), name
    assert box_of(page).iou(CUP) > 0.9


def test_the_box_by_keyboard_alone(page: Page, served: Served) -> None:
    upload_query(page, served)
    page.get_by_role("button", name="Draw a box").focus()
    page.keyboard.press("Enter")
    canvas(page).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**box=**")
    # The middle half of 480 × 360, a fiftieth to the right, and as much higher below.
    assert box_of(page).as_tuple() == (129, 90, 370, 277)
    page.get_by_role("button", name="Draw a box").click()
    canvas(page).focus()
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Search with all of it").click()
    page.wait_for_url(lambda url: "box=" not in url)


def test_several_boxes_and_a_typed_one(page: Page, served: Served) -> None:
    upload_query(page, served)
    page.get_by_role("button", name="Draw a box").click()
    page.get_by_label("Several boxes").check()
    drag(page, CUP, (480, 360))
    drag(page, Region(20, 20, 120, 120), (480, 360))
    assert "box=" not in page.url
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**box=**box=**")
    expect(page.get_by_text("Scores are made of ranks")).to_be_visible()
    page.get_by_role("button", name="Draw a box").click()
    page.get_by_label("Box in pixels").fill("1,2,9000,4")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Box in pixels")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Box in pixels").fill("30,40,200,300")
    page.keyboard.press("Tab")
    page.wait_for_url(lambda url: url.count("box=") == 1)
    assert box_of(page) == Region(30, 40, 200, 300)


def test_zooming_the_picture_keeps_boxes_where_they_are_drawn(page: Page, served: Served) -> None:
    upload_query(page, served)
    page.get_by_role("button", name="Draw a box").click()
    area = canvas(page).locator(".stage").bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + area["width"] * 0.74, area["y"] + area["height"] * 0.31)  # the cup
    page.mouse.wheel(0, -300)
    expect(page.get_by_role("button", name=re.compile(r"^1[0-9]{2} %$"))).to_be_visible()
    inside = Region(300, 60, 420, 170)
    drag(page, inside, (480, 360))
    page.wait_for_url("**box=**")
    assert box_of(page).iou(inside) > 0.9


def test_paste(page: Page, served: Served) -> None:
    begin(page, served)
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
    expect(page.get_by_role("button", name="Query: pasted picture")).to_be_visible()
    expect_hits(page)


def test_drop_anywhere(page: Page, served: Served) -> None:
    begin(page, served)
    transfer = page.evaluate_handle(
        """(data) => {
            const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
            return transfer;
        }""",
        base64.b64encode(QUERY.read_bytes()).decode(),
    )
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.get_by_role("button", name="Query: dropped.jpg")).to_be_visible()
    expect_hits(page)


def bomb(path: Path) -> Path:
    """A PNG of 400 megapixels in a few kilobytes."""
    Image.new("1", (20_000, 20_000)).save(path, optimize=True)
    return path


def test_useless_uploads_get_a_sentence_and_no_stale_one(
    page: Page, served: Served, tmp_path: Path
) -> None:
    begin(page, served)
    text = tmp_path / "list [1] <b>bold.jpg"
    text.write_text("milk, bread", "utf-8")
    upload(page, text)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("list [1] <b>bold.jpg: ")
    upload(page, bomb(tmp_path / "bomb.png"))
    expect(alert).to_contain_text("400 megapixels is over the limit of 100")
    large = tmp_path / "large.tif"
    with large.open("wb") as file:
        file.truncate(63_000_000)
    upload(page, large)
    expect(alert).to_contain_text("large.tif has 63 MB; a query picture may have 40 MB at most")
    assert "Traceback" not in page.content()
    upload(page, QUERY)
    expect_hits(page)
    expect(alert).to_have_count(0)


def test_a_word(page: Page, served: Served) -> None:
    begin(page, served)
    page.get_by_role("searchbox").fill("espresso")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=espresso")
    expect_hits(page)
    assert "coffee" in hits(page)[0][0] or hits(page)[0][0] in SCENES


def test_a_filter_leaves_what_it_names(page: Page, served: Served) -> None:
    upload_query(page, served)
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("File name").fill("COINS-*")
    page.keyboard.press("Enter")
    page.wait_for_url("**name=COINS**")
    expect(tiles(page)).to_have_count(5)
    assert {name for name, _ in hits(page)} == {f"coins-{i}.jpg" for i in range(1, 6)}
    page.get_by_role("link", name="Remove: name COINS-*").click()
    page.wait_for_url(lambda url: "name=" not in url)


def test_a_filter_that_cannot_be_read_stays_in_its_field(page: Page, served: Served) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}&where=heigth>3")
    expect(page.get_by_role("alert")).to_contain_text("no field 'heigth'")
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_label("Where")).to_have_value("heigth>3")


# --- the hits -------------------------------------------------------------------------------------


def test_a_hit_opens_larger_with_heat_map_mask_and_facts(page: Page, served: Served) -> None:
    search_regions_for_the_cup(page, served)
    name, _ = hits(page)[0]
    dialog = open_hit(page)
    expect(dialog.get_by_text(str(served.photos / "sample" / name))).to_be_visible()
    expect(dialog.get_by_role("img", name=f"Query: {KEPT_OUT}")).to_be_visible()
    for layer in ("Heat map", "Mask"):
        dialog.get_by_role("button", name=layer).click()
        shown = dialog.get_by_role("img", name=layer)
        expect(shown).to_be_visible()
        expect(dialog.get_by_text("Locating")).to_have_count(0)
        assert shown.evaluate("image => image.naturalWidth") > 0
    expect(dialog.get_by_role("img", name="Heat map")).to_have_count(0)


def test_keys_step_through_the_hits_and_escape_leads_back(page: Page, served: Served) -> None:
    search_regions_for_the_cup(page, served)
    names = [name for name, _ in hits(page)[:4]]
    asked = page.url
    dialog = open_hit(page)
    for name in names[1:]:
        page.keyboard.press("ArrowRight")
        expect(dialog.get_by_role("heading", name=name)).to_be_visible()
    assert "hit=" in page.url
    shown = page.url
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.wait_for_url(asked)
    page.go_forward()
    page.wait_for_url(shown)
    expect(dialog.get_by_role("heading", name=names[-1])).to_be_visible()
    page.reload()
    expect(dialog.get_by_role("heading", name=names[-1])).to_be_visible()
    expect(dialog.get_by_role("img", name=f"Match: {names[-1]}")).to_be_visible()


def test_query_and_match_are_zoomed_together(page: Page, served: Served) -> None:
    search_regions_for_the_cup(page, served)
    dialog = open_hit(page)
    page.keyboard.press("+")
    page.keyboard.press("+")
    expect(dialog.get_by_role("button", name="169 %")).to_be_visible()
    moves = dialog.locator(".stage").evaluate_all("all => all.map(one => one.style.transform)")
    assert len(moves) == 2
    assert moves[0] == moves[1]
    assert "scale(1.69" in moves[0]


def test_a_hit_becomes_the_next_query_and_back_leads_to_the_last(
    page: Page, served: Served
) -> None:
    search_regions_for_the_cup(page, served)
    found, asked = hits(page)[:12], page.url
    name, _ = found[1]
    open_hit(page, 1).get_by_role("link", name="Find similar").click()
    page.wait_for_url(f"**image={served.id_of(f'sample/{name}')}**")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(tiles(page).first).to_have_attribute("aria-label", re.compile(f"Hit 1: {name}"))
    page.go_back()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    page.wait_for_url(asked)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(tiles(page).first).to_have_attribute("aria-label", re.compile(f"Hit 1: {found[0][0]}"))
    assert hits(page)[:12] == found


def test_back_through_ten_queries_shows_each_again(page: Page, served: Served) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}")
    shown = []
    for step in range(10):
        shown.append((page.url, [name for name, _ in hits(page)[:12]]))
        tiles(page).nth(step % 5 + 1).hover()
        page.locator(".tile").nth(step % 5 + 1).get_by_text("Similar").click()
        expect(page).not_to_have_url(shown[-1][0])
        expect(page.locator(f"section[data-list$='{page.url.partition('?')[2]}']")).to_be_visible()
    for url, names in reversed(shown):
        page.go_back()
        page.wait_for_url(url)
        expect(page.locator(f"section[data-list$='{url.partition('?')[2]}']")).to_be_visible()
        assert [name for name, _ in hits(page)[:12]] == names
    trail = page.get_by_role("navigation", name="Last queries").get_by_role("link")
    assert trail.count() >= 3
    trail.last.click()
    page.wait_for_url(lambda url: url != shown[0][0])


def test_a_new_query_starts_at_the_top(page: Page, served: Served) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}")
    part = page.get_by_test_id("stMain")
    part.evaluate("part => part.scrollTo(0, 700)")
    tiles(page).last.hover()
    page.locator(".tile").last.get_by_text("Similar").click()
    page.wait_for_url(lambda url: "cat-1" not in url)
    settle(page)
    page.wait_for_function("() => document.querySelector('[data-testid=stMain]').scrollTop === 0")


def test_scrolling_goes_on_to_the_last_hit(page: Page, served: Served) -> None:
    upload_query(page, served)
    part = page.get_by_test_id("stMain")
    seen: dict[str, None] = {}
    for _ in range(40):
        seen |= dict.fromkeys(name for name, _ in hits(page))
        part.evaluate("part => part.scrollBy(0, 300)")
        page.wait_for_timeout(50)
        if len(seen) == 74:
            break
    assert len(seen) == 74


def test_selected_by_keys_and_saved(page: Page, served: Served) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}&name=c*")
    tiles(page).first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Space")
    expect(page.get_by_text("3 selected")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the table").click()
    lines = Path(download.value.path()).read_text("utf-8").splitlines()
    assert len(lines) == 4
    page.reload()
    expect(page.get_by_text("3 selected")).to_be_visible()
    page.get_by_role("region", name="Selection").get_by_role("button", name="Clear").click()
    expect(page.get_by_role("region", name="Selection")).to_have_count(0)


def test_a_finger_that_stays_selects(page: Page, served: Served) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}")
    tiles(page).nth(2).dispatch_event("pointerdown", {"pointerType": "touch", "isPrimary": True})
    expect(page.get_by_text("1 selected")).to_be_visible()
    tiles(page).nth(2).dispatch_event("click")
    expect(page.get_by_role("dialog")).to_have_count(0)
    tiles(page).nth(2).dispatch_event("click")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_arrows_move_through_the_rows(page: Page, served: Served) -> None:
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}")
    tiles(page).first.focus()
    focused = page.locator(".tile .picture:focus")
    first = focused.get_attribute("aria-label") or ""
    top = focused.bounding_box()
    page.keyboard.press("ArrowDown")
    expect(focused).not_to_have_attribute("aria-label", first)
    below = focused.bounding_box()
    assert top is not None
    assert below is not None
    assert below["y"] > top["y"]
    page.keyboard.press("ArrowUp")
    expect(focused).to_have_attribute("aria-label", first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()


# --- other pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page_name", ["modes", "teach"])
def test_other_pages_answer_the_same_query(page: Page, served: Served, page_name: str) -> None:
    image = served.id_of("sample/cat-1.jpg")
    begin(page, served, f"?image={image}")
    page.get_by_role("link", name=page_name.title()).click()
    page.wait_for_url(f"**/{page_name}?image={image}")
    expect(tiles(page).first).to_have_attribute("aria-label", re.compile("Hit 1: cat-1.jpg"))


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
