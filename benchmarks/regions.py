"""Region search on labelled photos: how well, how exactly, how fast and how large.

Run: python -m benchmarks.regions MANIFEST... [--schemes grid sliding] [--every 1] [--json]
     [--k 100] [--engine openvino torch] [--index exact balanced compact]
It indexes the photos by each scheme into a temporary store, and asks every query, or every nth of
them, of whole images, of regions, and of regions with re-ranking.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from indexer.build import Builder
from indexer.choices import EngineName
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.optimize import update_indexes
from indexer.run import IndexReport
from indexer.store.statistics import summarize
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.evaluation.manifest import Manifest
from retrieval.evaluation.scoring import score_answers
from retrieval.query import Hit, Query

COLUMNS = ("mAP", "box_iou>=0.5", "pointing", "regions", "index_s", "query_ms", "bytes_an_image")


@dataclass(frozen=True)
class Mode:
    """A way to search a store."""

    name: str
    options: dict[str, Any]


MODES = (
    Mode("whole", {"search": "image"}),
    Mode("regions", {"search": "region"}),
    Mode("regions, --rerank", {"search": "region", "rerank": True}),
)


def build(
    manifest: Manifest, scheme: str, folder: Path, name: EngineName
) -> tuple[Store, IndexReport]:
    """Index the photos of a manifest."""
    spec = FeatureSpec.create(regions=scheme)
    store = Store.create(folder, spec)
    extractor = FeatureExtractor(spec, engine=name)
    places = sorted({(manifest.folder / entry).parent for entry in manifest.database})
    tops = [p for p in places if not any(o in p.parents for o in places)]
    return store, Builder(store, lambda: extractor).run(tops)


def ask(
    engine: SearchEngine, manifest: Manifest, mode: Mode, every: int, k: int | None
) -> dict[str, Any]:
    """Ask the queries and score the answers: all images in order, or the first `k`."""
    answers: dict[str, list[Hit]] = {}
    started = time.perf_counter()
    for query in manifest.queries[::every]:
        answers[query.id] = engine.search(
            Query(path=query.image, box=query.box, k=k, **mode.options)
        )
    elapsed_s = time.perf_counter() - started
    scores = score_answers(manifest, answers).as_dict()
    return scores | {"query_ms": round(1000 * elapsed_s / len(answers), 1)}


def main() -> None:
    """Print a row for each set, scheme and mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--schemes", nargs="+", default=["grid", "sliding"])
    modes = [mode.name for mode in MODES]
    parser.add_argument("--modes", nargs="+", choices=modes, default=modes)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--k", type=int, help="hits a query; all images where it is not given")
    parser.add_argument("--engine", nargs="+", default=["auto"])
    parser.add_argument("--index", nargs="+", default=["auto"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not arguments.json:
        print(f"{'set, scheme, engine, index, search':60} " + " ".join(f"{c:>14}" for c in COLUMNS))
    for path in arguments.manifests:
        manifest = Manifest.read(path)
        for scheme, name in product(arguments.schemes, arguments.engine):
            with tempfile.TemporaryDirectory() as scratch:
                store, report = build(manifest, scheme, Path(scratch) / "store", name)
                summary = summarize(store)
                sizes = {
                    "regions": round(report.regions / max(1, summary.images), 1),
                    "index_s": round(report.elapsed_s, 1),
                    "bytes_an_image": summary.bytes_on_disk // max(1, summary.images),
                }
                for form in arguments.index:
                    store.index_type = form
                    update_indexes(store)
                    engine = SearchEngine(store, engine=name)
                    for mode in (m for m in MODES if m.name in arguments.modes):
                        row = ask(engine, manifest, mode, arguments.every, arguments.k) | sizes
                        labels = [manifest.name, scheme, name, form, mode.name]
                        if arguments.json:
                            names = ("set", "scheme", "engine", "index", "search")
                            print(json.dumps(dict(zip(names, labels, strict=True)) | row))
                        else:
                            cells = " ".join(f"{row[c]!s:>14}" for c in COLUMNS)
                            print(f"{', '.join(labels):60} {cells}", flush=True)


if __name__ == "__main__":
    main()
