"""The nearest images by every tap of the network: the first question to a store, and later ones.

Run: python -m benchmarks.modes PHOTOS [--repeats 5] [--json]
A store of the photos is made. Each question is asked in a process of its own, of another photo:
`first` with nothing kept in the store, `later` with what the questions before have left there. The
time is from opening the store to the ranking at all taps, with loading the networks and describing
images; `process` adds Python's start and its imports. Figures are medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from indexer.build import Builder
from indexer.choices import Scope
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.store.layout import TAPS
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.layers import LayerLab
from retrieval.query import Query

SHOWN = 6
SEARCHES: tuple[Scope, ...] = ("image", "region")


def make(photos: Path, place: Path) -> list[int]:
    """Make a store of the photos, and return the ids of its images."""
    store = Store.create(place, FeatureSpec.create())
    Builder(store, lambda: FeatureExtractor(store.spec)).run([photos])
    ids = sorted(row.id for row in store.known_files().values() if row.reason is None)
    store.close()
    return ids


def answer(place: Path, image_id: int, search: Scope) -> float:
    """Return how long a question takes in this process, in seconds."""
    started = time.perf_counter()
    engine = SearchEngine.open(place)
    query = Query.for_store(engine.collection.spec, image_id=image_id, search=search)
    lab = LayerLab(engine.collection)
    lab.rank(query, lab.pool(query), SHOWN)
    return time.perf_counter() - started


def ask(place: Path, image_id: int, search: Scope) -> dict[str, float]:
    """Ask in a process of its own; returns its seconds, with and without its start."""
    command = [sys.executable, "-m", __spec__.name, str(place), "--image", str(image_id)]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "--search", search], capture_output=True, encoding="utf-8", check=True
    )
    return {"question_s": float(done.stdout), "process_s": time.perf_counter() - started}


def forget(place: Path) -> None:
    """Delete the vectors of taps that are kept."""
    for file in (place / "derived").glob(f"*/*-{TAPS}"):
        file.unlink()


def medians(asked: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: round(statistics.median(one[name] for one in asked), 2) for name in asked[0]}


def main() -> None:
    """Make a store, ask for the first time and later, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--image", type=int, help="ask the store at PHOTOS for this one, once")
    parser.add_argument("--search", choices=SEARCHES, default="image")
    chosen = parser.parse_args()
    if chosen.image is not None:
        print(answer(chosen.photos, chosen.image, chosen.search))
        return
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "store"
        ids = make(chosen.photos, place)
        asked = ids[:: max(1, len(ids) // (2 * chosen.repeats))]
        for search in SEARCHES:
            first, later = [], []
            for image_id in asked[: chosen.repeats]:
                forget(place)
                first.append(ask(place, image_id, search))
            for image_id in asked[chosen.repeats : 2 * chosen.repeats]:
                later.append(ask(place, image_id, search))
            for name, figures in (("first", first), ("later", later)):
                found = {"images": len(ids), "search": search, "question": name} | medians(figures)
                if chosen.json:
                    print(json.dumps(found), flush=True)
                else:
                    print(
                        f"{search:>6}, {name}: {found['question_s']:.2f} s, "
                        f"{found['process_s']:.2f} s with the process's start",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
