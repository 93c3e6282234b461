"""Sets of copies: parts of photos, and photos hung as paintings; one right answer a query."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from indexer.arrays import Pixels
from indexer.images.decode import load_image

EVERY = 10  # photo is a query
QUALITY = 60


def write_copies(photos: Path, folder: Path) -> list[Path]:
    """Write queries made of `photos`, and the two manifests; return those."""
    files = sorted(photos.glob("*.jpg"))
    if not files:
        return []
    rng = np.random.default_rng(0)
    makers = {"crops": _crop, "paintings": _hang}
    manifests = []
    for name, make in makers.items():
        own = folder / "copies" / name
        own.mkdir(parents=True, exist_ok=True)
        queries = []
        for place in range(0, len(files), EVERY):
            pixels = load_image(files[place]).pixels
            copy = own / files[place].name
            Image.fromarray(make(pixels, rng)).save(copy, quality=QUALITY)
            answer = files[place].name
            queries.append(
                {"id": answer, "image": str(copy.resolve()), "positives": [answer], "junk": []}
            )
        manifest = {
            "name": f"copies-{name}",
            "images": str(photos.resolve()),
            "database": [file.name for file in files],
            "queries": queries,
        }
        manifests.append(own / "manifest.json")
        manifests[-1].write_text(json.dumps(manifest), "utf-8")
    return manifests


def _crop(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return 0.2 to 0.6 of the area of a photo, at another size and brightness."""
    height, width = pixels.shape[:2]
    share = np.sqrt(rng.uniform(0.2, 0.6))
    w, h = round(width * share), round(height * share)
    x, y = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
    scale = rng.uniform(0.6, 1.5)
    part = cv2.resize(pixels[y : y + h, x : x + w], None, fx=scale, fy=scale)
    return np.asarray(np.clip(part * rng.uniform(0.7, 1.2), 0, 255), np.uint8)


def _hang(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a photo seen a little from aside, on a wall of soft colours."""
    height, width = pixels.shape[:2]
    patches = rng.integers(60, 220, (5, 7, 3)).astype(np.uint8)
    outer = cv2.resize(patches, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    shift = rng.uniform(-0.08, 0.08, (4, 2)) * (width, height)
    at = rng.uniform(0.15, 0.7, 2) * (width, height)
    seen = (corners * rng.uniform(0.7, 1.1) + shift + at).astype(np.float32)
    transform = cv2.getPerspectiveTransform(corners, seen)
    size = (outer.shape[1], outer.shape[0])
    hung = cv2.warpPerspective(
        pixels, transform, size, outer, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
    )
    return np.asarray(hung, np.uint8)
