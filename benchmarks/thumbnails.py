"""Thumbnails: a page of them over HTTP, and what making them while indexing would cost.

Run: python -m benchmarks.thumbnails PHOTOS [--pages 40] [--json]
A page is 30 thumbnails, asked of `cbir ui` on this machine over six connections as a browser does:
the first pages make them, the following ones find them kept. The time of the server's processor is
that of a kept one, from /proc, so on Linux only. Making them while indexing is timed on the pixels
that indexing decodes, as a share of the processor time of the index run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from benchmarks.collections import photos_in
from indexer.build import index_photos
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from indexer.store.derived import DerivedFiles
from indexer.store.store import Store
from ui.gallery import THUMBNAIL_PX, as_jpeg

CONNECTIONS = 6
PAGE = 30
PHOTOS = 300


@contextmanager
def serving(store: Path) -> Iterator[tuple[str, int]]:
    """Run `cbir ui` on a store; yields its URL, once it answers, and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ui.cli", "ui", "--store", str(store), "--port", str(port)]
    options = ["--no-browser", "--no-token"]
    server = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
    try:
        while server.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait()


def processor_s(process: int) -> float:
    """Return the seconds that a process has had of the processors."""
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def time_pages(store: Path, images: int, pages: int) -> dict[str, Any]:
    """Return the times of pages of thumbnails that are made, and of such that are kept."""
    starts = range(1, images - PAGE + 2, PAGE)
    with (
        serving(store) as (url, process),
        httpx.Client(base_url=url, limits=httpx.Limits(max_connections=CONNECTIONS)) as client,
        ThreadPoolExecutor(CONNECTIONS) as browser,
    ):

        def fetch(image_id: int) -> int:
            answer = client.get(f"/v1/images/{image_id}/thumbnail")
            return len(answer.raise_for_status().content)

        def time_page(start: int) -> float:
            started = time.perf_counter()
            sizes.extend(browser.map(fetch, range(start, start + PAGE)))
            return time.perf_counter() - started

        sizes: list[int] = []
        fetch(1)  # which opens the store
        made = [time_page(start) for start in starts]
        before = processor_s(process)
        kept = [time_page(starts[page % len(starts)]) for page in range(pages)]
        used = processor_s(process) - before
    return {
        "made_page_ms": round(1000 * statistics.median(made), 1),
        "kept_page_ms": round(1000 * statistics.median(kept), 1),
        "kept_processor_ms": round(1000 * used / (pages * PAGE), 2),
        "kilobytes": round(statistics.mean(sizes) / 1000, 1),
    }


def time_making(photos: list[Path], scratch: Path, needed: int) -> float:
    """Return the processor seconds of a thumbnail of the pixels that indexing decodes."""
    derived = DerivedFiles(scratch)
    derived.path.mkdir(parents=True)
    used = 0.0
    for place, photo in enumerate(photos):
        picture = load_image(photo, at_least=needed).image.copy()
        started = time.thread_time()
        picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
        derived.write(f"0-0-{THUMBNAIL_PX}.jpg", as_jpeg(picture), place)
        used += time.thread_time() - started
    return used / len(photos)


def measure(photos: list[Path], pages: int) -> dict[str, Any]:
    """Return all figures of some photos."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.create(Path(scratch) / ".cbir", FeatureSpec.create())
        extractor = FeatureExtractor(store.spec)
        _ = extractor.inference  # which is loaded before the time counts
        before = resource.getrusage(resource.RUSAGE_SELF)
        index_photos(store, photos, lambda: extractor)
        after = resource.getrusage(resource.RUSAGE_SELF)
        store.close()
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        making = time_making(photos, Path(scratch) / "making", extractor.pixels_needed)
        row = time_pages(store.path, len(photos), pages)
    share = making * len(photos) / used
    return {"photos": len(photos), **row, "share_of_indexing": round(share, 3)}


def main() -> None:
    """Parse the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    row = measure(photos_in(arguments.photos)[:PHOTOS], arguments.pages)
    if arguments.json:
        print(json.dumps(row))
        return
    for name, value in row.items():
        print(f"{name:20} {value}")


if __name__ == "__main__":
    main()
