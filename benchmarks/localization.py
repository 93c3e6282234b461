"""How exactly `localize` finds things in the scenes among the sample photos, and how fast.

Each is found by the network alone, and with geometry asked first.

Run: python -m benchmarks.localization
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from indexer.features.extractor import FeatureExtractor
from indexer.features.regions import Region
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.localize import localize
from retrieval.query import Query

SAMPLE = Path(__file__).parent.parent / "data" / "sample"
QUERIES = 5  # photos of each subject


def main() -> None:
    """Print a line for each scene and subject, and the means, in both ways."""
    with tempfile.TemporaryDirectory() as scratch:
        spec = FeatureSpec.create()
        engine = SearchEngine(Store.create(Path(scratch), spec), extractor=FeatureExtractor(spec))
        for verify in (False, True):
            print("with geometry" if verify else "by the network alone")
            measure(engine, verify=verify)


def measure(engine: SearchEngine, *, verify: bool) -> None:
    """Look for every subject in every scene that holds it, and print how exactly it was found."""
    scenes = json.loads((SAMPLE / "manifest.json").read_text("utf-8"))["scenes"]
    photos = SAMPLE / "images"
    ious: list[float] = []
    seconds: list[float] = []
    proved = 0
    for scene, boxes in scenes.items():
        target = load_image(photos / scene).image
        for subject, box in boxes.items():
            found = []
            for number in range(1, QUERIES + 1):
                path = photos / f"{subject}-{number}.jpg"
                asked = Query(path=path, search="region", verify=verify)
                started = time.perf_counter()
                match = localize(engine.collection, asked, target)
                seconds.append(time.perf_counter() - started)
                found.append(match.box.iou(Region(*box)))
                proved += match.proof is not None
            ious += found
            print(f"  {scene:28} {subject:10} " + " ".join(f"{iou:.2f}" for iou in found))
    print(
        f"  mean IoU {np.mean(ious):.3f}, IoU >= 0.5 {np.mean(np.array(ious) >= 0.5):.3f}, "
        f"{proved} of {len(ious)} proved, median {np.median(seconds):.2f} s"
    )


if __name__ == "__main__":
    main()
