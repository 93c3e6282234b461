"""Folders indexed in shards, and joined, as the tests of joining use them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from indexer.build import index_photos
from indexer.features.spec import FeatureSpec
from indexer.join import join_stores
from indexer.parts import open_or_create_whole, open_parts
from indexer.run import BuildOptions, IndexReport
from indexer.shard import Shard
from indexer.store.store import Store
from tests.colour_grid import region_spec
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, RED, coloured, noise

SHARDS = 4


def fill(photos: Path) -> None:
    """Put all sorts of files into a folder: several folders, pages, bad, blank and equal ones."""
    for number in range(26):
        folder = photos / ("", "b", "b/c", "B", "a b")[number % 5]
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(noise(number, 60 + number, 90 - number))
        picture.save(folder / f"{number}.png")
    first, *others = (coloured(colour, (60, 40)) for colour in (RED, GREEN, BLUE))
    first.save(photos / "b" / "pages.tif", save_all=True, append_images=others)
    shutil.copy(photos / "0.png", photos / "b" / "same.png")
    Image.new("RGB", (40, 40), "white").save(photos / "blank.png")
    (photos / "bad.jpg").write_text("milk, bread", "utf-8")
    (photos / "B" / "empty.png").touch()
    (photos / "notes.txt").write_text("x", "utf-8")


def build(
    photos: Path, store: Path, shard: Shard | None = None, spec: FeatureSpec | None = None
) -> IndexReport:
    """Index a folder into a store, which is created if there is none."""
    opened = Store.open(store) if store.exists() else Store.create(store, spec or region_spec())
    desk = Desk(photos, opened)
    options = BuildOptions(shard=shard, pages="all")
    report = index_photos(opened, [photos], desk.extractor, options)
    opened.close()
    return report


def build_parts(photos: Path, folder: Path, shards: int = SHARDS) -> list[Path]:
    places = [folder / f"part{number}" for number in range(1, shards + 1)]
    for number, place in enumerate(places, 1):
        build(photos, place, Shard(number, shards))
    return places


@contextmanager
def joined(place: Path, parts: list[Path]) -> Iterator[tuple[Store, IndexReport]]:
    with open_parts(parts) as opened, open_or_create_whole(place, opened) as whole:
        yield whole, join_stores(whole, opened)
