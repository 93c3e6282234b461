"""Vector search at size: recall, time and memory of each form of index.

Run: python -m benchmarks.search PHOTOS [--rows 100000 1000000] [--forms balanced compact] [--json]
The vectors are the region vectors of the photos, their first 256 dimensions, multiplied by adding
differences of other such vectors, which keeps their spectrum. They go into a store, whose index
is built, saved, opened and asked as `cbir` does it. The queries are regions of photos that
are left out of it. Times are those of one thread, of each form and of a comparison with all in
turn; `peak_gb` is the most memory that the process had in use so far.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.collections import jitter, region_vectors
from indexer.arrays import FloatArray, IdArray, unit_rows
from indexer.features.spec import FeatureSpec
from indexer.optimize import update_indexes
from indexer.store.store import Store
from indexer.store.vectors.faiss_runtime import faiss
from indexer.store.vectors.local_index import LocalVectorIndex
from indexer.store.vectors.local_store import LocalVectorStore
from indexer.store.vectors.segments import Rows

DIMENSION = 256
QUERIES = 200
WINDOWS = 50  # rows of an image
PART = 250_000
K = 10
EXACT_ROWS = 2_000_000  # beyond, comparing with all would take too much memory


def fill(store: Store, base: FloatArray, count: int) -> None:
    """Put `count` region vectors like `base` into a store, without images."""
    for start in range(0, count, PART):
        ids: IdArray = np.arange(start, min(start + PART, count), dtype=np.int64)
        with store.catalog.transaction() as change:
            vectors = jitter(base, len(ids), seed=start)
            store.vectors.append(change, "region", ids, ids // WINDOWS, vectors)


def exact_ids(rows: Rows, queries: FloatArray) -> IdArray:
    """Return the rows (Q, K) truly nearest."""
    ids = np.empty((len(queries), 0), np.int64)
    scores = np.empty((len(queries), 0), np.float32)
    for start, vectors in rows.chunks():
        found, places = faiss.knn(queries, vectors, K, metric=faiss.METRIC_INNER_PRODUCT)
        ids, scores = np.hstack([ids, places + start]), np.hstack([scores, found])
        order = np.argsort(-scores, axis=1)[:, :K]
        ids, scores = np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
    return ids


def measure(
    store: Store, queries: FloatArray, truth: IdArray, flat: Any, index_type: str
) -> dict[str, Any]:
    """Build one index type and compare it with the flat index."""
    store.index_type = index_type
    started = time.perf_counter()
    update_indexes(store)
    build_s = time.perf_counter() - started
    started = time.perf_counter()
    index = store.vector_index(store.find_kind("conv", "region"))
    open_s = time.perf_counter() - started
    assert isinstance(index, LocalVectorIndex)
    ivf = index.ivf
    assert ivf is not None
    index.search(queries[:1], K)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    times: list[float] = []
    flat_times: list[float] = []
    hits = 0
    for query, true in zip(queries, truth, strict=True):
        started = time.perf_counter()
        [found] = index.search(query[None], K)
        times.append(time.perf_counter() - started)
        hits += len(np.intersect1d(found.ids, true))
        if flat is not None and len(flat_times) < QUERIES // 5:
            started = time.perf_counter()
            flat.search(query[None], K)
            flat_times.append(time.perf_counter() - started)
    faiss.omp_set_num_threads(threads)
    ms = 1000 * float(np.median(times))
    exact_ms = 1000 * float(np.median(flat_times)) if flat_times else None
    assert isinstance(store.vectors, LocalVectorStore)
    (file,) = store.vectors.folder.glob(f"*-{index_type}.faiss")
    return {
        "rows": len(index),
        "index": index_type,
        "cells": int(ivf.index.nlist),
        "nprobe": ivf.nprobe,
        "recall_set": round(ivf.recall, 3),
        "recall@10": round(hits / truth.size, 3),
        "ms": round(ms, 2),
        "exact_ms": None if exact_ms is None else round(exact_ms, 1),
        "share_of_exact": None if exact_ms is None else round(ms / exact_ms, 4),
        "bytes_a_vector": round(file.stat().st_size / len(index), 1),
        "build_s": round(build_s, 1),
        "open_s": round(open_s, 3),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1),
    }


def main() -> None:
    """Print a row for each size and index type."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rows", nargs="+", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--types", nargs="+", default=["balanced", "compact"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    vectors = unit_rows(region_vectors(arguments.photos)[:, :DIMENSION])
    held_out = len(vectors) // 10
    queries = vectors[: held_out : max(1, held_out // QUERIES)][:QUERIES]
    for count in arguments.rows:
        with tempfile.TemporaryDirectory() as scratch:
            store = Store.create(Path(scratch) / "store", FeatureSpec.create())
            fill(store, vectors[held_out:], count)
            assert isinstance(store.vectors, LocalVectorStore)
            rows = store.vectors.rows("region")
            truth = exact_ids(rows, queries)
            flat = None
            if count <= EXACT_ROWS:
                flat = faiss.IndexFlatIP(DIMENSION)
                for _, chunk in rows.chunks():
                    flat.add(chunk)
            for index_type in arguments.types:
                row = measure(store, queries, truth, flat, index_type)
                text = (
                    json.dumps(row)
                    if arguments.json
                    else "  ".join(f"{name} {value}" for name, value in row.items())
                )
                print(text, flush=True)


if __name__ == "__main__":
    main()
