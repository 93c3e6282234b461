"""A warm query, as the browser asks one after the other, split into its parts.

Run: python -m benchmarks.query PHOTOS [--regions 1000000] [--queries 60] [--json]
The store holds jittered region vectors of half the photos. The queries are photos of the other
half, and boxes in them, searched for among the regions; and photos searched for as a whole, among
the images that the regions belong to. Alternately with them runs `plain`, what they cannot do
without: one forward of what the query shows the network, by OpenVINO with its own settings, and a
search of faiss alone with the same index, parameters and number of candidates; cbir's own search
where there are too few vectors for an index.
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
from indexer.arrays import Pixels
from indexer.features.engines.openvino import OpenVinoEngine
from indexer.features.engines.openvino_runtime import ov
from indexer.features.regions import Region
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from indexer.optimize import update_indexes
from indexer.store.store import Store
from indexer.store.vectors.faiss_runtime import faiss
from indexer.store.vectors.ivf import SHARE_CELLS, IvfIndex
from indexer.store.vectors.local_index import LocalVectorIndex
from retrieval import query_image
from retrieval.engine import SearchEngine
from retrieval.query import Query
from ui.process import configure_images

Samples = dict[str, list[float]]
BLOCK = 10
ONE_THREAD = 0  # of faiss for a query, which is its default


def main() -> None:
    """Print a row for each kind of query."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--regions", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    configure_images()
    vectors = region_vectors(arguments.photos)
    photos = photos_in(arguments.photos)
    asked = photos[len(photos) // 2 :][-arguments.queries :]
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.create(Path(scratch) / "store", FeatureSpec.create())
        rows_an_image = len(store.spec.layout.boxes(640, 480))
        fill(store, arguments.regions // rows_an_image, vectors[: len(vectors) // 2])
        update_indexes(store)
        engine = SearchEngine(store)
        for name in ("photo", "box", "whole"):
            queries = [to_query(path, name) for path in asked]
            kind = store.find_kind("conv", queries[0].search)
            row = {"query": name, "vectors": len(engine.collection.index(kind))}
            row |= measure(engine, queries)
            text = "  ".join(f"{key} {value}" for key, value in row.items())
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
    plain: list[float] = []
    samples: Samples = defaultdict(list)
    network = PlainNetwork(engine)
    floors = []
    for query in queries:
        with watching(engine, query, defaultdict(list)) as calls:
            engine.search(query)
        floors.append(floor(calls, network))
        floors[-1]()
    # Each side in turn, a block of queries at a time, and on different ones: neither finds in the
    # cache what the other just used.
    for start in range(0, len(queries), BLOCK):
        for query in queries[start : start + BLOCK]:
            with watching(engine, query, samples):
                totals.append(timed(partial(engine.search, query)))
        for i in range(start, min(start + BLOCK, len(queries))):
            plain.append(timed(floors[i - len(queries) // 2]))
    parts = {name: 1000 * float(np.median(times)) for name, times in samples.items()}
    p50, p95 = (1000 * float(np.percentile(totals, q)) for q in (50, 95))
    return {
        "p50_ms": round(p50, 2),
        "p95_ms": round(p95, 2),
        **{f"{name}_ms": round(ms, 2) for name, ms in parts.items()},
        "rest_ms": round(p50 - sum(parts.values()), 2),
        "plain_ms": round(1000 * float(np.median(plain)), 2),
        "ratio_to_plain": round(float(np.median(totals) / np.median(plain)), 3),
    }


class PlainNetwork:
    """The network as OpenVINO compiles it by default, for one request after the other."""

    def __init__(self, engine: SearchEngine) -> None:
        inference = engine.collection.extractor.inference
        if not isinstance(inference, OpenVinoEngine):
            raise SystemExit("This benchmark compares with OpenVINO, which is not the engine here.")
        self._request = (
            ov.Core().compile_model(inference.read_model(), "CPU").create_infer_request()
        )

    def forward(self, images: Sequence[Pixels]) -> None:
        for image in images:
            self._request.infer([image[None]], share_outputs=True)


@contextmanager
def watching(engine: SearchEngine, query: Query, samples: Samples) -> Iterator[dict[str, Any]]:
    """Add the time of each part of one query to `samples`; yield what was asked of the engines."""
    calls: dict[str, Any] = {}
    spent: dict[str, float] = dict.fromkeys(("decode", "describe", "search", "metadata"), 0.0)
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

    store = engine.store
    index = engine.collection.index(store.find_kind(query.feature, query.search))
    assert isinstance(index, LocalVectorIndex)
    places: list[tuple[str, Any, str]] = [
        ("decode", query_image, "load_image"),
        ("describe", engine.collection.extractor.inference, "run"),
        ("search", index, "search_images"),
        ("search", index, "search"),
        ("metadata", store, "boxes"),
        ("metadata", store, "image_infos"),
    ]
    if index.ivf is not None:
        places.append(("search", index.ivf, "search"))
    with ExitStack() as stack:
        for part, owner, name in places:
            key = "ivf" if owner is index.ivf else name
            function = watched(part, getattr(owner, name), key)
            stack.enter_context(mock.patch.object(owner, name, function))
        yield calls
    for part, seconds in spent.items():
        samples[part].append(seconds)


def floor(calls: dict[str, Any], network: PlainNetwork) -> Callable[[], None]:
    """Return what repeats the parts a query cannot do without: a forward, and faiss's search."""
    _, (images, _), _ = calls["run"]
    if "ivf" in calls:
        method, arguments, _ = calls["ivf"]
        search = faiss_alone(method, arguments)
    else:
        method, arguments, named = calls.get("search") or calls["search_images"]
        search = partial(method, *arguments, **named)

    def repeat() -> None:
        network.forward(images)
        search()

    return repeat


def faiss_alone(method: Any, arguments: tuple[Any, ...]) -> Callable[[], object]:
    """Return the search of an `IvfIndex` by faiss with its own settings, and nothing more."""
    ivf: IvfIndex = method.__self__
    _, query, k = arguments
    options = faiss.SearchParametersIVF(nprobe=ivf.nprobe)

    def search() -> None:
        ivf.index.parallel_mode = ONE_THREAD
        ivf.index.search(query[None], ivf.candidates(k), params=options)
        ivf.index.parallel_mode = SHARE_CELLS

    return search


def timed(function: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
