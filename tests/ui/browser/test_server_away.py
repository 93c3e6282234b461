"""The server stops while a page is open: the page says so, and goes on once it is back."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui.browser.acting import QUERY, expect_hits, open_hit, settle, tiles, upload
from tests.ui.browser.conftest import PATIENCE_MS, Served, free_port, serving

LOST = "The page has lost its server"


@pytest.fixture
def own(chromium: Browser) -> Iterator[Page]:
    """A tab for a server of its own."""
    context = chromium.new_context(reduced_motion="reduce")
    expect.set_options(timeout=PATIENCE_MS)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def dismiss(page: Page) -> None:
    """Close the dialog by which Streamlit says the same."""
    dialog = page.get_by_role("dialog", name="Connection error")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)


def test_the_page_says_that_the_server_is_away_and_recovers(own: Page, served: Served) -> None:
    port = free_port()
    errors: list[str] = []
    own.on("pageerror", lambda error: errors.append(str(error)))
    image = served.id_of("sample/cat-1.jpg")
    with serving(served.store, "--no-token", port=port) as address:
        own.goto(f"http://{urlsplit(address).netloc}/?image={image}")
        expect(tiles(own).first).to_be_visible()
        settle(own)
    lost = own.get_by_role("alert").filter(has_text=LOST)
    expect(lost).to_be_visible()
    dismiss(own)
    upload(own, QUERY)
    unanswered = own.get_by_role("alert").filter(has_text="The server does not answer.")
    expect(unanswered).to_be_visible()
    own.get_by_role("button", name="Regions").click()  # nobody answers it yet
    own.wait_for_url("**search=region**")
    with serving(served.store, "--no-token", port=port):
        expect(lost).to_have_count(0)
        expect(unanswered).to_have_count(0)
        expect(own.locator("section[data-list$='search=region']")).to_be_visible()
        expect_hits(own)
        dialog = open_hit(own)
        expect(dialog.get_by_text("The server does not answer.")).to_have_count(0)
        expect(dialog.get_by_text("Image number")).to_be_visible()
    assert errors == []
