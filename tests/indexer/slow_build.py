"""Indexes a folder with the colour grid, slowly and in small commits: made to be killed.

python -m tests.indexer.slow_build STORE PHOTOS
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from indexer import build, pipeline
from indexer.features.engine import Activations
from indexer.images import Pixels
from indexer.store.store import Store
from tests.colour_grid import ColourGridEngine, colour_extractor


class SlowEngine(ColourGridEngine):
    def run(self, images: Sequence[Pixels]) -> list[Activations]:
        time.sleep(0.02)
        return super().run(images)


if __name__ == "__main__":
    pipeline.WINDOW = 8
    build.COMMIT_IMAGES = 16
    store, photos = map(Path, sys.argv[1:])
    build.Builder(Store.open(store), lambda: colour_extractor(SlowEngine())).run([photos])
