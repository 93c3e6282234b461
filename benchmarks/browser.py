"""The pages on a large collection, timed in Chromium: opening them, and a region search.

Run: python -m benchmarks.browser PHOTOS [--images 100000] [--searches 20] [--json]
The store holds jittered region vectors of real photos, 30 an image; its files are links to those
photos. A search is timed from letting go of a drawn box to the last hit on the page.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.collections import fill, photos_in, region_vectors
from indexer.features.spec import FeatureSpec
from indexer.optimize import update_indexes
from indexer.store.store import Store

PORT = 8571
SCALES = (0.55, 0.4)  # give 30 windows a photo
SETTLED = """(before) => {
    const state = document.querySelector('.stApp').dataset.testScriptState;
    const hit = document.querySelector("figure img[alt^='Hit 1:']");
    return state === 'notRunning' && hit && hit.alt !== before
        && [...document.images].every((image) => image.complete) && hit.alt;
}"""


def build(folder: Path, photos: list[Path], source: Path, images: int) -> tuple[Store, int]:
    """Make the store and the files of its images; return it and its regions an image."""
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
    return store, len(store.spec.layout.boxes(640, 480))


@contextmanager
def serving(store: Path, port: int) -> Iterator[str]:
    """Run `cbir ui` on a store; yields its address, which lets in a browser, once it answers."""
    command = [sys.executable, "-m", "ui.cli", "ui", "--store", str(store)]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--no-browser"], stderr=subprocess.PIPE, text=True
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
    """Open the start page and return the seconds until images of the collection are seen."""
    started = time.perf_counter()
    page.goto(address)
    page.locator("figure").first.wait_for()
    return time.perf_counter() - started


def search(page: Page, turn: int) -> float:
    """Draw a box on the query image and return the seconds until its hits are there."""
    area = page.get_by_role("group", name="Query image. Drag").bounding_box()
    first = page.locator("figure img[alt^='Hit 1:']")
    before = first.get_attribute("alt") if first.count() else ""
    if area is None:
        raise SystemExit("there is no query image on the page")
    left, top = 0.1 + 0.02 * (turn % 10), 0.1 + 0.03 * (turn % 7)
    page.mouse.move(area["x"] + left * area["width"], area["y"] + top * area["height"])
    page.mouse.down()
    right, bottom = left + 0.4, top + 0.4
    page.mouse.move(area["x"] + right * area["width"], area["y"] + bottom * area["height"], steps=3)
    started = time.perf_counter()
    page.mouse.up()
    page.wait_for_function(SETTLED, arg=before, polling=20)
    return time.perf_counter() - started


def measure(address: str, photo: Path, searches: int) -> dict[str, float]:
    """Return the times in Chromium, in seconds."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        first = open_page(browser.new_page(), address)
        opened = [open_page(browser.new_page(), address) for _ in range(5)]
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        open_page(page, address)
        page.set_input_files("[data-testid=stFileUploader] input", photo)
        page.get_by_text(" matches · ").wait_for()
        for turn in range(5):  # warm
            search(page, turn)
        times = [search(page, turn) for turn in range(5, 5 + searches)]
        browser.close()
    return {
        "first_open_s": round(first, 2),
        "open_s": round(statistics.median(opened), 2),
        "search_p50_s": round(statistics.median(times), 2),
        "search_max_s": round(max(times), 2),
    }


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    photos = photos_in(arguments.photos)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store, windows = build(folder, photos[1:], arguments.photos, arguments.images)
        with serving(store.path, PORT) as address:
            row = {"images": arguments.images, "regions_an_image": windows}
            row |= measure(address, photos[0], arguments.searches)
    print(json.dumps(row) if arguments.json else "  ".join(f"{k} {v}" for k, v in row.items()))


if __name__ == "__main__":
    main()
