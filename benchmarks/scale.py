"""A model of what collections take, up to a billion region vectors, and a check of it.

Run: python -m benchmarks.scale PHOTOS [--images 2000 8000 32000] [--json]
     python -m benchmarks.scale --servers
Stores of three sizes are made of jittered vectors of the photos, joined, indexed by the `compact`
type, and searched. The model is fitted to the first two and predicts the third; then it is fitted
to all three and says what larger collections take. What it assumes is said in docs/scale.md: that
the share of vectors that a search scans stays as in the largest store, and that memory holds the
IVF index. Prices are options, in any currency.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.collections import fill, photos_in, region_vectors
from benchmarks.scale_model import (
    GB,
    SERVER_INDEXES,
    Estimate,
    Model,
    Prices,
    Size,
    describe_server,
    estimate,
)
from indexer.arrays import FloatArray
from indexer.build import Builder
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.join import join_stores
from indexer.store.layout import CATALOG
from indexer.store.reader import StoreReader
from indexer.store.store import Store
from indexer.store.vectors.ivf import IvfIndex, factory_string
from indexer.store.vectors.local_store import LocalVectorStore

KIND = "region"
QUERIES = 60
K = 10
WINDOWS = 49  # region vectors of an image, of the grid
SERVED_ROWS = 50_000_000 * WINDOWS
TARGETS = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)


@contextmanager
def timed(values: dict[str, float], name: str) -> Iterator[None]:
    """Note the seconds that a block takes."""
    started = time.perf_counter()
    yield
    values[name] = time.perf_counter() - started


def cells_of(rows: int, dimension: int) -> int:
    """Return the number of cells that an IVF index of so many rows has."""
    return int(factory_string("compact", dimension, rows).split(",")[0].removeprefix("IVF"))


def image_core_s(photos: Path) -> tuple[float, FloatArray]:
    """Return the core seconds that indexing takes for each photo, and the region vectors (N, D)."""
    spec = FeatureSpec.create()
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.create(Path(scratch) / "store", spec)
        builder = Builder(store, lambda: FeatureExtractor(spec))
        started, ticks = time.perf_counter(), sum(os.times()[:2])
        report = builder.run([photos])
        elapsed, busy = time.perf_counter() - started, sum(os.times()[:2]) - ticks
        print(
            f"{report.added} photos described in {elapsed:.0f} s, {busy / report.added:.3f} core "
            "seconds each",
            flush=True,
        )
    return busy / report.added, region_vectors(photos)


def make_part(folder: Path, images: int, regions: FloatArray) -> float:
    """Make a store with vectors like `regions` (N, D); returns the seconds of its commits."""
    store = Store.create(folder / "part" / ".cbir", FeatureSpec.create())
    (folder / "part" / "photos").mkdir()
    store.index_type = "exact"
    values: dict[str, float] = {}
    with timed(values, "fill_s"):
        fill(store, images, regions)
    store.close()
    return values["fill_s"]


def join(folder: Path, values: dict[str, float]) -> Store:
    """Join the part into a new store, without an IVF index."""
    whole = Store.create(folder / "whole" / ".cbir", FeatureSpec.create())
    whole.index_type = "exact"
    part = StoreReader.open(folder / "part" / ".cbir")
    with timed(values, "join_s"):
        join_stores(whole, [part])
    part.close()
    return whole


def build_index(store: Store, values: dict[str, float]) -> IvfIndex:
    """Build the IVF index of the region vectors, step by step."""
    assert isinstance(store.vectors, LocalVectorStore)
    rows = store.vectors.rows(KIND)
    with timed(values, "train_s"):
        ivf = IvfIndex.train_cells(rows, "compact")
        ivf.train_codes(rows)
    with timed(values, "add_s"):
        ivf.extend(rows)
    with timed(values, "calibrate_s"):
        ivf.calibrate(rows)
    with store.writing():
        store.index_type = "compact"
        with store.catalog.transaction() as change:
            store.vectors.replace_ivf(change, KIND, ivf, len(rows))
    return ivf


def measure(
    folder: Path, images: int, regions: FloatArray, queries: FloatArray
) -> tuple[Size, dict[str, float]]:
    """Make, join, index and search a store of so many images."""
    values = {"commit_s": make_part(folder, images, regions)}
    store = join(folder, values)
    ivf = build_index(store, values)
    vectors = store.path / "vectors"
    values["catalog_gb"] = (store.path / CATALOG).stat().st_size / GB
    files = {file.name: file.stat().st_size for file in vectors.iterdir()}
    index_bytes = sum(size for name, size in files.items() if name.endswith(".faiss"))
    values["index_gb"] = index_bytes / GB
    values["vectors_gb"] = (sum(files.values()) - index_bytes) / GB
    index = store.vector_index(store.kind(KIND))
    index.search_images(queries[:5], K)
    times = []
    for query in queries:
        started = time.perf_counter()
        index.search_images(query[None], K)
        times.append(1000 * (time.perf_counter() - started))
    values["search_ms"] = float(np.median(times))
    rows, cells = len(index), int(ivf.index.nlist)
    store.close()
    print(f"{rows:,} rows: {cells} cells, {ivf.nprobe} scanned, recall {ivf.recall:.3f}")
    return Size(images, rows, cells, round(rows * ivf.nprobe / cells)), values


def check(sizes: Sequence[Size], measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Print what the model of the smaller sizes says of the largest; returns said by seen."""
    said = Model(sizes[:-1], measured[:-1]).predict(sizes[-1])
    seen = measured[-1]
    print(
        f"{'':14}{'':4}" + "".join(f"{size.rows:>14,}" for size in sizes) + f"{'model':>12} ratio"
    )
    for name, value in said.items():
        line = "".join(f"{values[name]:14.3f}" for values in measured)
        print(f"{name:18}{line}{value:12.3f} {value / seen[name]:5.2f}")
    return {name: value / seen[name] for name, value in said.items()}


def show(estimates: Sequence[Estimate]) -> None:
    """Print what collections take."""
    for e in estimates:
        print(
            f"{e.size.rows:>13,} rows, {e.size.images:>10,} images: describe "
            f"{e.describe_core_h:,.1f} core h, join {e.join_h:,.2f} h, index {e.index_h:,.2f} h, "
            f"disk {e.disk_gb:,.1f} GB, memory {e.memory_gb:,.1f} GB, search {e.search_ms:,.0f} "
            f"ms, once {e.once:,.2f}, a month {e.a_month:,.2f}"
        )


def main() -> None:
    """Measure three sizes, check the model on the largest, and print what it says of others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--servers", action="store_true", help="only what indexes of Milvus take")
    parser.add_argument("--images", nargs="+", type=int, default=[2000, 8000, 32_000])
    parser.add_argument("--core-hour", type=float, default=0.05)
    parser.add_argument("--disk-gb-month", type=float, default=0.08)
    parser.add_argument("--memory-gb-month", type=float, default=4.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    prices = Prices(arguments.core_hour, arguments.disk_gb_month, arguments.memory_gb_month)
    if arguments.servers:
        for index in SERVER_INDEXES:
            print(describe_server(index, SERVED_ROWS, prices))
        return
    if arguments.photos is None:
        parser.error("name a folder of photos")
    photos_in(arguments.photos)
    core_s, vectors = image_core_s(arguments.photos)
    held_out = len(vectors) // 10
    queries = vectors[: held_out : max(1, held_out // QUERIES)][:QUERIES]
    sizes, measured = [], []
    for images in arguments.images:
        with tempfile.TemporaryDirectory() as scratch:
            size, values = measure(Path(scratch), images, vectors[held_out:], queries)
        sizes.append(size)
        measured.append(values)
    ratios = check(sizes, measured)
    model, share = Model(sizes, measured), sizes[-1].scanned / sizes[-1].rows
    estimates = []
    for rows in TARGETS:
        cells = cells_of(rows, vectors.shape[1])
        size = Size(rows // WINDOWS, rows, cells, round(share * rows))
        estimates.append(estimate(model, size, core_s, prices))
    show(estimates)
    if arguments.json:
        found = {
            "measured": [
                asdict(size) | values for size, values in zip(sizes, measured, strict=True)
            ],
            "ratios": ratios,
            "estimates": [asdict(e) for e in estimates],
        }
        print(json.dumps(found))


if __name__ == "__main__":
    main()
