"""Which pooling, tap and input size serve whole-image retrieval best: mAP on labelled photos.

Run: python -m benchmarks.pooling MANIFEST... [--sizes 224 256 288] [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from indexer.arrays import FloatArray, unit_vector
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.engines.load import load_engine
from indexer.features.engines.protocols import Activations, activations_of
from indexer.features.extractor import FeatureExtractor
from indexer.features.pooling import POOLINGS, pool
from indexer.features.regions import Region
from indexer.features.registry import get_backbone
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from retrieval.evaluation.manifest import Manifest
from retrieval.evaluation.metrics import average_precision

Vectors = dict[str, list[FloatArray]]


def describe(
    extractor: FeatureExtractor, items: Sequence[tuple[Path, Region | None]], taps: Sequence[str]
) -> Vectors:
    """Return the vectors of images, or boxes in them, by `tap/pooling`."""

    def prepare(item: tuple[Path, Region | None]) -> np.ndarray:
        pixels = load_image(item[0]).image
        cut = pixels.crop(item[1].as_tuple()) if item[1] else pixels
        return extractor.resize(cut, extractor.spec.size_px)

    vectors: Vectors = {}
    with ThreadPoolExecutor(2) as threads:
        for start in range(0, len(items), 64):
            inputs = list(threads.map(prepare, items[start : start + 64]))
            for activations in activations_of(extractor.inference, inputs):
                for name, vector in pool_all(activations, taps).items():
                    vectors.setdefault(name, []).append(vector)
    return vectors


def pool_all(activations: Activations, taps: Sequence[str]) -> dict[str, FloatArray]:
    """Return the unit vector of every tap and pooling."""
    vectors = {}
    for tap in taps:
        values = activations[tap]
        if values.ndim == 1:
            vectors[tap] = unit_vector(values)
        else:
            for pooling in POOLINGS:
                vectors[f"{tap}/{pooling}"] = unit_vector(pool(values, pooling, 3.0))
    return vectors


def measure(manifest: Manifest, backbone_name: str, size_px: int) -> dict[str, float]:
    """Return mAP by `tap/pooling` at one input size."""
    backbone = get_backbone(backbone_name)
    taps = list(backbone.taps)
    spec = FeatureSpec.create(backbone_name, size_px=size_px)
    extractor = FeatureExtractor(spec, inference=load_engine(backbone, taps))
    database = describe(extractor, [(manifest.folder / p, None) for p in manifest.database], taps)
    queries = describe(extractor, [(q.image, q.box) for q in manifest.queries], taps)
    return {
        name: mean_average_precision(manifest, np.stack(queries[name]) @ np.stack(vectors).T)
        for name, vectors in database.items()
    }


def mean_average_precision(manifest: Manifest, scores: FloatArray) -> float:
    """Return mAP of `scores` (queries, database)."""
    entries = np.array(manifest.database)
    results = []
    for query, row in zip(manifest.queries, scores, strict=True):
        ranked = [e for e in entries[np.argsort(-row, kind="stable")] if e not in query.junk]
        relevant = [entry in query.positives for entry in ranked]
        results.append(average_precision(relevant, len(query.positives)))
    return float(np.mean(results))


def main() -> None:
    """Print a table, or one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--sizes", nargs="+", type=int, default=[224, 256, 288, 320])
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    for path in arguments.manifests:
        manifest = Manifest.read(path)
        for size_px in arguments.sizes:
            for name, value in measure(manifest, arguments.backbone, size_px).items():
                row = {"set": manifest.name, "size_px": size_px, "vector": name, "mAP": value}
                if arguments.json:
                    print(json.dumps(row), flush=True)
                else:
                    print(f"{manifest.name:24} {size_px:4} px  {name:16} {value:.4f}", flush=True)


if __name__ == "__main__":
    main()
