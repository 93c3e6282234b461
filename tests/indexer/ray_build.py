"""Indexes a folder on two Ray workers, with the colour grid or the default network.

python -m tests.indexer.ray_build STORE PHOTOS [FUSE...]: the worker that finds a file of these,
deletes it and kills itself, if it has the colour grid.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unittest import mock

from indexer import build
from indexer.arrays import Pixels
from indexer.build import index_photos
from indexer.errors import CbirError
from indexer.features.engines.protocols import Activations
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.run import BuildOptions
from indexer.store.store import Store
from tests.colour_grid import ColourGridEngine, colour_extractor


class Mortal(ColourGridEngine):
    """Kills its process where there is a fuse, once it has described a few images."""

    def __init__(self, fuses: Sequence[Path]) -> None:
        super().__init__()
        self.fuses = fuses

    def activate(self, image: Pixels) -> Activations:
        for fuse in self.fuses:
            if self.runs > 10 and fuse.exists():
                fuse.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().activate(image)


def load(spec: FeatureSpec, fuses: Sequence[Path]) -> FeatureExtractor:
    if spec == FeatureSpec.create():
        return FeatureExtractor(spec)
    return colour_extractor(Mortal(fuses), spec)


if __name__ == "__main__":
    place, photos, *fuses = map(Path, sys.argv[1:])
    store = Store.open(place)
    options = BuildOptions(ray="auto", workers=2, pages="all")
    try:
        with mock.patch.object(build, "PART", 4):  # so that there are several batches
            report = index_photos(store, [photos], partial(load, store.spec, fuses), options)
    except CbirError as error:
        sys.exit(f"Error: {error}")
    store.close()
    sys.stdout.write(json.dumps({"added": report.added, "failed": len(report.failed)}))
