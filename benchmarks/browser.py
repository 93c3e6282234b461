"""The pages on a large collection, timed in Chromium: opening them, a region search, its hits.

Run: python -m benchmarks.browser PHOTOS [--images 100000] [--times 20] [--keep FOLDER] [--json]
The store holds jittered region vectors of real photos, 30 an image; its files are links to those
photos. All times but the first are medians, taken in the page itself: from the event that a person
makes to the frame after the last picture on the screen is there.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, WebSocket, sync_playwright

from benchmarks.collections import fill, photos_in, region_vectors
from indexer.features.spec import FeatureSpec
from indexer.optimize import update_indexes
from indexer.store.store import Store

PORT = 8571
SCALES = (0.55, 0.4)  # give 30 windows a photo
# What is timed in the page; the components draw into shadow roots.
WATCH = """() => {
    const roots = () => [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]
        .map((host) => host.shadowRoot).filter(Boolean);
    const find = (selector) => roots().map((root) => root.querySelector(selector)).find(Boolean);
    const onScreen = (image) => {
        const area = image.getBoundingClientRect();
        return area.bottom > 0 && area.top < innerHeight;
    };
    const painted = (selector) => {
        const images = roots().flatMap((root) => [...root.querySelectorAll(selector)])
            .filter(onScreen);
        return images.length > 0
            && images.every((image) => image.complete && image.naturalWidth > 0);
    };
    window.cbir = {
        list: () => find('.cbir-grid section.grid')?.dataset.list ?? '',
        rows: () => find('.cbir-grid .tile') !== undefined,
        hits: () => painted('.tile img'),
        opened: () => find('dialog.viewer[open]') !== undefined
            && painted('dialog.viewer .stage img:not(.behind)'),
        shown: () => ['.overlay', '.progress'].some((name) => find(`dialog.viewer ${name}`)),
        scroller: () => document.querySelector('[data-testid=stMain]'),
    };
    // Resolves to the milliseconds from an event to the frame after `done`.
    window.cbirTimed = (event, done) => new Promise((resolve) => {
        addEventListener(event, () => {
            const began = performance.now();
            const look = () => {
                if (!done()) return requestAnimationFrame(look);
                requestAnimationFrame(() => resolve(performance.now() - began));
            };
            requestAnimationFrame(look);
        }, { capture: true, once: true });
    });
}"""


def build(folder: Path, photos: list[Path], source: Path, images: int) -> None:
    """Make the store and the files of its images."""
    store = Store.create(folder / ".cbir", FeatureSpec.create(scales=SCALES))
    fill(store, images, region_vectors(source))
    update_indexes(store)
    root = folder / "photos"
    for i in range(images):
        place = root / str(i // 1000) / f"{i}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(root / photos[i % len(photos)].name)
    for photo in photos:
        shutil.copy(photo, root)
    store.close()


@contextmanager
def serving(store: Path, port: int) -> Iterator[str]:
    """Run `cbir ui` on a store; yields its address, which lets in a browser, once it answers."""
    command = [sys.executable, "-m", "ui.cli", "ui", "--store", str(store)]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--no-browser"], stderr=subprocess.PIPE, encoding="utf-8"
    )
    try:
        printed = server.stderr.readline() if server.stderr else ""
        address = re.search(r"http://\S+", printed)
        if address is None:
            raise SystemExit(f"cbir ui did not start: {printed}")
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if server.poll() is not None:
                raise SystemExit("cbir ui did not start")
            time.sleep(0.1)
        yield address[0]
    finally:
        server.terminate()
        server.wait()


def open_page(page: Page, address: str) -> float:
    """Open the start page and return the seconds until images of the collection are painted."""
    page.add_init_script(f"addEventListener('DOMContentLoaded', {WATCH})")
    started = time.perf_counter()
    page.goto(address)
    page.wait_for_function("() => window.cbir?.rows() && cbir.hits()", polling=10)
    return time.perf_counter() - started


def timed(page: Page, event: str, done: str, act: Callable[[], object]) -> float:
    """Return the seconds from an event that `act` makes until `done` holds in the page."""
    page.evaluate(f"() => {{ window.cbirTook = cbirTimed('{event}', () => {done}); }}")
    act()
    took: float = page.evaluate("() => window.cbirTook")
    return took / 1000


def draw(page: Page, turn: int) -> float:
    """Draw a box on the query image and return the seconds until its hits are painted."""
    page.get_by_role("button", name="Draw a box").click()
    area = page.get_by_role("application", name="Query picture").bounding_box()
    if area is None:
        raise SystemExit("there is no query picture on the page")
    left, top = 0.25 + 0.02 * (turn % 10), 0.2 + 0.03 * (turn % 7)
    page.mouse.move(area["x"] + left * area["width"], area["y"] + top * area["height"])
    page.mouse.down()
    right, bottom = left + 0.25, top + 0.4
    page.mouse.move(area["x"] + right * area["width"], area["y"] + bottom * area["height"], steps=3)
    before = page.evaluate("cbir.list()")
    done = f"cbir.list() !== {json.dumps(before)} && cbir.hits()"
    return timed(page, "pointerup", done, page.mouse.up)


def scroll(page: Page) -> float:
    """Scroll by a screen and return the seconds until its hits are painted."""
    return timed(
        page,
        "scroll",
        "cbir.hits()",
        lambda: page.evaluate("cbir.scroller().scrollBy(0, innerHeight)"),
    )


def open_hit(page: Page, place: int) -> tuple[float, float]:
    """Open a hit, and its heat map; return the seconds until each is painted or its progress is."""
    page.evaluate("cbir.scroller().scrollTo(0, 0)")
    page.wait_for_timeout(300)
    tile = page.locator(".tile .picture").nth(place)
    opened = timed(page, "click", "cbir.opened()", tile.click)
    heat = page.get_by_role("button", name="Heat map")
    shown = timed(page, "click", "cbir.shown()", heat.click)
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    return opened, shown


def measure(address: str, photo: Path, times: int) -> dict[str, float]:
    """Return the times in Chromium, in seconds, and the kilobytes that a page of hits takes."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        first = open_page(browser.new_context().new_page(), address)
        opened = [open_page(browser.new_context().new_page(), address) for _ in range(5)]
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        received: list[int] = []

        def listen(socket: WebSocket) -> None:
            socket.on("framereceived", lambda frame: received.append(len(frame)))

        page.on("websocket", listen)
        open_page(page, address)
        page.set_input_files("input[type=file]", photo)
        page.get_by_role("button", name="Draw a box").wait_for()
        for turn in range(5):  # warm
            draw(page, turn)
        draws, scrolls, hits, heats, sizes = [], [], [], [], []
        for turn in range(5, 5 + times):
            page.wait_for_timeout(500)  # for the page to which closing the hit led back
            received.clear()
            draws.append(draw(page, turn))
            page.wait_for_timeout(500)
            sizes.append(sum(received))
            scrolls.append(scroll(page))
            hit, heat = open_hit(page, turn % 10)
            hits.append(hit)
            heats.append(heat)
        browser.close()
    return {
        "first_open_s": round(first, 2),
        "open_s": round(statistics.median(opened), 2),
        "box_to_hits_s": round(statistics.median(draws), 3),
        "box_to_hits_max_s": round(max(draws), 3),
        "next_screen_s": round(statistics.median(scrolls), 3),
        "hit_s": round(statistics.median(hits), 3),
        "heat_map_or_progress_s": round(statistics.median(heats), 3),
        "websocket_kb": round(statistics.median(sizes) / 1000, 1),
    }


@contextmanager
def place_for(kept: Path | None) -> Iterator[Path]:
    """Yield a folder for the store: one that stays, or one that goes afterwards."""
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="a folder for the store, used the next time, too")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    photos = photos_in(arguments.photos)
    with place_for(arguments.keep) as folder:
        if not (folder / ".cbir").exists():
            build(folder, photos[1:], arguments.photos, arguments.images)
        with serving(folder / ".cbir", PORT) as address:
            row = measure(address, photos[0], arguments.times)
    row = {"images": arguments.images} | row
    print(json.dumps(row) if arguments.json else "  ".join(f"{k} {v}" for k, v in row.items()))


if __name__ == "__main__":
    main()
