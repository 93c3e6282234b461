"""Features of labelled images, of several taps of a backbone in one pass."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, Pixels, unit_vector
from indexer.choices import EngineName, Pooling
from indexer.errors import DegenerateFeatureError, ImageError
from indexer.features.backbones import Backbone
from indexer.features.engines.load import load_engine
from indexer.features.engines.protocols import Activations
from indexer.features.pooling import pool
from indexer.features.preprocess import input_size
from indexer.images.decode import load_image
from indexer.images.resize import resize_pixels
from indexer.progress import Progress, no_progress

AT_ONCE = 16  # images in memory
GEM_P = 3.0
BINS = 8  # of each colour, in the histogram
COLOURS = "colour histogram"


@dataclass(frozen=True)
class TapFeatures:
    """Unit vectors (N, D) of images by the name of what they are; `failed` by path and reason.

    The rows of images that failed are zero, and not `usable` (N,).
    """

    vectors: dict[str, FloatArray]
    usable: npt.NDArray[np.bool_]
    failed: list[tuple[str, str]]


def describe_taps(
    paths: Sequence[Path],
    backbone: Backbone,
    taps: Sequence[str],
    poolings: Sequence[Pooling],
    *,
    size_px: int,
    engine: EngineName = "auto",
    progress: Progress = no_progress,
) -> TapFeatures:
    """Describe images by taps of a backbone: conv taps pooled in each way, fc taps as they are.

    A histogram of colours, which needs no network, comes with them. Images enter at about
    `size_px`² pixels, as `FeatureExtractor` has them.
    """
    inference = load_engine(backbone, taps, engine)
    rows: dict[str, list[FloatArray]] = {}
    failed: list[tuple[str, str]] = []
    usable = np.zeros(len(paths), bool)
    done = 0

    def describe(_: int, activations: Activations) -> dict[str, FloatArray] | str:
        try:
            return _vectors_of(backbone, activations, taps, poolings)
        except DegenerateFeatureError as error:
            return str(error)

    for part in _loaded(paths, backbone, size_px):
        good = [pixels for _, pixels in part if not isinstance(pixels, str)]
        described = iter(inference.run(good, describe))
        for path, pixels in part:
            found = pixels if isinstance(pixels, str) else next(described)
            if isinstance(found, str):
                failed.append((str(path), found))
            elif not isinstance(pixels, str):
                usable[done] = True
                for name, vector in (found | {COLOURS: colour_histogram(pixels)}).items():
                    rows.setdefault(name, []).append(vector)
            done += 1
        progress("Describing", done, len(paths), failed=len(failed))
    return TapFeatures({n: _spread(v, usable) for n, v in rows.items()}, usable, failed)


def colour_histogram(pixels: Pixels) -> FloatArray:
    """Return the unit vector (512,) of the roots of a joint histogram of red, green and blue."""
    cells = (pixels >> 5).reshape(-1, 3).astype(np.int64) @ np.array([BINS * BINS, BINS, 1])
    counts = np.bincount(cells, minlength=BINS**3)
    return unit_vector(np.sqrt(counts).astype(np.float32))


def _vectors_of(
    backbone: Backbone, activations: Activations, taps: Sequence[str], poolings: Sequence[Pooling]
) -> dict[str, FloatArray]:
    found = {}
    for tap in taps:
        if backbone.tap(tap).kind == "fc":
            found[tap] = unit_vector(activations[tap])
        else:
            for pooling in poolings:
                found[f"{tap} {pooling}"] = unit_vector(pool(activations[tap], pooling, GEM_P))
    return found


def _loaded(
    paths: Iterable[Path], backbone: Backbone, size_px: int
) -> Iterator[list[tuple[Path, Pixels | str]]]:
    """Yield a few images at a time at the network's size, or why they cannot be read."""

    def load(path: Path) -> tuple[Path, Pixels | str]:
        try:
            pixels = load_image(path, at_least=size_px).pixels
        except ImageError as error:
            return path, error.reason
        size = input_size(pixels.shape[1], pixels.shape[0], size_px, backbone)
        return path, resize_pixels(pixels, size)

    remaining = iter(paths)
    with ThreadPoolExecutor(os.cpu_count() or 2, "decode") as threads:
        while part := list(islice(remaining, AT_ONCE)):
            yield list(threads.map(load, part))


def _spread(rows: Sequence[FloatArray], usable: npt.NDArray[np.bool_]) -> FloatArray:
    """Return rows at the places of usable images, zeros elsewhere."""
    vectors = np.zeros((len(usable), len(rows[0])), np.float32)
    vectors[usable] = np.stack(rows)
    return vectors
