"""Screenshots of the pages, taken in Chromium on the sample photos: `make screenshots`.

The recording in the README is made, too: pictures of the page while somebody works, as an animated
WebP file.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from benchmarks.browser import serving
from indexer.store.store import Store

TREE = Path(__file__).parents[1]
SAMPLE = TREE / "data" / "sample" / "images"
PLACE = Path(tempfile.gettempdir()) / "cbir"  # its name is on the pictures
PHOTOS = PLACE / "photos"
OUT = Path(__file__).parent / "images"
PORT = 8567
URL = f"http://127.0.0.1:{PORT}"
SCENE = "scene-cat-and-cup.jpg"
CUP = "264,29,446,193"
SETTLE_MS = 1500
PATIENCE_MS = 120_000
WIDE: ViewportSize = {"width": 1440, "height": 900}
TABLET: ViewportSize = {"width": 820, "height": 1180}
PHONE: ViewportSize = {"width": 390, "height": 844}


@contextmanager
def served() -> Iterator[tuple[Store, str]]:
    """Index the sample photos and serve them; yields the store and the address that lets in."""
    if PLACE.exists():
        shutil.rmtree(PLACE)
    shutil.copytree(SAMPLE, PHOTOS)
    store = PLACE / ".cbir"
    cbir = [sys.executable, "-m", "ui.cli"]
    subprocess.run([*cbir, "index", str(PHOTOS), "--store", str(store)], check=True)
    with serving(store, PORT) as address:
        yield Store.open(store), address
    shutil.rmtree(PLACE)


def open_page(
    browser: Browser, address: str, viewport: ViewportSize, *, dark: bool = False
) -> Page:
    """Return a page of its own that has been let in."""
    expect.set_options(timeout=PATIENCE_MS)
    page = browser.new_page(viewport=viewport, color_scheme="dark" if dark else "light")
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.wait_for_url(lambda url: "token=" not in url)  # its page goes on to the one without
    return page


def visit(page: Page, address: str) -> None:
    """Open an address and wait until its pictures are there."""
    page.goto(f"{URL}/{address}")
    expect(page.locator(".tile").first).to_be_visible(timeout=120_000)
    page.wait_for_timeout(SETTLE_MS)


def save(page: Page, name: str) -> None:
    """Save what is seen as `docs/images/ui-NAME.png`."""
    page.mouse.move(0, 0)
    page.screenshot(path=OUT / f"ui-{name}.png")


# --- the pictures of the documents ----------------------------------------------------------------


def take_all(browser: Browser, store: Store, address: str) -> None:
    """Take every page once, the search page in dark and on a narrow screen, too."""
    asked = _asked(store)
    page = open_page(browser, address, WIDE)
    visit(page, asked)
    save(page, "search")
    page.locator(".tile .picture").nth(2).click()
    page.get_by_role("button", name="Heat map").click()
    expect(page.get_by_text("Locating")).to_have_count(0)
    page.wait_for_timeout(SETTLE_MS)
    save(page, "match")
    visit(page, f"modes{asked}")
    save(page, "modes")
    _teach(page, asked)
    _collection(page)
    _duplicates(page)
    page.close()
    for name, viewport, dark in (("search-dark", WIDE, True), ("search-narrow", PHONE, False)):
        page = open_page(browser, address, viewport, dark=dark)
        visit(page, asked)
        save(page, name)
        page.close()


def _asked(store: Store) -> str:
    info = store.find_image(PHOTOS / SCENE)
    if info is None:
        raise SystemExit(f"{SCENE} is not among the sample photos")
    return f"?image={info.id}&box={CUP}&search=region"


def _teach(page: Page, asked: str) -> None:
    visit(page, f"teach{asked}")
    page.get_by_role("button", name="Yes").nth(1).click()
    page.get_by_role("button", name="No,").nth(9).click()
    page.get_by_role("button", name="Rank again").first.click()
    page.wait_for_timeout(2 * SETTLE_MS)
    save(page, "teach")


def _collection(page: Page) -> None:
    page.goto(f"{URL}/collection?show=map")
    page.get_by_role("button", name="Lay out the map").click()
    expect(page.locator(".plane[data-drawn=yes]")).to_be_visible(timeout=120_000)
    page.wait_for_timeout(2 * SETTLE_MS)
    save(page, "collection")


def _duplicates(page: Page) -> None:
    page.goto(f"{URL}/duplicates")
    page.get_by_role("button", name="Search for duplicates").click()
    expect(page.get_by_role("button", name="Search again")).to_be_visible()
    page.wait_for_timeout(SETTLE_MS)
    page.get_by_role("button", name="parts of one picture").click()
    page.wait_for_timeout(SETTLE_MS)
    save(page, "duplicates")


# --- the recording --------------------------------------------------------------------------------

FRAME_PX = (960, 600)
QUALITY = 46


class Recording:
    """Pictures of a page, each with the milliseconds that it is shown."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.shown_ms: list[int] = []

    def take(self, shown_ms: int) -> None:
        """Add what is seen now; the same as before is shown for longer."""
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        frame = shot.resize(FRAME_PX, Image.Resampling.LANCZOS)
        if self.frames and frame.tobytes() == self.frames[-1].tobytes():
            self.shown_ms[-1] += shown_ms
            return
        self.frames.append(frame)
        self.shown_ms.append(shown_ms)

    def save(self, path: Path) -> None:
        """Write all of it as an animated WebP file."""
        first, *others = self.frames
        first.save(
            path,
            save_all=True,
            append_images=others,
            duration=self.shown_ms,
            loop=0,
            quality=QUALITY,
            method=6,
        )


def record(browser: Browser, store: Store, address: str) -> None:
    """Record a minute of work: draw a box, look at hits, select, teach, and the other pages."""
    page = open_page(browser, address, WIDE)
    film = Recording(page)
    visit(page, "")
    film.take(3000)
    visit(page, _asked(store).partition("&")[0])
    film.take(3000)
    _draw_box(page, film)
    _step_through(page, film)
    _select(page, film)
    for name in ("Modes", "Teach", "Duplicates", "Collection"):
        page.get_by_role("link", name=name).click()
        page.wait_for_timeout(3 * SETTLE_MS)
        film.take(5000)
    page.get_by_role("link", name="Map").click()
    page.wait_for_timeout(3 * SETTLE_MS)
    film.take(5000)
    page.close()
    film.save(OUT / "tour.webp")


def _draw_box(page: Page, film: Recording) -> None:
    page.get_by_role("button", name="Draw a box").click()
    page.wait_for_timeout(SETTLE_MS)
    film.take(1500)
    area = page.get_by_role("application").locator(".stage").bounding_box()
    if area is None:
        raise SystemExit("there is no query picture on the page")
    x0, y0, x1, y1 = map(int, CUP.split(","))
    page.mouse.move(area["x"] + area["width"] * x0 / 480, area["y"] + area["height"] * y0 / 360)
    page.mouse.down()
    for step in range(1, 9):
        x, y = x0 + (x1 - x0) * step / 8, y0 + (y1 - y0) * step / 8
        page.mouse.move(area["x"] + area["width"] * x / 480, area["y"] + area["height"] * y / 360)
        film.take(150)
    page.mouse.up()
    page.wait_for_url("**box=**")
    page.wait_for_timeout(SETTLE_MS)
    film.take(5000)


def _step_through(page: Page, film: Recording) -> None:
    page.locator(".tile .picture").nth(1).click()
    page.wait_for_timeout(SETTLE_MS)
    film.take(3000)
    page.keyboard.press("h")
    expect(page.get_by_text("Locating")).to_have_count(0)
    page.wait_for_timeout(SETTLE_MS)
    film.take(3000)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(SETTLE_MS)
        film.take(2000)
    page.keyboard.press("p")
    page.wait_for_timeout(2 * SETTLE_MS)
    film.take(4000)
    page.keyboard.press("Escape")
    page.wait_for_timeout(SETTLE_MS)


def _select(page: Page, film: Recording) -> None:
    page.locator(".tile .picture").first.focus()
    for _ in range(3):
        page.keyboard.press("Space")
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(200)
        film.take(900)
    film.take(2000)
    page.get_by_role("region", name="Selection").get_by_role("button", name="Clear").click()


# --- all pages, for whoever changes them ----------------------------------------------------------

EVERY = (
    "",
    "{asked}",
    "{asked}&hit={hit}",
    "modes{asked}",
    "teach{asked}",
    "collection",
    "duplicates",
    "lab",
)


def take_every(browser: Browser, store: Store, address: str, folder: Path) -> None:
    """Take every page at three widths in both themes, into a folder."""
    asked = _asked(store)
    hit = store.find_image(PHOTOS / "coffee-1.jpg")
    folder.mkdir(parents=True, exist_ok=True)
    for width, viewport in (("1440", WIDE), ("820", TABLET), ("390", PHONE)):
        for dark in (False, True):
            page = open_page(browser, address, viewport, dark=dark)
            for number, place in enumerate(EVERY):
                page.goto(f"{URL}/{place.format(asked=asked, hit=hit.id if hit else 0)}")
                page.wait_for_timeout(3 * SETTLE_MS)
                theme = "dark" if dark else "light"
                page.screenshot(path=folder / f"{number}-{width}-{theme}.png")
            page.close()


def main() -> None:
    """Take the screenshots; with a folder as the argument, every page at three widths there."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is missing: apt-get install chromium")
    with served() as (store, address), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if len(sys.argv) > 1:
            take_every(browser, store, address, Path(sys.argv[1]))
        else:
            take_all(browser, store, address)
            record(browser, store, address)
        browser.close()


if __name__ == "__main__":
    main()
