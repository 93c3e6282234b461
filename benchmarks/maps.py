"""The map of a collection: laying it out, reading it again, and placing new images in it.

Run: python -m benchmarks.maps [--images 2000 20000 100000] [--added 50] [--json]
The stores are made of random vectors of whole images, clustered as those of photos are. Each is
measured in a process of its own; `peak_gb` is all the memory that it had at its peak, with the
pages of the store's files that it had mapped.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.collections import fill
from indexer.features.spec import FeatureSpec
from indexer.optimize import update_indexes
from indexer.store.store import Store
from retrieval.collection import Collection
from retrieval.collection_map import map_collection, read_map


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = time.perf_counter()
    work()
    return round(time.perf_counter() - started, 3)


def make(place: Path, images: int) -> None:
    """Make a store of so many images without regions."""
    store = Store.create(place, FeatureSpec.create(regions="none"))
    fill(store, images)
    update_indexes(store)
    store.close()


def measure(place: Path, added: int) -> dict[str, float]:
    """Return what a map of the store takes, and of the store with so many images more."""
    figures = {"lay_out_s": seconds(lambda: map_collection(Collection(Store.open(place))))}
    figures["read_s"] = seconds(lambda: read_map(Collection(Store.open(place))))
    store = Store.open(place)
    images = len(store.known_files())
    fill(store, added, first=images)
    figures["place_s"] = seconds(lambda: map_collection(Collection(store)))
    figures["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    return {"images": images, **figures}


def main() -> None:
    """Make a store of each size, and print a line of figures for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[2_000, 20_000, 100_000])
    parser.add_argument("--added", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--store", type=Path, help="measure this store, which gets images")
    chosen = parser.parse_args()
    if chosen.store is not None:
        print(json.dumps(measure(chosen.store, chosen.added)))
        return
    for images in chosen.images:
        with tempfile.TemporaryDirectory() as scratch:
            make(Path(scratch) / "store", images)
            command = [sys.executable, "-m", __spec__.name, "--store", f"{scratch}/store"]
            done = subprocess.run(
                [*command, "--added", str(chosen.added)],
                capture_output=True,
                encoding="utf-8",
                check=True,
            )
        found = json.loads(done.stdout)
        if chosen.json:
            print(json.dumps(found), flush=True)
        else:
            print(
                f"{found['images']:>8,} images: laid out in {found['lay_out_s']:.1f} s, read in "
                f"{found['read_s']:.3f} s, {chosen.added} placed in {found['place_s']:.1f} s, "
                f"{found['peak_gb']:.2f} GB at the peak",
                flush=True,
            )


if __name__ == "__main__":
    main()
