"""Features of labelled images, of several taps of a backbone in one pass."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, Pixels, unit_vector
from indexer.choices import EngineName, Pooling
from indexer.errors import DegenerateFeatureError, ImageError, InvalidRegionError
from indexer.features.backbones import Backbone
from indexer.features.engines.load import choose_engine, load_engine
from indexer.features.engines.openvino_runtime import choose_precision
from indexer.features.engines.protocols import Activations, InferenceEngine
from indexer.features.pooling import pool
from indexer.features.preprocess import input_size
from indexer.features.regions import Region
from indexer.images.decode import load_image
from indexer.images.resize import resize_pixels
from indexer.progress import Progress, no_progress
from retrieval.evaluation.feature_cache import Arrays, FeatureCache, key_of

AT_ONCE = 16  # images in memory
KEPT_AT_ONCE = 256  # whose features go into one file of the cache
GEM_P = 3.0
REASONS = "reasons"  # why images failed, in a file of the cache


class Crop(NamedTuple):
    """A box of an image, in pixels of the upright original."""

    path: Path
    box: Region


@dataclass(frozen=True)
class TapFeatures:
    """Unit vectors (N, D) of images by the name of what they are; `failed` by path and reason.

    The rows of images that failed are zero, and not `usable` (N,).
    """

    vectors: dict[str, FloatArray]
    usable: npt.NDArray[np.bool_]
    failed: list[tuple[str, str]]


@dataclass(frozen=True)
class TapChoice:
    """What images are described by: conv `taps`, pooled in each way, and fc taps as they are.

    Images enter at about `size_px`² pixels, as `FeatureExtractor` has them.
    """

    backbone: Backbone
    taps: tuple[str, ...]
    poolings: tuple[Pooling, ...]
    size_px: int
    engine: EngineName = "auto"

    def names(self) -> list[str]:
        """Return the names of the features, in the order of the network."""
        names = []
        for tap in self.taps:
            is_fc = self.backbone.tap(tap).kind == "fc"
            names += [tap] if is_fc else [f"{tap} {pooling}" for pooling in self.poolings]
        return names


def describe_taps(
    paths: Sequence[Path | Crop],
    choice: TapChoice,
    *,
    cache: FeatureCache | None = None,
    progress: Progress = no_progress,
) -> TapFeatures:
    """Describe images, or crops, by taps of a backbone, `KEPT_AT_ONCE` of them at a time.

    What is in the `cache` is not computed again.
    """
    inference: InferenceEngine | None = None
    found: list[TapFeatures] = []
    failed = 0
    for start in range(0, len(paths), KEPT_AT_ONCE):
        part = paths[start : start + KEPT_AT_ONCE]
        kept = cache and cache.find(_key(part, choice))
        if not kept:
            inference = inference or load_engine(choice.backbone, choice.taps, choice.engine)
            kept = _describe_part(part, choice, inference, _shifted(progress, start, len(paths)))
            if cache:
                cache.keep(_key(part, choice), kept)
        found.append(_unpacked(part, kept))
        failed += len(found[-1].failed)
        progress("Describing", start + len(part), len(paths), failed=failed)
    return _joined(found)


def _key(items: Sequence[Path | Crop], choice: TapChoice) -> str:
    paths = [item.path if isinstance(item, Crop) else item for item in items]
    boxes = [item.box.as_tuple() if isinstance(item, Crop) else None for item in items]
    engine = choose_engine(choice.backbone) if choice.engine == "auto" else choice.engine
    precision = choose_precision() if engine == "openvino" else ""
    backbone = choice.backbone
    settings = (boxes, choice.taps, choice.poolings, choice.size_px, engine, precision)
    return key_of(paths, backbone.name, backbone.weights, *settings)


def _describe_part(
    paths: Sequence[Path | Crop], choice: TapChoice, inference: InferenceEngine, progress: Progress
) -> Arrays:
    """Return the rows of the images that can be used, and why (N,) the others cannot."""
    rows: dict[str, list[FloatArray]] = {name: [] for name in choice.names()}
    reasons: list[str] = []

    def describe(_: int, activations: Activations) -> dict[str, FloatArray] | str:
        try:
            return _vectors_of(choice, activations)
        except DegenerateFeatureError as error:
            return str(error)

    for loaded in _loaded(paths, choice.backbone, choice.size_px):
        good = [pixels for pixels in loaded if not isinstance(pixels, str)]
        described = iter(inference.run(good, describe))
        for pixels in loaded:
            vectors = pixels if isinstance(pixels, str) else next(described)
            reasons.append(vectors if isinstance(vectors, str) else "")
            if not isinstance(vectors, str):
                for name, vector in vectors.items():
                    rows[name].append(vector)
        progress("Describing", len(reasons), len(paths), failed=sum(map(bool, reasons)))
    stacked = {name: np.array(vectors, np.float32) for name, vectors in rows.items()}
    return stacked | {REASONS: np.array(reasons)}


def _unpacked(paths: Sequence[Path | Crop], kept: Arrays) -> TapFeatures:
    """Return the features of part of the images: rows of zeros for those that failed."""
    reasons = kept[REASONS].tolist()
    usable = np.array([not reason for reason in reasons], bool)
    vectors = {}
    for name, rows in kept.items():
        if name != REASONS:
            spread = np.zeros((len(paths), *rows.shape[1:]), np.float32)
            spread[usable] = rows
            vectors[name] = spread
    failed = [(_name(item), reason) for item, reason in zip(paths, reasons, strict=True) if reason]
    return TapFeatures(vectors, usable, failed)


def _name(item: Path | Crop) -> str:
    return f"{item.path}, box {item.box}" if isinstance(item, Crop) else str(item)


def _joined(parts: Sequence[TapFeatures]) -> TapFeatures:
    """Join parts; those of which no image could be used have no dimensions, and get them here."""
    vectors = {}
    for name in parts[0].vectors:
        rows = [part.vectors[name] for part in parts]
        width = max(r.shape[1] if r.ndim == 2 else 0 for r in rows)
        vectors[name] = np.concatenate(
            [r if r.ndim == 2 else np.zeros((len(r), width), np.float32) for r in rows]
        )
    return TapFeatures(
        vectors,
        np.concatenate([part.usable for part in parts]),
        [failure for part in parts for failure in part.failed],
    )


def _shifted(progress: Progress, start: int, whole: int) -> Progress:
    """Return a progress for a part that begins at `start` of a whole."""

    def report(step: str, done: int, total: int, *, failed: int = 0) -> None:
        del total
        progress(step, start + done, whole, failed=failed)

    return report


def _vectors_of(choice: TapChoice, activations: Activations) -> dict[str, FloatArray]:
    found = {}
    for tap in choice.taps:
        if choice.backbone.tap(tap).kind == "fc":
            found[tap] = unit_vector(activations[tap])
        else:
            for pooling in choice.poolings:
                found[f"{tap} {pooling}"] = unit_vector(pool(activations[tap], pooling, GEM_P))
    return found


def _loaded(
    paths: Iterable[Path | Crop], backbone: Backbone, size_px: int
) -> Iterator[list[Pixels | str]]:
    """Yield a few images at a time at the network's size, or why they cannot be read."""

    def load(item: Path | Crop) -> Pixels | str:
        try:
            if isinstance(item, Crop):
                whole = load_image(item.path).pixels
                item.box.require_inside(whole.shape[1], whole.shape[0])
                pixels = whole[item.box.y0 : item.box.y1, item.box.x0 : item.box.x1]
            else:
                pixels = load_image(item, at_least=size_px).pixels
        except ImageError as error:
            return error.reason
        except InvalidRegionError as error:
            return str(error)
        size = input_size(pixels.shape[1], pixels.shape[0], size_px, backbone)
        return resize_pixels(pixels, size)

    remaining = iter(paths)
    with ThreadPoolExecutor(os.cpu_count() or 2, "decode") as threads:
        while part := list(islice(remaining, AT_ONCE)):
            yield list(threads.map(load, part))
