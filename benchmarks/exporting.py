"""Times the export of a large store to Parquet, and its way back through a merge.

Run: python -m benchmarks.exporting [--images 100000] [--regions PHOTOS] [--index auto] [--json]
The vectors of whole images are jittered round some centres, and those of regions round those of
the photos; see benchmarks/collections.py. All vectors are compared with those of the first store,
bit for bit. The IVF indexes, which are built again from the vectors, count only with `--index`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.collections import fill, photos_in, region_vectors
from indexer.arrays import FloatArray
from indexer.exports.write import export_store
from indexer.features.spec import FeatureSpec
from indexer.merge import merge_stores, merging
from indexer.store.contents import StoreContents
from indexer.store.reader import StoreReader
from indexer.store.store import Store

STEP = 512  # images that are compared together


@contextmanager
def timed(values: dict[str, float], name: str) -> Iterator[None]:
    """Note the seconds that a block takes, and those of processor time."""
    started, ticks = time.perf_counter(), sum(os.times()[:2])
    yield
    values[f"{name}_s"] = round(time.perf_counter() - started, 2)
    values[f"{name}_cpu_s"] = round(sum(os.times()[:2]) - ticks, 2)


def make_store(place: Path, images: int, regions: FloatArray | None, index: str) -> None:
    """Make a store of so many images, with regions if there are vectors (N, D) to jitter."""
    spec = FeatureSpec.create(regions="none" if regions is None else "grid")
    store = Store.create(place, spec)
    store.index_type = index
    fill(store, images, regions)
    store.close()


def count_differing(one: StoreReader, other: StoreReader) -> int:
    """Return how many images have other vectors, boxes or facts in the other store."""
    mine, theirs = StoreContents(one), StoreContents(other)
    ids = {row.file.path: row.id for row in theirs.files}
    pairs = [(row.id, ids.get(row.file.path)) for row in mine.files]
    found = [(own, its) for own, its in pairs if its is not None]
    differing = len(pairs) - len(found) + len(theirs.files) - len(found)
    for start in range(0, len(found), STEP):
        step = found[start : start + STEP]
        entries = mine.entries([own for own, _ in step])
        others = theirs.entries([its for _, its in step])
        for entry, its in zip(entries, others, strict=True):
            a, b = entry.stored_features(), its.stored_features()
            if a is None or b is None or entry.facts != its.facts:
                differing += 1
                continue
            same = np.array_equal(a.boxes, b.boxes) and all(
                a.vectors[kind].tobytes() == b.vectors[kind].tobytes() for kind in a.vectors
            )
            differing += not same
        mine.let_go()
        theirs.let_go()
    return differing


def measure(images: int, regions: FloatArray | None, index: str) -> dict[str, float]:
    """Export and merge a store of so many images; returns seconds, bytes and what differs."""
    values: dict[str, float] = {"images": images}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_store(folder / ".cbir", images, regions, index)
        store = StoreReader.open(folder / ".cbir")
        with timed(values, "export"):
            values["bytes"] = export_store(store, folder / "exported").bytes
        with (
            timed(values, "merge"),
            merging(folder / "merged", [folder / "exported"]) as (whole, parts),
        ):
            values["added"] = merge_stores(whole, parts).added
        merged = StoreReader.open(folder / "merged")
        values["differing"] = count_differing(store, merged)
        merged.close()
        store.close()
    values["both_s"] = round(values["export_s"] + values["merge_s"], 2)
    return values


def main() -> None:
    """Print the times of the way to Parquet and back, and whether all vectors are the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--regions", type=Path, metavar="PHOTOS")
    parser.add_argument("--index", default="exact")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    regions = None
    if arguments.regions is not None:
        photos_in(arguments.regions)
        regions = region_vectors(arguments.regions)
    values = measure(arguments.images, regions, arguments.index)
    if arguments.json:
        print(json.dumps(values))
        return
    print(
        f"{arguments.images:,} images, {values['bytes'] / 1e6:,.0f} MB: exported in "
        f"{values['export_s']:.1f} s ({values['export_cpu_s']:.1f} of processor time), merged in "
        f"{values['merge_s']:.1f} s ({values['merge_cpu_s']:.1f}), {values['both_s']:.1f} s in all"
    )
    print(
        "all vectors are the same, bit for bit"
        if not values["differing"]
        else f"{values['differing']:,.0f} images differ"
    )


if __name__ == "__main__":
    main()
