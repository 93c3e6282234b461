"""Close looks at camera photos: queries, re-ranking and localisation on 12 megapixels.

Run: python -m benchmarks.closeup PHOTOS [--count 128] [--queries 8] [--json]
The collection is made of mosaics of the photos; the queries are mosaics and boxes in them. `first`
is the first query of its kind, which reads the files of its candidates, and `p50` that of the
others; `memory` is what has become resident since the first query of all.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.collections import mosaics, photos_in
from indexer.build import Builder
from indexer.features.extractor import FeatureExtractor
from indexer.features.regions import Region
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.localize import localize
from retrieval.query import Query

BOX = Region(1000, 750, 2000, 2250)


def main() -> None:
    """Print a row for each kind of query."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--queries", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        mosaics(photos_in(arguments.photos), arguments.count, folder)
        spec = FeatureSpec.create()
        extractor = FeatureExtractor(spec)
        store = Store.create(Path(scratch) / "store", spec)
        Builder(store, lambda: extractor).run([folder])
        engine = SearchEngine(store, extractor=extractor)
        asked = sorted(folder.iterdir())[: arguments.queries]
        before = resident_bytes()
        for kind, ask in kinds(engine).items():
            row = {"query": kind} | measure(ask, asked, before)
            text = "  ".join(f"{name} {value}" for name, value in row.items())
            print(json.dumps(row) if arguments.json else text, flush=True)


def kinds(engine: SearchEngine) -> dict[str, Callable[[Path], object]]:
    """Return what is asked of a photo, by name."""
    return {
        "photo": lambda path: engine.search(Query(path=path, search="region")),
        "box": lambda path: engine.search(Query(path=path, box=BOX, search="region")),
        "re-ranked": lambda path: engine.search(
            Query(path=path, box=BOX, search="region", rerank=True)
        ),
        "localised": lambda path: localize(
            engine.collection, Query(path=path, box=BOX, search="region"), load_image(path).image
        ),
    }


def measure(ask: Callable[[Path], object], asked: list[Path], before: int) -> dict[str, Any]:
    """Return the times in ms, and the memory in MB beyond `before` bytes."""
    times = []
    for path in asked:
        started = time.perf_counter()
        ask(path)
        times.append(1000 * (time.perf_counter() - started))
    return {
        "first_ms": round(times[0], 1),
        "p50_ms": round(float(np.median(times[1:])), 1),
        "memory_mb": round((resident_bytes() - before) / 1e6),
    }


def resident_bytes() -> int:
    """Return the memory that this process has in use; Linux says it."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
