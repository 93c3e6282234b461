"""How smoothly the map of a large collection moves: the time from frame to frame in Chromium.

Run: python -m benchmarks.map_frames PHOTOS [--images 100000] [--keep FOLDER] [--json]
The store is that of benchmarks.browser. A map is laid out first, unless one is kept: it takes some
minutes. Chromium runs without a window and draws without a graphics card.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import FloatRect, Page, sync_playwright

from benchmarks.browser import PORT, build, place_for, serving
from benchmarks.collections import photos_in

MOVES = 60  # for each way of moving, about a second
LAYING_OUT_MS = 30 * 60_000
RECORD = """() => {
    window.cbirFrames = [];
    const note = (now) => {
        window.cbirFrames.push(now);
        window.cbirFrame = requestAnimationFrame(note);
    };
    window.cbirFrame = requestAnimationFrame(note);
}"""
RECORDED = "() => { cancelAnimationFrame(window.cbirFrame); return window.cbirFrames; }"


def frames(page: Page, act: Callable[[], object]) -> list[float]:
    """Return the milliseconds from frame to frame while `act` moves the map."""
    page.evaluate(RECORD)
    act()
    moments: list[float] = page.evaluate(RECORDED)
    return [after - before for before, after in itertools.pairwise(moments)]


def drag(page: Page, area: FloatRect) -> None:
    """Drag the map to the left and back again."""
    x, y = area["x"] + area["width"] * 0.7, area["y"] + area["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in (*range(MOVES // 2), *range(MOVES // 2, 0, -1)):
        page.mouse.move(x - 6 * step, y)
    page.mouse.up()


def zoom(page: Page, area: FloatRect, step: int) -> None:
    """Turn the wheel over the middle of the map, forwards where `step` is negative."""
    page.mouse.move(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
    for _ in range(MOVES):
        page.mouse.wheel(0, step)


def measure(page: Page, address: str) -> dict[str, float]:
    """Return the median and the 95th percentile of the frames of each way of moving, in ms."""
    page.goto(address)
    page.goto(f"{address.partition('?')[0]}collection?show=map")
    plane = page.get_by_role("application", name="Map of")
    start = page.get_by_role("button", name="Lay out the map")
    plane.or_(start).first.wait_for()
    if start.is_visible():
        start.click()
    page.locator(".plane[data-drawn=yes]").wait_for(timeout=LAYING_OUT_MS)
    plane.scroll_into_view_if_needed()
    area = plane.bounding_box()
    if area is None:
        raise SystemExit("there is no map on the page")
    figures = {}
    for name, act in (
        ("drag", lambda: drag(page, area)),
        ("zoom_in", lambda: zoom(page, area, -60)),
        ("drag_pictures", lambda: drag(page, area)),
        ("zoom_out", lambda: zoom(page, area, 60)),
    ):
        found = frames(page, act)
        figures[f"{name}_ms"] = round(statistics.median(found), 1)
        figures[f"{name}_p95_ms"] = round(statistics.quantiles(found, n=20)[-1], 1)
    return figures


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="a folder for the store, used the next time, too")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is missing: apt-get install chromium")
    with place_for(arguments.keep) as folder:
        if not (folder / ".cbir").exists():
            photos = photos_in(arguments.photos)
            build(folder, photos[1:], arguments.photos, arguments.images)
        with serving(folder / ".cbir", PORT) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            row = {"images": arguments.images, **measure(page, address)}
            browser.close()
    print(json.dumps(row) if arguments.json else "  ".join(f"{k} {v}" for k, v in row.items()))


if __name__ == "__main__":
    main()
