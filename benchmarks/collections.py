"""Large collections for measuring, made of what a folder of photos holds, or of nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from indexer.arrays import FloatArray, unit_rows
from indexer.build import Builder
from indexer.features.extractor import FeatureExtractor, ImageFeatures
from indexer.features.spec import FeatureSpec
from indexer.images.facts import ImageFacts
from indexer.images.find import find_images
from indexer.store.records import Entry, FileState
from indexer.store.store import Store
from indexer.store.vectors.local_store import LocalVectorStore

JITTER = 0.35
PART = 5_000  # images of a commit
CENTRES = 500  # round which the vectors of whole images lie
SIZES = {"conv": 1280, "fc": 1000}
WIDTH, HEIGHT = 640, 480


def photos_in(folder: Path) -> list[Path]:
    """Return the photos in a folder; stops the benchmark where there are none."""
    photos = [Path(entry.path) for entry in find_images(folder)]
    if not photos:
        raise SystemExit(f"There are no photos in {folder}.")
    return photos


def reencode(photos: list[Path], count: int, folder: Path, long_side: int | None = None) -> None:
    """Write `count` JPEGs into `folder`: the photos in turn, each time at another quality.

    `long_side` in pixels is what they are enlarged or reduced to, if given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        with Image.open(photos[i % len(photos)]) as image:
            copy = image.convert("RGB")
        if long_side is not None:
            scale = long_side / max(copy.size)
            size = (max(1, round(copy.width * scale)), max(1, round(copy.height * scale)))
            copy = copy.resize(size, Image.Resampling.BICUBIC)
        copy.save(folder / f"{i:06d}.jpg", quality=80 + i // len(photos) % 15)


def region_vectors(photos: Path) -> FloatArray:
    """Return the region vectors (N, D) of the photos, in order of the photos."""
    with tempfile.TemporaryDirectory() as scratch:
        spec = FeatureSpec.create()
        store = Store.create(Path(scratch) / "store", spec)
        Builder(store, lambda: FeatureExtractor(spec)).run([photos])
        assert isinstance(store.vectors, LocalVectorStore)
        rows = store.vectors.rows("region")
        return rows.take(np.arange(len(rows)))


def jitter(base: FloatArray, count: int, seed: int) -> FloatArray:
    """Return `count` unit vectors like `base` (N, D).

    Each is one of them with the difference of two others added, which keeps their spectrum.
    """
    random = np.random.default_rng(seed)
    one, two, three = (base[random.integers(len(base), size=count)] for _ in range(3))
    return unit_rows(one + JITTER * (two - three))


def mosaics(photos: list[Path], count: int, folder: Path) -> None:
    """Write `count` JPEGs of 4000 x 3000 pixels into `folder`, each a mosaic of 48 photos.

    Unlike enlarged photos they have the detail, and the bytes, of what a camera of that size takes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    side = 500
    tiles: dict[Path, Image.Image] = {}
    for i in range(count):
        sheet = Image.new("RGB", (4000, 3000))
        for place in range(48):
            path = photos[(7 * i + place) % len(photos)]
            if path not in tiles:
                with Image.open(path) as image:
                    tiles[path] = image.convert("RGB").resize((side, side))
            sheet.paste(tiles[path], (place % 8 * side, place // 8 * side))
        sheet.save(folder / f"{i:06d}.jpg", quality=90)


def fill(store: Store, images: int, regions: FloatArray | None = None, *, first: int = 0) -> None:
    """Commit images that do not exist, with vectors clustered as those of photos are.

    Where the store has regions, theirs are jittered ones of `regions` (N, D). `first` is the number
    of the first image, so that a store can grow.
    """
    random = np.random.default_rng(first)
    root = store.add_root(store.path.parent / "photos")
    centres = {
        kind: np.maximum(random.normal(size=(CENTRES, size)), 0).astype(np.float32)
        for kind, size in SIZES.items()
    }
    nothing: FloatArray = np.empty((0, 4), np.float32)
    boxes = nothing if regions is None else store.spec.layout.boxes(WIDTH, HEIGHT)
    facts = ImageFacts(WIDTH, HEIGHT, "JPEG", taken_at=None, camera=None)
    with store.writing():
        for start in range(first, first + images, PART):
            count = min(PART, first + images - start)
            drawn = {
                kind: unit_rows(
                    centre[random.integers(CENTRES, size=count)]
                    + 0.5 * np.abs(random.normal(size=(count, centre.shape[1]))).astype(np.float32)
                )
                for kind, centre in centres.items()
            }
            parts = [nothing] * count
            if regions is not None:
                parts = np.split(jitter(regions, count * len(boxes), seed=start), count)
            entries = [
                Entry(
                    FileState(root, f"{i // 1000}/{i}.jpg", 1, 1, i.to_bytes(32, "big")),
                    facts,
                    ImageFeatures(
                        {"conv": conv[None], "fc": fc[None]}
                        | ({} if regions is None else {"region": part}),
                        boxes,
                    ),
                )
                for i, conv, fc, part in zip(
                    range(start, start + count), drawn["conv"], drawn["fc"], parts, strict=True
                )
            ]
            store.commit(entries)
