"""Images are kept for close looks at no more pixels than those need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import ExifTags, Image

from indexer.build import Builder
from indexer.errors import InvalidRegionError, UnreadableImageError
from indexer.features.extractor import FeatureExtractor
from indexer.features.regions import Region
from indexer.memory import Memory
from indexer.store.store import Store
from retrieval.describe import describe_query
from retrieval.engine import SearchEngine
from retrieval.picture import Picture
from retrieval.query import Hit, Query
from retrieval.query_image import load_query
from tests.pictures import PHOTOS, is_upright, noise, photo, quadrants


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_large_image_is_brought_down(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large{suffix}"
    quadrants(3000, 1000).save(path)
    picture = Picture.load(path, (3000, 1000), 300)
    assert picture.size == (3000, 1000)
    assert picture.pixels.shape == (300, 900, 3)
    assert is_upright(Image.fromarray(picture.pixels))


def test_a_small_image_keeps_its_pixels(tmp_path: Path) -> None:
    pixels = noise(1, 40, 30)
    Image.fromarray(pixels).save(tmp_path / "small.png")
    picture = Picture.load(tmp_path / "small.png", (40, 30), 300)
    np.testing.assert_array_equal(picture.pixels, pixels)
    np.testing.assert_array_equal(picture.crop(Region(3, 5, 20, 9)), pixels[5:9, 3:20])


def test_a_line_of_pixels_keeps_one(tmp_path: Path) -> None:
    Image.new("RGB", (9000, 1)).save(tmp_path / "line.png")
    picture = Picture.load(tmp_path / "line.png", (9000, 1), 20)
    assert picture.pixels.shape[0] == 1
    assert picture.crop(Region(8999, 0, 9000, 1)).shape == (1, 1, 3)


def test_regions_are_in_pixels_of_the_upright_original(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = quadrants(1600, 1200).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "turned.jpg", exif=exif)
    picture = Picture.load(tmp_path / "turned.jpg", (1600, 1200), 200)
    assert picture.size == (1600, 1200)
    green = picture.crop(Region(900, 100, 1500, 500)).reshape(-1, 3)
    assert (np.abs(green.astype(int) - (20, 200, 20)) < 40).all()


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image", "utf-8")
    with pytest.raises(UnreadableImageError):
        Picture.load(tmp_path / "text.jpg", (40, 30), 300)


# --- searching among large photos --------------------------------------------------------------


@pytest.fixture(scope="module")
def large(
    tmp_path_factory: pytest.TempPathFactory, lite0: FeatureExtractor
) -> Iterator[SearchEngine]:
    """Four photos of 12 megapixels in a store."""
    folder = tmp_path_factory.mktemp("large")
    for name in PHOTOS:
        photo(name).resize((4000, 3000)).save(folder / f"{name}.jpg")
    store = Store.create(folder / ".cbir", lite0.spec)
    Builder(store, lambda: lite0).run([folder])
    yield SearchEngine(store, extractor=lite0)
    store.close()


@pytest.mark.parametrize("rerank", [False, True])
def test_a_box_in_a_large_photo(large: SearchEngine, tmp_path: Path, rerank: bool) -> None:
    path = large.store.path.parent / "chelsea.jpg"
    box = Region(1000, 500, 3000, 2500)
    query = Query(path=path, box=box, search="region", rerank=rerank)
    pixels, shown = load_query(large.collection, query)
    image = Image.fromarray(pixels)
    assert shown is not None
    assert image.size[0] * image.size[1] < 4000 * 3000 / 4  # decoded at a part of its size
    assert shown.area >= large.store.spec.size_px**2
    assert shown.scaled(image.size, (4000, 3000)).iou(box) > 0.99
    Image.open(path).save(tmp_path / "chelsea.bmp")  # always read whole
    whole = replace(query, path=tmp_path / "chelsea.bmp")
    assert describe_query(large.collection, query) @ describe_query(large.collection, whole) > 0.98
    hits, others = large.search(query), large.search(whole)
    assert names(hits) == names(others)
    assert names(hits)[0] == "chelsea"
    assert hits[0].region is not None
    assert hits[0].region.iou(box) > 0.5
    for hit, other in zip(hits, others, strict=True):
        assert hit.score == pytest.approx(other.score, abs=0.02)
        assert hit.region is not None
        hit.region.require_inside(4000, 3000)


def test_pictures_that_are_kept_are_small(large: SearchEngine) -> None:
    ids = image_ids(large)
    assert len(ids) == len(PHOTOS)
    for picture in large.collection.pictures(ids):
        assert picture is not None
        assert picture.size == (4000, 3000)
        assert picture.pixels.size < 4000 * 3000 * 3 / 10


@pytest.mark.parametrize(("mebibytes", "reads"), [(512, 4), (3, 8)])
def test_pictures_are_kept_as_long_as_they_fit(
    large: SearchEngine, monkeypatch: pytest.MonkeyPatch, mebibytes: int, reads: int
) -> None:
    memory = Memory(mebibytes << 20)
    monkeypatch.setattr("indexer.memory.shared_memory", lambda: memory)
    loads = Mock(side_effect=Picture.load)
    monkeypatch.setattr(Picture, "load", loads)
    search = SearchEngine(large.store, extractor=large.collection.extractor)
    ids = image_ids(search)
    for _ in range(2):
        for image_id in ids:
            assert search.collection.pictures([image_id])[0] is not None
    assert loads.call_count == reads


def test_a_box_outside_a_large_photo(large: SearchEngine) -> None:
    path = large.store.path.parent / "chelsea.jpg"
    with pytest.raises(InvalidRegionError, match="4000 × 3000"):
        large.search(Query(path=path, box=Region(0, 0, 4001, 10), search="region"))


def image_ids(search: SearchEngine) -> list[int]:
    kind = search.store.find_kind("conv", "image")
    found: list[int] = search.collection.index(kind).live_ids().tolist()
    return found


def names(hits: list[Hit]) -> list[str]:
    return [hit.path.stem for hit in hits]
