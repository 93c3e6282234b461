"""Memory: the peak of `cbir index` against the number of photos, and what queries hold.

Run: python -m benchmarks.memory PHOTOS [--counts 2000 20000] [--json]
     python -m benchmarks.memory PHOTOS --queries 1000 [--images 10000] [--json]
The first indexes re-encodings of the photos. The second asks a long-lived `SearchEngine` all kinds
of questions, from one thread and from sixteen, and prints its resident memory (MB) after 200 of
them, after all, and at most, and the peak of `cbir query --batch --rerank`. Its store holds
jittered vectors of the photos, and its files are links to 640 x 480 copies of them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from benchmarks.collections import HEIGHT, WIDTH, fill, photos_in, reencode, region_vectors
from indexer.features.regions import Region
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from indexer.optimize import update_indexes
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.localize import localize
from retrieval.query import Query
from retrieval.relevance_feedback import RelevanceFeedback

T = TypeVar("T")

FIRST = 200  # queries after which memory is not to grow
VERIFIED = 20  # candidates: the keypoints of more would take hours to find
BATCH = 64  # queries of `cbir query --batch`
BOX = Region(160, 120, 480, 360)


def index_peak_mb(folder: Path, store: Path) -> float:
    """Index `folder` in a process of its own and return its peak resident memory in MB."""
    return peak_mb(["index", str(folder), "--store", str(store)])


def peak_mb(arguments: list[str]) -> float:
    """Run `cbir` and return its peak resident memory in MB."""
    command = [sys.executable, "-m", "ui.cli", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed with status {status}")
    return usage.ru_maxrss / 1000


def build(folder: Path, photos: list[Path], images: int) -> Path:
    """Make a store of `images` images, links to copies of the photos in `folder`/photos."""
    root = folder / "photos"
    copies = folder / "copies"
    for place in (root, copies):
        place.mkdir()
    for i, photo in enumerate(photos):
        copy = load_image(photo, at_least=max(WIDTH, HEIGHT)).image
        copy.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(copies / f"{i:04d}.jpg")
    store = Store.create(folder / ".cbir", FeatureSpec.create())
    fill(store, images, region_vectors(copies))
    update_indexes(store)
    made = sorted(copies.iterdir())
    for i in range(images):
        place = root / str(i // 1000) / f"{i}.jpg"
        place.parent.mkdir(exist_ok=True)
        os.link(made[i % len(made)], place)
    store.close()
    return store.path


def questions(engine: SearchEngine, images: int) -> list[Callable[[int], object]]:
    """Return all kinds of questions, each about the image of a number."""
    spec, feedback = engine.store.spec, RelevanceFeedback(engine.collection)

    def query(number: int, **options: Any) -> Query:
        return Query.for_store(spec, image_id=1 + number % images, **options)

    def ask(**options: Any) -> Callable[[int], object]:
        return lambda number: engine.search(query(number, **options))

    def learn(number: int) -> object:
        labels = {1 + (number * 7) % images: True, 1 + (number * 11) % images: False}
        return feedback.search(query(number, search="region"), labels)

    def locate(number: int) -> object:
        info = engine.store.image_infos([1 + number % images])[1 + number % images]
        asked = query(number + 1, search="region", box=BOX)
        return localize(engine.collection, asked, load_image(info.path).image)

    return [
        ask(),
        ask(feature="fc"),
        ask(search="region"),
        ask(search="region", box=BOX),
        ask(box=BOX, turns=True),
        ask(verify=True, candidates=VERIFIED),
        ask(search="region", rerank=True, candidates=VERIFIED),
        lambda number: engine.search(Query.for_store(spec, text="espresso", k=1 + number % 96)),
        learn,
        locate,
    ]


def resident_mb() -> dict[str, int]:
    """Return the resident memory of this process: all of it, and what is its own alone."""
    rows = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8").splitlines()
    )
    return {
        name: int(rows[row].split()[0]) // 1000
        for name, row in (("all", "VmRSS"), ("own", "RssAnon"))
    }


def query_memory(store: Path, images: int, queries: int, threads: int) -> dict[str, Any]:
    """Ask questions in this process, and return its memory after the first ones and after all."""
    engine = SearchEngine.open(store)
    kinds = questions(engine, images)
    chance = random.Random(0)
    numbers = [chance.randrange(images) for _ in range(queries)]

    resident: list[int] = []

    def ask(place: int) -> None:
        kinds[place % len(kinds)](numbers[place])
        resident.append(resident_mb()["all"])

    row: dict[str, Any] = {"threads": threads}
    with ThreadPoolExecutor(threads) as pool:
        for start, stop in ((0, min(FIRST, queries)), (FIRST, queries)):
            list(pool.map(ask, range(start, stop)))
            row[f"after_{stop}_mb"] = resident_mb()
    row["most_mb"] = max(resident)
    return row


def in_own_process(work: Callable[..., T], *given: Any) -> T:
    """Return what a function returns in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def batch_peak_mb(store: Path, photos: list[Path]) -> float:
    """Return the peak of `cbir query --batch --rerank`, in MB.

    For a process of its own: a program inherits the peak of the one that starts it.
    """
    rows = [{"id": i, "image": str(photos[i % len(photos)])} for i in range(BATCH)]
    file = store.parent / "batch.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    options = ["--search", "region", "--rerank", "--candidates", str(VERIFIED)]
    return peak_mb(["query", "--batch", str(file), "--store", str(store), *options])


def measure_queries(photos: list[Path], images: int, queries: int, *, as_json: bool) -> None:
    """Print what queries hold."""
    with tempfile.TemporaryDirectory() as scratch:
        store = build(Path(scratch), photos, images)
        rows: list[dict[str, Any]] = []
        for threads in (1, 16):
            rows.append(in_own_process(query_memory, store, images, queries, threads))
            if not as_json:
                print(rows[-1], flush=True)
        peak = in_own_process(batch_peak_mb, store, photos)
    row = {"images": images, "queries": queries, "engine": rows, "batch_peak_mb": round(peak)}
    print(json.dumps(row) if as_json else f"batch: peak {peak:.0f} MB")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--counts", nargs="+", type=int, default=[2000, 20000])
    parser.add_argument("--queries", type=int)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    photos = photos_in(arguments.photos)
    if arguments.queries:
        measure_queries(photos, arguments.images, arguments.queries, as_json=arguments.json)
        return
    peaks = {}
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "photos"
            reencode(photos, count, folder)
            peaks[count] = index_peak_mb(folder, Path(scratch) / "store")
        if not arguments.json:
            print(f"{count:7} photos: peak {peaks[count]:.0f} MB", flush=True)
    ratio = peaks[arguments.counts[-1]] / peaks[arguments.counts[0]]
    if arguments.json:
        print(json.dumps({"peak_mb": peaks, "ratio": round(ratio, 3)}))
    else:
        print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
