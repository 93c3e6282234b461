"""How often an indexed photo is first when it is asked for by itself, whole or by boxes in it.

Run: python -m benchmarks.own_photos MANIFEST [--stores FOLDER] [--photos 200] [--boxes 5]
MANIFEST is a labelled set, whose photos are indexed. It prints a row for each mode of the
scoreboard.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scoreboard import MODES, open_store
from indexer.features.regions import Region
from retrieval.engine import SearchEngine
from retrieval.evaluation.manifest import Manifest
from retrieval.query import Query

SIDES = (0.2, 0.7)  # of a box, as shares of the photo's


def draw_box(random: np.random.Generator, width: int, height: int) -> Region:
    """Return a random box in a photo of this size."""
    w, h = (max(1, round(side * random.uniform(*SIDES))) for side in (width, height))
    x, y = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
    return Region(x, y, x + w, y + h)


def count_firsts(
    engine: SearchEngine, image_ids: list[int], boxes: int, options: dict[str, Any]
) -> tuple[int, int]:
    """Return how many photos come first, whole and by their boxes."""
    infos = engine.store.image_infos(image_ids)
    random = np.random.default_rng(0)
    whole = parts = 0
    for image_id in image_ids:
        info = infos[image_id]
        drawn = [draw_box(random, info.width, info.height) for _ in range(boxes)]
        for box in (None, *drawn):
            [hit] = engine.search(Query(path=info.path, box=box, k=1, **options))
            whole += box is None and hit.image_id == image_id
            parts += box is not None and hit.image_id == image_id
    return whole, parts


def main() -> None:
    """Print a row for each mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--stores", type=Path)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--boxes", type=int, default=5)
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    arguments = parser.parse_args()
    manifest = Manifest.read(arguments.manifest)
    with tempfile.TemporaryDirectory() as scratch:
        store = open_store(manifest, (arguments.stores or Path(scratch)) / manifest.name)
        engine = SearchEngine(store)
        ids = sorted(
            info.id
            for entry in manifest.database
            if (info := store.find_image(manifest.folder / entry)) is not None
        )
        chosen = ids[:: max(1, len(ids) // arguments.photos)][: arguments.photos]
        for mode in arguments.modes:
            whole, parts = count_firsts(engine, chosen, arguments.boxes, MODES[mode])
            tried = arguments.boxes * len(chosen)
            print(
                f"{mode:18} first: {whole} of {len(chosen)} photos, {parts} of {tried} boxes",
                flush=True,
            )
        store.close()


if __name__ == "__main__":
    main()
