"""Filtered search at size: its time beside that of a search of all, and its recall.

Run: python -m benchmarks.filtered [--rows 1000000] [--types exact balanced compact] [--queries 20]
A store gets so many vectors of whole images, and as many of regions, 50 to an image, in clusters.
Filters such as width<=5000 leave 50 %, 10 %, 1 % and 0.01 % of the images. For each index type and
each search, every query is asked without a filter and by each of them in turn. `ratio` is the
median time as a multiple of that without a filter; `first_ms` is the search that meets a filter for
the first time, and so notes which rows it leaves. `where_ms` is what it takes to turn the filter
into a set of images, in the catalogue. `recall@10` is measured against NumPy.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.arrays import FloatArray, IdArray, unit_rows
from indexer.features.spec import FeatureSpec
from indexer.image_set import ImageSet
from indexer.images.facts import ImageFacts
from indexer.optimize import update_indexes
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.records import Entry, FileState
from indexer.store.store import Store
from indexer.store.vectors.protocol import VectorIndex

DIMENSION = 256
LATENT = 32  # dimensions that the vectors differ in, but for a little noise
CENTRES = 2000
WINDOWS = 50  # region vectors of an image
WIDTHS = 10_000
SHARES = {"50 %": WIDTHS // 2, "10 %": WIDTHS // 10, "1 %": WIDTHS // 100, "0.01 %": 1}
PART = 100_000
K = 10


@dataclass(frozen=True)
class Filter:
    """A filter's name, the images that it leaves, None for all, and the time to find them."""

    name: str
    allowed: ImageSet | None
    where_ms: float


def clustered(count: int, seed: int, windows: int = 1) -> FloatArray:
    """Return unit vectors round centres that are the same for every seed, `windows` round each."""
    base = np.random.default_rng(0)
    centres = base.normal(size=(CENTRES, LATENT))
    projection = base.normal(size=(LATENT, DIMENSION)) / LATENT**0.5
    random = np.random.default_rng(seed)
    own = centres[random.integers(0, CENTRES, -(-count // windows))].repeat(windows, axis=0)[:count]
    latent = own + 0.6 * random.normal(size=own.shape)
    return unit_rows(
        (latent @ projection).astype(np.float32)
        + 0.1 * random.normal(size=(count, DIMENSION)).astype(np.float32)
    )


def fill(store: Store, rows: int) -> None:
    """Put images without files into a store, and vectors of them and of regions of the first."""
    root = store.add_root(store.path.parent / "photos")
    widths = np.random.default_rng(1).integers(1, WIDTHS + 1, rows)
    with store.writing():
        for start in range(0, rows, PART):
            count = min(PART, rows - start)
            entries = [
                Entry(
                    FileState(root, f"{i // 1000}/{i}.jpg", 1, 1, i.to_bytes(32, "big")),
                    ImageFacts(int(widths[i]), 480, "JPEG", taken_at=None, camera=None),
                )
                for i in range(start, start + count)
            ]
            with store.catalog.transaction() as change:
                ids = np.array(change.replace_images(entries), np.int64)
                vectors = clustered(count, seed=start + 2)
                store.vectors.append(change, "conv", ids, ids, vectors)
                region_ids = np.arange(start, start + count, dtype=np.int64)
                vectors = clustered(count, seed=start + 3, windows=WINDOWS)
                owners = 1 + region_ids // WINDOWS
                store.vectors.append(change, "region", region_ids, owners, vectors)
                store.vectors.sync()


def make_filters(store: Store) -> list[Filter]:
    """Return no filter, and those that leave a share of the images."""
    filters = [Filter("100 %", None, 0.0)]
    find_ids(store, ImageFilter(where="width<0"))  # loads what it needs
    for name, width in SHARES.items():
        started = time.perf_counter()
        found = find_ids(store, ImageFilter(where=f"width<={width}"))
        filters.append(Filter(name, found, 1000 * (time.perf_counter() - started)))
    return filters


def search(index: VectorIndex, scope: str, query: FloatArray, wanted: Filter) -> IdArray:
    """Return the images that are found."""
    if scope == "image":
        return index.search(query[None], K, wanted.allowed)[0].ids
    return index.search_images(query[None], K, wanted.allowed)[0].image_ids


def true_answers(store: Store, kind: str, queries: FloatArray, wanted: Filter) -> list[IdArray]:
    """Return the best allowed images of each query, by NumPy."""
    index = store.vector_index(store.kind(kind))
    best: list[dict[int, float]] = [{} for _ in queries]
    allowed = wanted.allowed
    images = index.live_ids() if allowed is None else allowed.ids
    for start in range(0, len(images), PART // WINDOWS):
        part = images[start : start + PART // WINDOWS]
        places, _, vectors = index.rows_of_images(part)
        if not len(places):
            continue
        firsts = np.flatnonzero(np.append(True, np.diff(places)))
        scores = np.maximum.reduceat(queries @ vectors.T, firsts, axis=1)
        for own, row in zip(best, scores, strict=True):
            near = np.argsort(-row)[:K]
            own |= zip(part[places[firsts[near]]].tolist(), row[near].tolist(), strict=True)
    return [np.array(sorted(own, key=lambda i: -own[i])[:K], np.int64) for own in best]


def measure(
    store: Store, scope: str, queries: FloatArray, filters: Sequence[Filter]
) -> Iterator[str]:
    """Yield a line for each filter."""
    kind = "conv" if scope == "image" else "region"
    index = store.vector_index(store.kind(kind))
    search(index, scope, queries[-1], filters[0])
    firsts: list[float] = []
    for wanted in filters:
        started = time.perf_counter()
        search(index, scope, queries[-1], wanted)
        firsts.append(time.perf_counter() - started)
    times = np.empty((len(queries), len(filters)))
    found: list[list[IdArray]] = [[] for _ in filters]
    for i, query in enumerate(queries):
        for j, wanted in enumerate(filters):
            started = time.perf_counter()
            found[j].append(search(index, scope, query, wanted))
            times[i, j] = time.perf_counter() - started
    medians = 1000 * np.median(times, axis=0)
    for wanted, ms, first, own in zip(filters, medians.tolist(), firsts, found, strict=True):
        truth = true_answers(store, kind, queries, wanted)
        hits = sum(len(np.intersect1d(a, b)) for a, b in zip(own, truth, strict=True))
        there = sum(map(len, truth))
        recall = hits / there if there else 1.0
        yield (
            f"{store.index_type:9} {scope:7} {wanted.name:>7} {ms:9.1f} {ms / medians[0]:6.2f} "
            f"{1000 * first:9.1f} {wanted.where_ms:9.1f} {recall:10.3f}"
        )


def main() -> None:
    """Print a line for each index type, search and filter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--types", nargs="+", default=["exact", "balanced", "compact"])
    parser.add_argument("--queries", type=int, default=20)
    arguments = parser.parse_args()
    queries = clustered(arguments.queries, seed=1)
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "photos").mkdir()
        store = Store.create(Path(scratch) / ".cbir", FeatureSpec.create())
        fill(store, arguments.rows)
        filters = make_filters(store)
        print("index     search   filter        ms  ratio  first_ms  where_ms  recall@10")
        for index_type in arguments.types:
            store.index_type = index_type
            update_indexes(store)
            for scope in ("image", "region"):
                for line in measure(store, scope, queries, filters):
                    print(line, flush=True)
        store.close()


if __name__ == "__main__":
    main()
