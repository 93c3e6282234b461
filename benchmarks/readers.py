"""Readers beside a writer: processes query a store while another adds, removes, optimises, whitens.

Run: python -m benchmarks.readers [PHOTOS] [--minutes 5] [--readers 8] [--json]
Each reader is a process with one long-lived `SearchEngine`. A fault is an error, an image that
occurs twice, or a hit whose removal was committed before its search began; a stall is a search
longer than two seconds. The same readers first query without a writer, for a fifth of the time:
stalls there come from more searches than processors, not from the writer.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from benchmarks.collections import photos_in, reencode
from indexer.adapt import adapt_store
from indexer.build import Builder
from indexer.errors import CbirError
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.optimize import optimize_store
from indexer.remove import remove_images
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.query import Query

SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "images"
STALL_S = 2.0
ENDED_S = 400.0  # by then a reader has ended its last search, however busy the machine is
KEPT = 40  # photos that stay, which the readers ask with
LOG = "removed.txt"  # the names of removed photos, each written after its commit

WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"feature": "fc"},
    {"search": "region"},
    {"search": "region", "verify": True, "candidates": 20},
    {"search": "region", "rerank": True, "candidates": 20},
)


@dataclass
class Seen:
    """What a reader saw: the seconds of its searches, commits, and faults in words."""

    times_s: list[float] = field(default_factory=list)
    commits: int = 0
    faults: list[str] = field(default_factory=list)


def read(store: Path, photos: list[Path], stop: Event, seen: Queue[Seen], seed: int) -> None:
    """Query until told to stop, and say what was seen."""
    chance, found = random.Random(seed), Seen()
    engine = SearchEngine.open(store)
    commits = set()
    warm = list(WAYS)  # the first of each kind loads what it needs, and is not timed
    while not stop.is_set():
        gone = removed_names(store)
        query = Query.for_store(
            engine.store.spec,
            path=chance.choice(photos),
            k=50,
            **(warm or [chance.choice(WAYS)])[0],
        )
        started = time.perf_counter()
        try:
            hits = engine.search(query)
        except CbirError as error:
            found.faults.append(f"{type(error).__name__}: {error}")
            continue
        if warm:
            warm.pop(0)
        else:
            found.times_s.append(time.perf_counter() - started)
        commits.add(engine.store.commits())
        names = [hit.path.name for hit in hits]
        if len(set(names)) < len(names):
            found.faults.append("an image occurs twice")
        if gone & set(names):
            found.faults.append(f"removed, and a hit: {sorted(gone & set(names))}")
    found.commits = len(commits)
    seen.put(found)


def removed_names(store: Path) -> set[str]:
    """Return the names of the photos whose removal is committed; they are never added again."""
    return set((store.parent / LOG).read_text("utf-8").split())


def write(store: Path, photos: list[Path], stop: Event, seen: Queue[Seen]) -> None:
    """Add, remove, optimise and, once, whiten until told to stop."""
    opened = Store.open(store)
    found, folder = Seen(), store.parent / "photos"
    try:
        for done in changes(opened, photos, folder):
            found.times_s.append(done)
            if stop.is_set():
                break
    except CbirError as error:
        found.faults.append(f"{type(error).__name__}: {error}")
    seen.put(found)


def changes(store: Store, photos: list[Path], folder: Path) -> Iterator[float]:
    """Change the store again and again; yields the seconds of each change."""
    extractor = FeatureExtractor(store.spec, adaptation=store.adaptation())
    chance, turn = random.Random(0), 0
    added: list[Path] = []
    while True:
        started = time.perf_counter()
        turn += 1
        if turn % 7 == 0:
            optimize_store(store)
        elif turn == 10 and not store.spec.adaptation:
            adapt_store(store)
            extractor = FeatureExtractor(store.spec, adaptation=store.adaptation())
        elif turn % 3 == 0 and len(added) > 4:
            gone = [added.pop(chance.randrange(len(added))) for _ in range(3)]
            remove_images(store, gone)
            with (store.path.parent / LOG).open("a", encoding="utf-8") as log:
                log.write("".join(f"{path.name}\n" for path in gone))
            for path in gone:
                path.unlink()
        else:
            new = [folder / f"new-{turn}-{i}.jpg" for i in range(4)]
            for path in new:
                shutil.copy(chance.choice(photos), path)
            index(store, new, extractor)
            added += new
        yield time.perf_counter() - started
        time.sleep(0.1)


def index(store: Store, places: list[Path], extractor: FeatureExtractor) -> None:
    """Index photos."""
    Builder(store, lambda: extractor).run(places)


def build(folder: Path, photos: list[Path]) -> Path:
    """Make a store of re-encoded photos, enough of them to learn a whitening."""
    place = folder / "photos"
    reencode(photos, max(KEPT, len(photos)), place)
    spec = FeatureSpec.create()
    store = Store.create(folder / ".cbir", spec)
    index(store, [place], FeatureExtractor(spec))
    (folder / LOG).write_text("", "utf-8")
    store.close()
    return store.path


def measure(
    store: Path, photos: list[Path], readers: int, seconds: float, *, writing: bool = True
) -> dict[str, Any]:
    """Return what the readers, and the writer if there is one, saw in this time."""
    context = multiprocessing.get_context("spawn")
    stop, seen, wrote = context.Event(), context.Queue(), context.Queue()
    asked = sorted((store.parent / "photos").glob("0*.jpg"))[:KEPT]
    processes = [
        context.Process(target=read, args=(store, asked, stop, seen, seed))
        for seed in range(readers)
    ]
    if writing:
        processes.append(context.Process(target=write, args=(store, photos, stop, wrote)))
    for process in processes:
        process.start()
    time.sleep(seconds)
    stop.set()
    by_reader: list[Seen] = [seen.get(timeout=ENDED_S) for _ in range(readers)]
    writer: Seen = wrote.get(timeout=ENDED_S) if writing else Seen()
    for process in processes:
        process.join()
    times = sorted(t for one in by_reader for t in one.times_s)
    faults = [fault for one in [*by_reader, writer] for fault in one.faults]
    return {
        "readers": readers,
        "seconds": round(seconds),
        "queries": len(times),
        "changes": len(writer.times_s),
        "commits_seen": max((one.commits for one in by_reader), default=0),
        "p50_s": round(statistics.median(times), 3) if times else None,
        "max_s": round(times[-1], 3) if times else None,
        "stalls": sum(t > STALL_S for t in times),
        "faults": len(faults),
        "first_faults": faults[:5],
    }


def main() -> None:
    """Print what was seen; the status is 1 where there were faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    photos = photos_in(arguments.photos)
    with tempfile.TemporaryDirectory() as scratch:
        store = build(Path(scratch), photos)
        seconds = 60 * arguments.minutes
        alone = measure(store, photos, arguments.readers, seconds / 5, writing=False)
        beside = measure(store, photos, arguments.readers, seconds)
    for row in ({"writer": "no", **alone}, {"writer": "yes", **beside}):
        print(json.dumps(row) if arguments.json else "  ".join(f"{k} {v}" for k, v in row.items()))
    sys.exit(bool(alone["faults"] or beside["faults"]))


if __name__ == "__main__":
    main()
