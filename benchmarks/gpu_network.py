"""The torch engine's network alone: how near half precision is, and whether compiling it pays."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from indexer.arrays import Pixels
from indexer.features.engines.torch import TorchEngine
from indexer.features.extractor import FeatureExtractor, ImageFeatures
from indexer.features.registry import get_backbone
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image

PASSES = {"cuda": 200, "cpu": 3}  # that are timed, in a row
COMPILED = {"compiled": "default", "compiled, as a graph": "reduce-overhead"}
"""Modes of torch.compile."""

Row = dict[str, Any]
Forward = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]


def make_extractor(device: torch.device, precision: torch.dtype | None = None) -> FeatureExtractor:
    """Return an extractor of the default spec with the torch engine on a device."""
    spec = FeatureSpec.create()
    backbone = get_backbone(spec.backbone)
    engine = TorchEngine(backbone, spec.taps, device=device, precision=precision)
    return FeatureExtractor(spec, inference=engine)


def engine_of(extractor: FeatureExtractor) -> TorchEngine:
    """Return the engine of an extractor that `make_extractor` made."""
    assert isinstance(extractor.inference, TorchEngine)
    return extractor.inference


def load_pixels(extractor: FeatureExtractor, path: Path) -> Pixels:
    """Read and decode a file as the pipeline does."""
    return load_image(path, at_least=extractor.pixels_needed).pixels


def compare_precisions(photos: Sequence[Path], extractor: FeatureExtractor) -> Row:
    """Return the smallest cosine by kind to vectors of the processor in float32."""
    reference = make_extractor(torch.device("cpu"), torch.float32)
    smallest: dict[str, float] = {}
    images = [load_pixels(extractor, path) for path in photos]
    for one, other in zip(extractor.extract(images), reference.extract(images), strict=True):
        assert isinstance(one, ImageFeatures)
        assert isinstance(other, ImageFeatures)
        for kind, rows in one.vectors.items():
            lowest = float((rows * other.vectors[kind]).sum(axis=1).min())
            smallest[kind] = min(lowest, smallest.get(kind, 1.0))
    names = {f"cosine_{kind}": round(value, 5) for kind, value in smallest.items()}
    return {"part": "precision", "images": len(images), **names}


def compare_calls(photos: Sequence[Path], extractor: FeatureExtractor) -> Iterator[Row]:
    """Time the network on the device, on the commonest shape of the photos."""
    engine = engine_of(extractor)
    size_px = extractor.spec.size_px
    inputs = [extractor.resize(load_pixels(extractor, path), size_px) for path in photos]
    [(shape, _)] = Counter(image.shape for image in inputs).most_common(1)
    image = next(image for image in inputs if image.shape == shape)
    batch = torch.from_numpy(np.stack([image] * engine.batch)).to(engine.device)
    plain = tuple(output.clone() for output in run_once(engine.network, batch))
    calls: dict[str, Forward] = {"engine": engine.forward, "plain": engine.network}
    for name, mode in COMPILED.items():
        calls[name] = torch.compile(engine.network, mode=mode)
    for name, forward in calls.items():
        started = time.perf_counter()
        found = run_once(forward, batch)
        first_pass_s = time.perf_counter() - started
        is_equal = all(torch.equal(a, b) for a, b in zip(found, plain, strict=True))
        yield {
            "network": name,
            "images_per_s": round(engine.batch / time_passes(forward, batch), 1),
            "first_pass_s": round(first_pass_s, 2),
            "is_bit_equal_to_plain": is_equal,
        }


def run_once(forward: Forward, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Run the network, and wait for it."""
    with torch.inference_mode():
        outputs = forward(batch)
    if batch.device.type == "cuda":
        torch.cuda.synchronize()
    return outputs


def time_passes(forward: Forward, batch: torch.Tensor) -> float:
    """Return the seconds of a pass, of many in a row; a few before that do not count."""
    passes = PASSES[batch.device.type]
    for _ in range(3):
        run_once(forward, batch)
    started = time.perf_counter()
    with torch.inference_mode():
        for _ in range(passes):
            forward(batch)
    run_once(forward, batch)
    return (time.perf_counter() - started) / (passes + 1)
