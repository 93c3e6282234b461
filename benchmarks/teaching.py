"""What labels are worth: average precision of a query alone, and after thumbs on its first hits.

Run: python -m benchmarks.teaching MANIFEST... [--thumbs 0 1 3 5 10] [--every 4] [--search region]
A simulated user labels the best unlabelled hits of each query, right or wrong by the manifest. The
images labelled are left out of the scores of all rounds, so that only what was learned counts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.regions import build
from indexer.errors import CbirError
from indexer.sources.place import is_below, path_below
from retrieval.engine import SearchEngine
from retrieval.evaluation.manifest import Manifest
from retrieval.evaluation.metrics import average_precision
from retrieval.query import Hit, Query
from retrieval.relevance_feedback import RelevanceFeedback


def main() -> None:
    """Print mean average precision by number of labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--thumbs", nargs="+", type=int, default=[0, 1, 3, 5, 10])
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--search", default="region", choices=["image", "region"])
    arguments = parser.parse_args()
    for path in arguments.manifests:
        manifest = Manifest.read(path)
        with tempfile.TemporaryDirectory() as scratch:
            store, _ = build(manifest, "grid", Path(scratch) / "store", "auto")
            engine = SearchEngine(store)
            rows = measure(engine, manifest, arguments)
        for thumbs, (score, ms) in rows.items():
            row = {"set": manifest.name, "search": arguments.search, "labels": thumbs}
            print(json.dumps(row | {"mAP": round(score, 3), "ms": round(ms, 1)}), flush=True)


def measure(
    engine: SearchEngine, manifest: Manifest, arguments: argparse.Namespace
) -> dict[int, tuple[float, float]]:
    """Return mean average precision and median milliseconds by number of labels."""
    feedback = RelevanceFeedback(engine.collection)
    scores: dict[int, list[float]] = {thumbs: [] for thumbs in arguments.thumbs}
    times: dict[int, list[float]] = {thumbs: [] for thumbs in arguments.thumbs}
    for asked in manifest.queries[:: arguments.every]:
        query = Query(path=asked.image, box=asked.box, k=None, search=arguments.search)
        try:
            ranked = engine.search(query)
        except CbirError as error:
            raise SystemExit(f"{asked.id}: {error}") from error
        ids = {
            path_below(manifest.folder, hit.path): hit.image_id
            for hit in ranked
            if is_below(hit.path, manifest.folder)
        }
        good = {ids[path] for path in asked.positives if path in ids}
        skipped = {ids[path] for path in asked.junk if path in ids}
        shown = [hit.image_id for hit in ranked if hit.image_id not in skipped]
        labelled = set(shown[: max(arguments.thumbs)])
        if not good - labelled:
            continue
        for thumbs in arguments.thumbs:
            labels = {image_id: image_id in good for image_id in shown[:thumbs]}
            started = time.perf_counter()
            hits = feedback.search(query, labels) if labels else ranked
            times[thumbs].append(1000 * (time.perf_counter() - started))
            scores[thumbs].append(precision(hits, good - labelled, skipped | labelled))
    return {
        thumbs: (float(np.mean(scores[thumbs])), float(np.median(times[thumbs])))
        for thumbs in arguments.thumbs
    }


def precision(hits: list[Hit], positives: set[int], skipped: set[int]) -> float:
    """Return the average precision of hits, those to skip left out."""
    order = [hit.image_id for hit in hits if hit.image_id not in skipped]
    return average_precision([image_id in positives for image_id in order], len(positives))


if __name__ == "__main__":
    main()
