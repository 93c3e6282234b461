"""What is dropped on a page or pasted that is not one picture, and how that is said."""

from __future__ import annotations

import base64
from typing import Any

from playwright.sync_api import JSHandle, Page, expect

from tests.ui.browser.acting import QUERY, begin, expect_hits, upload, upload_query
from tests.ui.browser.conftest import KEPT_OUT, Served

MAKE = """({files, texts}) => {
    const transfer = new DataTransfer();
    for (const [name, type, data] of files) {
        const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
    }
    for (const [type, text] of Object.entries(texts)) transfer.setData(type, text);
    return transfer;
}"""
DROP = """(transfer) => {
    const drop = (name) => document.body.dispatchEvent(new DragEvent(
        name, { dataTransfer: transfer, bubbles: true, cancelable: true, composed: true }));
    drop("dragover");
    return !drop("drop");
}"""
PASTE = """(transfer) => document.dispatchEvent(
    new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }))"""
PHOTO = base64.b64encode(QUERY.read_bytes()).decode()
LINK = "https://example.org/cat.jpg"


def given(page: Page, *files: tuple[str, str, str], **texts: str) -> JSHandle:
    named: dict[str, Any] = {name.replace("_", "/"): text for name, text in texts.items()}
    return page.evaluate_handle(MAKE, {"files": files, "texts": named})


def test_of_several_files_the_first_picture_is_asked_with(page: Page, served: Served) -> None:
    begin(page, served)
    notes = ("notes.txt", "text/plain", base64.b64encode(b"milk").decode())
    photos = (("a.jpg", "image/jpeg", PHOTO), ("b.jpg", "image/jpeg", PHOTO))
    assert page.evaluate(DROP, given(page, notes, *photos))
    expect(page.get_by_role("button", name="Query: a.jpg")).to_be_visible()
    expect(page.get_by_text("Only a.jpg is asked with")).to_be_visible()
    expect_hits(page)


def test_a_link_is_no_picture_and_does_not_lead_away(page: Page, served: Served) -> None:
    begin(page, served)
    page.evaluate(PASTE, given(page, text_plain=LINK))
    said = page.get_by_role("alert").filter(has_text="That is a link, not a picture")
    expect(said).to_be_visible()
    upload(page, QUERY)
    expect(said).to_have_count(0)
    expect(page.get_by_role("button", name=f"Query: {KEPT_OUT}")).to_be_visible()
    transfer = page.evaluate_handle(
        "link => { const made = new DataTransfer(); made.setData('text/uri-list', link);"
        " return made; }",
        LINK,
    )
    assert page.evaluate(DROP, transfer)  # taken by the page, so the browser follows no link
    expect(said).to_be_visible()


def test_an_error_goes_with_the_next_question(page: Page, served: Served) -> None:
    upload_query(page, served)
    assert page.evaluate(DROP, given(page, ("empty.jpg", "image/jpeg", "")))
    said = page.get_by_role("alert").filter(has_text="is empty (0 bytes)")
    expect(said).to_be_visible()
    page.get_by_role("button", name="Regions").click()
    page.wait_for_url("**search=region**")
    expect(said).to_have_count(0)


def test_a_long_name_leaves_everything_within_reach(page: Page, served: Served) -> None:
    begin(page, served)
    name = f"{'n' * 240}.jpg"
    assert page.evaluate(DROP, given(page, (name, "image/jpeg", PHOTO)))
    expect_hits(page)
    for wide in (1440, 820, 390):
        page.set_viewport_size({"width": wide, "height": 900})
        for button in ("Draw a box", "Regions", "Filters", "Options"):
            expect(page.get_by_role("button", name=button, exact=True)).to_be_in_viewport(ratio=1)
