"""Indexes a folder with the colour grid, slowly and in small commits: made to be killed.

python -m tests.indexer.slow_build STORE PHOTOS
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from unittest import mock

from indexer import build
from indexer.arrays import Pixels
from indexer.features.engines.protocols import Activations
from indexer.store.store import Store
from tests.colour_grid import ColourGridEngine, colour_extractor


class SlowEngine(ColourGridEngine):
    def activate(self, image: Pixels) -> Activations:
        time.sleep(0.02)
        return super().activate(image)


if __name__ == "__main__":
    store, photos = map(Path, sys.argv[1:])
    with mock.patch.multiple(build, PART=8, COMMIT_IMAGES=16):
        build.Builder(Store.open(store), lambda: colour_extractor(SlowEngine())).run([photos])
