"""A warm query, as the browser asks one after the other, split into its parts.

Run: python -m benchmarks.query PHOTOS [--regions 1000000] [--queries 60] [--json]
The store holds jittered region vectors of half the photos. The queries are photos of the other
half, and boxes in them, searched for among the regions; and photos searched for as a whole, among
the images that the regions belong to. In turn with them runs what they cannot do without: one
forward of what the query shows to the network, and a search of faiss alone with the same index,
parameters and number of finds; cbir's own search where there are too few vectors for an index.
`least` does both as `cbir` does: the views of the query side by side, with all cores on the end of
the largest, and the cells of the index shared by faiss's threads. `plain` is both libraries left
alone: all threads of OpenVINO on one view, then on the next, and one thread of faiss on the query.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.collections import fill, photos_in, region_vectors
from indexer.features.inputs import Prepared
from indexer.features.openvino_engine import OpenVinoEngine
from indexer.features.openvino_runtime import ov
from indexer.features.regions import Region
from indexer.features.spec import FeatureSpec
from indexer.images import load_image
from indexer.optimize import keep_up
from indexer.store.approximate import SHARE_CELLS, ApproximateIndex
from indexer.store.faiss_runtime import faiss
from indexer.store.store import Store
from retrieval import describe
from retrieval.engine import SearchEngine
from retrieval.query import Query

Samples = dict[str, list[float]]
Forward = Callable[[Sequence[Prepared]], object]
BLOCK = 10
ONE_THREAD = 0  # of faiss for a query, as it is by itself


def main() -> None:
    """Print a row for each kind of query."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--regions", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    vectors = region_vectors(arguments.photos)
    photos = photos_in(arguments.photos)
    asked = photos[len(photos) // 2 :][-arguments.queries :]
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.create(Path(scratch) / "store", FeatureSpec.create())
        rows_an_image = len(store.spec.layout.boxes(640, 480))
        fill(store, arguments.regions // rows_an_image, vectors[: len(vectors) // 2])
        keep_up(store)
        engine = SearchEngine(store)
        for kind in ("photo", "box", "whole"):
            queries = [to_query(path, kind) for path in asked]
            vectors_searched = len(engine.index("conv" if kind == "whole" else "region"))
            row = {"query": kind, "vectors": vectors_searched} | measure(engine, queries)
            text = "  ".join(f"{name} {value}" for name, value in row.items())
            print(json.dumps(row) if arguments.json else text, flush=True)


def to_query(path: Path, kind: str) -> Query:
    """Return a query of a whole photo among regions or images, or of the middle of it."""
    if kind == "whole":
        return Query(path=path)
    if kind == "photo":
        return Query(path=path, search="region")
    facts = load_image(path).facts
    w, h = facts.width, facts.height
    return Query(path=path, search="region", box=Region(w // 4, h // 4, 3 * w // 4, 3 * h // 4))


def measure(engine: SearchEngine, queries: list[Query]) -> dict[str, Any]:
    """Return the times of the queries in ms, and of what each cannot do without."""
    for query in queries[:5]:
        engine.search(query)
    totals: list[float] = []
    floors: dict[str, list[float]] = {"least": [], "plain": []}
    samples: Samples = defaultdict(list)
    sides: dict[str, tuple[Forward, int]] = {
        "least": (lambda views: engine.extractor.look(views, lambda *_: None), SHARE_CELLS),
        "plain": (PlainNetwork(engine).forward, ONE_THREAD),
    }
    floor = []
    for query in queries:
        with watching(engine, query, defaultdict(list)) as calls:
            engine.search(query)
        floor.append({name: least(calls, *side) for name, side in sides.items()})
        for repeat in floor[-1].values():
            repeat()
    # Each side in turn, a block of queries at a time, and on different ones: neither finds in the
    # cache what the other just used, and neither has to load its network anew for each.
    for start in range(0, len(queries), BLOCK):
        for query in queries[start : start + BLOCK]:
            with watching(engine, query, samples):
                totals.append(timed(partial(engine.search, query)))
        shifted = [i - len(queries) // 2 for i in range(start, min(start + BLOCK, len(queries)))]
        for name, times in floors.items():
            times += [timed(floor[i][name]) for i in shifted]
    parts = {name: 1000 * float(np.median(times)) for name, times in samples.items()}
    p50, p95 = (1000 * float(np.percentile(totals, q)) for q in (50, 95))
    rest = p50 - sum(parts.values())
    return {
        "p50_ms": round(p50, 2),
        "p95_ms": round(p95, 2),
        **{f"{name}_ms": round(ms, 2) for name, ms in parts.items()},
        "rest_ms": round(rest, 2),
        **{f"{name}_ms": round(1000 * float(np.median(ts)), 2) for name, ts in floors.items()},
        "ratio": round(float(np.median(totals) / np.median(floors["least"])), 3),
        "ratio_to_plain": round(float(np.median(totals) / np.median(floors["plain"])), 3),
    }


class PlainNetwork:
    """The network as OpenVINO compiles it by itself, for one request after the other."""

    def __init__(self, engine: SearchEngine) -> None:
        inference = engine.extractor.inference
        if not isinstance(inference, OpenVinoEngine):
            raise SystemExit("This benchmark compares with OpenVINO, which is not the engine here.")
        self._request = ov.Core().compile_model(inference.model_file, "CPU").create_infer_request()

    def forward(self, views: Sequence[Prepared]) -> None:
        for view in views:
            self._request.infer([view.pixels[None]], share_outputs=True)


@contextmanager
def watching(engine: SearchEngine, query: Query, samples: Samples) -> Iterator[dict[str, Any]]:
    """Add the time of each part of one query to `samples`; yield what was asked of the engines."""
    calls: dict[str, Any] = {}
    spent: dict[str, float] = dict.fromkeys(("decode", "embed", "search", "metadata"), 0.0)
    depth = 0

    def watched(part: str, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal depth
            calls[name] = (function, args, kwargs)
            started, depth = time.perf_counter(), depth + 1
            try:
                return function(*args, **kwargs)
            finally:
                depth -= 1
                if depth == 0:
                    spent[part] += time.perf_counter() - started

        return call

    index = engine.index("region" if query.search == "region" else query.feature)
    lists = index.lists
    places: list[tuple[str, Any, str]] = [
        ("decode", describe, "load_image"),
        ("embed", engine.extractor, "look"),
        ("embed", engine.extractor, "whiten_windows"),
        ("search", index, "search_images"),
        ("search", index, "search"),
        ("metadata", engine.store, "boxes"),
        ("metadata", engine.store, "image_infos"),
    ]
    if lists is not None:
        places.append(("search", lists, "search"))
    with ExitStack() as stack:
        for part, owner, name in places:
            key = "lists" if owner is lists else name
            function = watched(part, getattr(owner, name), key)
            stack.enter_context(mock.patch.object(owner, name, function))
        yield calls
    for part, seconds in spent.items():
        samples[part].append(seconds)


def least(calls: dict[str, Any], forward: Forward, mode: int) -> Callable[[], None]:
    """Return what does again what a query cannot do without: a forward, and a search of faiss."""
    _, (views, _), _ = calls["look"]
    ready = [Prepared(view.pixels, view.boxes) for view in views]
    if "lists" in calls:
        method, arguments, _ = calls["lists"]
        search = faiss_alone(method, arguments, mode)
    else:
        method, arguments, named = calls["search"]
        search = partial(method, *arguments, **named)

    def repeat() -> None:
        forward(ready)
        search()

    return repeat


def faiss_alone(method: Any, arguments: tuple[Any, ...], mode: int) -> Callable[[], object]:
    """Return the search of an `ApproximateIndex` without what cbir does beyond that of faiss."""
    lists: ApproximateIndex = method.__self__
    _, query, k, _ = arguments
    options = faiss.SearchParametersIVF(nprobe=lists.nprobe)

    def search() -> None:
        lists.index.parallel_mode = mode
        lists.index.search(query[None], lists.finds(k), params=options)
        lists.index.parallel_mode = SHARE_CELLS

    return search


def timed(function: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
