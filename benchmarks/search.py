"""Vector search at size: recall, time and memory of each form of index.

Run: python -m benchmarks.search PHOTOS [--rows 100000 1000000] [--forms balanced compact] [--json]
The vectors are the region vectors of the photos, their first 256 dimensions, multiplied by adding
differences of other such vectors, which keeps their spectrum. The queries are regions of photos
that are left out of it. Times are those of one thread, of each form and of a comparison with all
in turn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from indexer.build import Builder
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import unit_rows
from indexer.store.approximate import ApproximateIndex, Form
from indexer.store.segments import FloatArray, IdArray, Rows, Segment
from indexer.store.store import Store

DIMENSION = 256
QUERIES = 200
JITTER = 0.35
WINDOWS = 50  # rows of an image
PART = 250_000
K = 10


def region_vectors(photos: Path) -> FloatArray:
    """Return region vectors (N, 256) of the photos, in order of the photos."""
    with tempfile.TemporaryDirectory() as scratch:
        spec = FeatureSpec.create()
        store = Store.create(Path(scratch) / "store", spec)
        Builder(store, lambda: FeatureExtractor(spec)).run([photos])
        rows = store.files.rows("region")
        return unit_rows(rows.take(np.arange(len(rows)))[:, :DIMENSION])


def multiply(base: FloatArray, count: int, folder: Path) -> Rows:
    """Return `count` rows like `base`, kept in files."""
    random = np.random.default_rng(0)
    segments = []
    for start in range(0, count, PART):
        rows = min(PART, count - start)
        one, two, three = (base[random.integers(len(base), size=rows)] for _ in range(3))
        path = folder / f"{start}.npy"
        np.save(path, unit_rows(one + JITTER * (two - three)).astype(np.float16))
        ids: IdArray = np.arange(start, start + rows, dtype=np.int64)
        segments.append(Segment(ids, ids // WINDOWS, np.load(path, mmap_mode="r")))
    return Rows(segments)


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
    rows: Rows, queries: FloatArray, truth: IdArray, flat: Any, form: Form, folder: Path
) -> dict[str, Any]:
    """Build one form and compare it with the flat index."""
    started = time.perf_counter()
    lists = ApproximateIndex.train(rows, form)
    lists.extend(rows)
    lists.calibrate(rows)
    build_s = time.perf_counter() - started
    path = folder / f"{form}.faiss"
    lists.write(path)
    lists = ApproximateIndex.read(path, form, lists.nprobe, lists.recall)
    lists.search(rows, queries[0], K, None)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    times: list[float] = []
    flat_times: list[float] = []
    hits = 0
    for query, true in zip(queries, truth, strict=True):
        started = time.perf_counter()
        found, _ = lists.search(rows, query, K, None)
        times.append(time.perf_counter() - started)
        hits += len(np.intersect1d(found, true))
        if flat is not None and len(flat_times) < QUERIES // 5:
            started = time.perf_counter()
            flat.search(query[None], K)
            flat_times.append(time.perf_counter() - started)
    faiss.omp_set_num_threads(threads)
    ms = 1000 * float(np.median(times))
    exact_ms = 1000 * float(np.median(flat_times)) if flat_times else None
    return {
        "rows": len(rows),
        "form": form,
        "lists": int(lists.index.nlist),
        "nprobe": lists.nprobe,
        "recall_set": round(lists.recall, 3),
        "recall@10": round(hits / truth.size, 3),
        "ms": round(ms, 2),
        "exact_ms": None if exact_ms is None else round(exact_ms, 1),
        "share_of_exact": None if exact_ms is None else round(ms / exact_ms, 4),
        "bytes_a_vector": round(path.stat().st_size / len(rows), 1),
        "build_s": round(build_s, 1),
    }


def main() -> None:
    """Print a row for each size and form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rows", nargs="+", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--forms", nargs="+", default=["balanced", "compact"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    vectors = region_vectors(arguments.photos)
    held_out = len(vectors) // 10
    queries = vectors[: held_out : max(1, held_out // QUERIES)][:QUERIES]
    for count in arguments.rows:
        with tempfile.TemporaryDirectory() as scratch:
            rows = multiply(vectors[held_out:], count, Path(scratch))
            truth = exact_ids(rows, queries)
            flat = None
            if count <= 2_000_000:
                flat = faiss.IndexFlatIP(DIMENSION)
                for _, chunk in rows.chunks():
                    flat.add(chunk)
            for form in arguments.forms:
                row = measure(rows, queries, truth, flat, form, Path(scratch))
                text = (
                    json.dumps(row)
                    if arguments.json
                    else "  ".join(f"{name} {value}" for name, value in row.items())
                )
                print(text, flush=True)


if __name__ == "__main__":
    main()
