"""A labelled set by each engine for catalogue and vectors: the answers, and how long they take.

Run: python -m benchmarks.engines MANIFEST --milvus milvus://127.0.0.1:19530
     [--postgres postgresql://user:password@host/database] [--every 4] [--index exact]
The photos are indexed once, with SQLite and FAISS. The other stores get the same vectors by joining
that one, with the index type that is asked for. It prints mAP of image and region search by each
engine, and how many of its rankings equal the first engine's, image by image and score by score.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.scoreboard import open_store
from indexer.choices import INDEX_TYPES, SCOPES, Scope
from indexer.join import join_stores
from indexer.optimize import optimize_store
from indexer.store.reader import StoreReader
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.evaluation.manifest import Manifest
from retrieval.evaluation.scoring import score_answers
from retrieval.query import Hit, Query

FIRST = "SQLite + FAISS"
Answers = Mapping[str, list[Hit]]


@dataclass(frozen=True)
class Engine:
    """What keeps a store: the URLs of its servers, None for files."""

    name: str
    catalog: str | None
    vectors: str | None


def chosen_engines(milvus: str | None, postgres: str | None) -> list[Engine]:
    """Return the engines to compare with the first one, of the servers that there are."""
    engines = [
        Engine(
            f"{'PostgreSQL' if catalog else 'SQLite'} + {'Milvus' if vectors else 'FAISS'}",
            catalog,
            vectors,
        )
        for vectors in (None, milvus)
        for catalog in (None, postgres)
    ]
    return list(dict.fromkeys(engine for engine in engines if engine.name != FIRST))


def copy_into(engine: Engine, first: Path, path: Path, index_type: str) -> float:
    """Make a store of an engine with the contents of the first; return the seconds it took."""
    started = time.perf_counter()
    with contextlib.closing(StoreReader.open(first)) as part:
        made = Store.create(path, part.spec, catalog_url=engine.catalog, vectors_url=engine.vectors)
        with contextlib.closing(made):
            made.index_type = index_type
            join_stores(made, [part])
            optimize_store(made)
    return time.perf_counter() - started


def ask(path: Path, manifest: Manifest, search: Scope) -> tuple[Answers, float]:
    """Return the answers to all queries of a set, and the median of their times in ms."""
    answers: dict[str, list[Hit]] = {}
    times = []
    with contextlib.closing(StoreReader.open(path)) as store:
        engine = SearchEngine(store)
        for query in manifest.queries:
            asked = Query(path=query.image, box=query.box, search=search, k=None)
            started = time.perf_counter()
            answers[query.id] = engine.search(asked)
            times.append(time.perf_counter() - started)
    return answers, 1000 * float(np.median(times))


def count_equal(answers: Answers, expected: Answers) -> int:
    """Return how many rankings have the same images, scores and boxes in the same order."""
    return sum(_ranking(answers[i]) == _ranking(expected[i]) for i in expected)


def _ranking(hits: list[Hit]) -> list[object]:
    return [(hit.image_id, hit.score, hit.region) for hit in hits]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--milvus")
    parser.add_argument("--postgres")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--index", choices=INDEX_TYPES, default="exact")
    arguments = parser.parse_args()
    whole = Manifest.read(arguments.manifest)
    manifest = whole.every(arguments.every)
    with tempfile.TemporaryDirectory() as scratch:
        first = Path(scratch) / "first"
        with contextlib.closing(open_store(whole, first)):
            pass
        expected = {mode: ask(first, manifest, mode) for mode in SCOPES}
        print_rows(FIRST, manifest, expected, expected)
        for engine in chosen_engines(arguments.milvus, arguments.postgres):
            path = Path(scratch) / engine.name
            copy_s = copy_into(engine, first, path, arguments.index)
            try:
                found = {mode: ask(path, manifest, mode) for mode in SCOPES}
            finally:
                Store.delete(path)
            print_rows(engine.name, manifest, found, expected)
            print(f"{engine.name:20} copied and optimised in {copy_s:.0f} s")


def print_rows(
    name: str,
    manifest: Manifest,
    found: Mapping[Scope, tuple[Answers, float]],
    expected: Mapping[Scope, tuple[Answers, float]],
) -> None:
    """Print a line for each way to search."""
    for mode, (answers, query_ms) in found.items():
        figures = score_answers(manifest, dict(answers)).as_dict()
        equal = count_equal(answers, expected[mode][0])
        print(
            f"{name:20} {mode:7} mAP {figures['mAP']:.4f}  {query_ms:7.1f} ms  "
            f"{equal} of {len(answers)} rankings equal",
            flush=True,
        )


if __name__ == "__main__":
    main()
