"""Screenshots of the pages, taken in Chromium on the sample photos: `make screenshots`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from benchmarks.browser import serving
from indexer.store.store import Store

TREE = Path(__file__).parents[1]
SAMPLE = TREE / "data" / "sample" / "images"
OUT = Path(__file__).parent / "images"
PORT = 8567
URL = f"http://127.0.0.1:{PORT}"
CUP = "264,29,446,193"
SETTLE_MS = 1500


@contextmanager
def served() -> Iterator[tuple[Store, str]]:
    """Index the sample photos and serve them; yields the store and the address that lets in."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch) / ".cbir"
        cbir = [sys.executable, "-m", "ui.cli"]
        subprocess.run([*cbir, "index", str(SAMPLE), "--store", str(store)], check=True)
        with serving(store, PORT) as address:
            yield Store.open(store), address


def open_page(
    browser: Browser, address: str, viewport: ViewportSize, *, dark: bool = False
) -> Page:
    """Return a page of its own that has been let in."""
    page = browser.new_page(viewport=viewport, color_scheme="dark" if dark else "light")
    page.goto(address)
    page.wait_for_url(lambda url: "token=" not in url)  # its page goes on to the one without
    return page


def take(page: Page, name: str, address: str) -> None:
    """Open an address and save what is seen."""
    page.goto(f"{URL}/{address}")
    expect(page.locator("figure").first).to_be_visible(timeout=60_000)
    page.wait_for_timeout(SETTLE_MS)
    save(page, name)


def save(page: Page, name: str) -> None:
    """Save what is seen as `docs/images/ui-NAME.png`."""
    page.mouse.move(0, 0)
    page.screenshot(path=OUT / f"ui-{name}.png")


def take_all(browser: Browser, store: Store, address: str) -> None:
    """Take every page once, the search page in dark and on a narrow screen too."""
    info = store.find_image(SAMPLE / "scene-cat-and-cup.jpg")
    assert info is not None
    asked = f"?image={info.id}&box={CUP}&search=Regions"
    page = open_page(browser, address, {"width": 1280, "height": 860})
    take(page, "search", asked)
    page.get_by_role("button", name="Open").nth(2).click()
    page.get_by_role("dialog").get_by_text("Heat map").click()
    expect(page.get_by_text("Bright places")).to_be_visible(timeout=60_000)
    page.wait_for_timeout(SETTLE_MS)
    save(page, "match")
    take(page, "compare", f"compare{asked}")
    take(page, "teach", f"teach{asked}")
    page.get_by_role("button", name="Yes").nth(1).click()
    page.wait_for_timeout(SETTLE_MS)
    page.get_by_role("button", name="No", exact=True).last.click()
    page.wait_for_timeout(SETTLE_MS)
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    save(page, "teach")
    take(page, "layers", f"layers{asked}")
    page.goto(f"{URL}/collection?show=map")
    page.get_by_role("button", name="Lay out the map").click()
    expect(page.locator(".plane[data-drawn=yes]")).to_be_visible(timeout=120_000)
    page.wait_for_timeout(2 * SETTLE_MS)
    save(page, "collection")
    page.goto(f"{URL}/duplicates")
    page.get_by_role("button", name="Search for duplicates").click()
    expect(page.get_by_role("button", name="Search again")).to_be_visible(timeout=120_000)
    page.wait_for_timeout(SETTLE_MS)
    page.get_by_role("button", name="parts of one picture").click()
    page.wait_for_timeout(SETTLE_MS)
    save(page, "duplicates")
    page.close()
    dark = open_page(browser, address, {"width": 1280, "height": 860}, dark=True)
    take(dark, "search-dark", asked)
    dark.close()
    narrow = open_page(browser, address, {"width": 390, "height": 844})
    take(narrow, "search-narrow", asked)
    narrow.close()


def main() -> None:
    """Take the screenshots."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is missing: apt-get install chromium")
    with served() as (store, address), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        take_all(browser, store, address)
        browser.close()


if __name__ == "__main__":
    main()
