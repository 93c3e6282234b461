"""The one fake of the suite: an inference engine whose ranking a person can predict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from indexer.arrays import Pixels
from indexer.features.engines.protocols import Activations, T
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import PcaProjection

GRID = 4


class ColourGridEngine:
    """Gives the mean colours of a 4 x 4 grid of cells.

    The conv map (6, 4, 4) holds red, green, blue and their complements, so that pooled by SPoC it
    is the mean colour wherever it stands; fc (96,) is the same map laid flat, so that the place of
    a colour counts. `runs` counts the images that came through.
    """

    description = "colour grid"

    def __init__(self, conv: str = "head", fc: str = "fc") -> None:
        self.conv = conv
        self.fc = fc
        self.runs = 0

    def run(self, images: Sequence[Pixels], use: Callable[[int, Activations], T]) -> list[T]:
        self.runs += len(images)
        return [use(place, self.activate(image)) for place, image in enumerate(images)]

    def activate(self, image: Pixels) -> Activations:
        rows = np.array_split(image.astype(np.float32) / 255, GRID, axis=0)
        cells = [[c.mean(axis=(0, 1)) for c in np.array_split(r, GRID, axis=1)] for r in rows]
        colours = np.array(cells, np.float32).transpose(2, 0, 1)  # (3, 4, 4)
        maps = np.concatenate([colours, 1 - colours]).astype(np.float32)
        return {self.conv: maps, self.fc: maps.reshape(-1)}


def colour_spec() -> FeatureSpec:
    """A spec at which small pictures are quick: average pooling, 64 pixels, no regions."""
    return FeatureSpec.create(pooling="spoc", size_px=64, regions="none")


def region_spec(regions: str = "grid", **choices: Any) -> FeatureSpec:
    """The same with windows of half the picture's side, described by the colours alone."""
    given: dict[str, Any] = {"scales": (0.5,), "crop_px": 64, "region_taps": ("head",)} | choices
    return FeatureSpec.create(pooling="spoc", size_px=64, regions=regions, **given)


def colour_extractor(
    engine: ColourGridEngine | None = None,
    spec: FeatureSpec | None = None,
    adaptation: PcaProjection | None = None,
) -> FeatureExtractor:
    return FeatureExtractor(
        spec or colour_spec(), inference=engine or ColourGridEngine(), adaptation=adaptation
    )
