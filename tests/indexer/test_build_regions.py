from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from sqlalchemy import func, select

from indexer import build
from indexer.arrays import FloatArray, IdArray, Pixels
from indexer.features.engines.protocols import Activations
from indexer.features.extractor import ImageFeatures
from indexer.features.regions import Region
from indexer.features.windows import to_regions
from indexer.images.decode import load_image
from indexer.remove import remove_images
from indexer.run import BuildOptions
from indexer.store.catalog.tables import RegionRow
from indexer.store.statistics import summarize
from indexer.store.store import Store
from indexer.store.vectors.protocol import VectorIndex
from tests.colour_grid import ColourGridEngine, colour_extractor, region_spec
from tests.desk import Desk
from tests.pictures import BLUE, RED, is_upright, plain, quadrants, set_time, shades

WINDOWS = 1 + 9  # the whole picture, and half its side with neighbours that overlap by half


@pytest.fixture(params=["grid", "sliding"])
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A desk whose store holds regions."""
    (tmp_path / "photos").mkdir()
    store = Store.create(tmp_path / ".cbir", region_spec(request.param))
    yield Desk(tmp_path / "photos", store)
    store.close()


def count_rows(store: Store) -> int:
    with store.catalog.session() as session:
        return session.scalar(select(func.count()).select_from(RegionRow)) or 0


def region_index(desk: Desk) -> VectorIndex:
    return desk.store.vector_index(desk.store.find_kind("conv", "region"))


def ids_of(desk: Desk, name: str) -> IdArray:
    return np.array(list(desk.regions_of(name)), np.int64)


def check_windows(desk: Desk, name: str, picture: Image.Image) -> None:
    """Each vector of an image describes its window, and its region shows at least that window.

    In the grid scheme a region is as much larger as a cell of the map sees beyond its square.
    """
    regions = desk.regions_of(name)
    _, vectors = region_index(desk).rows_of_image(desk.id_of(name))
    extractor = desk.extractor()
    spec = desk.store.spec
    boxes = extractor.view(np.asarray(picture), spec.size_px, spec.layout).boxes
    windows = to_regions(boxes, *picture.size)
    assert len(windows) == len(regions)
    for window, region, vector in zip(windows, regions.values(), vectors, strict=True):
        region.require_inside(*picture.size)
        assert contains(region, window)
        assert region == window or spec.regions == "grid"
        [described] = extractor.extract([picture.crop(window.as_tuple())])
        assert isinstance(described, ImageFeatures)
        assert described.vectors["region"][0] @ vector > 0.98, window


def contains(outer: Region, inner: Region) -> bool:
    return (outer.x0 <= inner.x0 and outer.y0 <= inner.y0) and (
        inner.x1 <= outer.x1 and inner.y1 <= outer.y1
    )


def test_every_window_has_a_row_and_a_vector(desk: Desk) -> None:
    plain(desk.photos / "red.png", RED, (60, 60))
    plain(desk.photos / "wide.png", BLUE, (400, 100))
    report = desk.index()
    red, wide = desk.regions_of("red.png"), desk.regions_of("wide.png")
    assert len(red) == WINDOWS
    assert report.regions == len(red) + len(wide) == count_rows(desk.store)
    assert next(iter(red.values())) == Region(0, 0, 60, 60)
    assert next(iter(wide.values())) == Region(0, 0, 400, 100)
    desk.check_vectors()
    summary = summarize(desk.store)
    for kind in desk.store.spec.kinds:
        expected = 2 if kind.scope == "image" else report.regions
        assert summary.vectors[kind.name] == expected


def test_a_vector_describes_its_own_window(desk: Desk) -> None:
    quadrants(64, 64).save(desk.photos / "quadrants.png")
    desk.index()
    check_windows(desk, "quadrants.png", Image.open(desk.photos / "quadrants.png"))


def test_a_small_image_has_regions_of_whole_pixels(desk: Desk) -> None:
    for name, size in (("dots", (2, 1)), ("line", (300, 1)), ("post", (1, 300))):
        plain(desk.photos / f"{name}.png", RED, size)
        assert desk.index().failed == []
        for region in desk.regions_of(f"{name}.png").values():
            region.require_inside(*size)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_lie_in_the_upright_image(desk: Desk, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = desk.photos / "turned.jpg"
    stored = quadrants(480, 160)
    turns = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    for turn in turns.get(orientation, []):
        stored = stored.transpose(turn)
    stored.save(path, exif=exif, quality=95)
    upright = load_image(path).image
    assert upright.size == (480, 160)
    assert is_upright(upright)

    desk.index()
    regions = desk.regions_of("turned.jpg")
    assert max(region.x1 for region in regions.values()) == 480
    assert max(region.y1 for region in regions.values()) == 160
    check_windows(desk, "turned.jpg", upright)


def test_a_large_photo_read_small_has_regions_in_its_own_pixels(desk: Desk) -> None:
    quadrants(4000, 1000).save(desk.photos / "large.jpg")
    desk.index()
    whole, *windows = desk.regions_of("large.jpg").values()
    assert whole == Region(0, 0, 4000, 1000)
    assert len(windows) == 7
    for window, x in zip(windows, range(0, 3001, 500), strict=True):
        assert contains(window, Region(x, 0, x + 1000, 1000))
        assert window.x0 + window.x1 == 2 * x + 1000 or x in (0, 3000)


def test_ids_of_regions_are_never_used_again(desk: Desk) -> None:
    for i, colour in enumerate(shades(3)):
        plain(desk.photos / f"{i}.png", colour)
    desk.index()
    seen = set(ids_of(desk, "0.png")) | set(ids_of(desk, "1.png")) | set(ids_of(desk, "2.png"))
    assert len(seen) == count_rows(desk.store)
    last = ids_of(desk, "2.png")
    remove_images(desk.store, [desk.photos / "2.png"])
    for _ in range(2):
        assert desk.index().added == 1
        new = ids_of(desk, "2.png")
        assert new.min() > last.max()
        last = new
        desk.check_vectors()
        remove_images(desk.store, [desk.photos / "2.png"])


def test_removing_images_takes_their_regions_out(desk: Desk) -> None:
    for i, colour in enumerate(shades(4)):
        plain(desk.photos / f"{i}.png", colour)
    desk.index()
    before = count_rows(desk.store)
    gone = ids_of(desk, "3.png")
    image_id = desk.id_of("3.png")
    remove_images(desk.store, [desk.photos / "3.png"])
    assert count_rows(desk.store) == before - len(gone)
    assert desk.store.regions(gone.tolist()) == {}
    index = region_index(desk)
    _, vectors = index.rows_of_image(desk.id_of("0.png"))
    for match in index.search_images(vectors, 10):
        assert match.image_ids[0] == desk.id_of("0.png")
        assert image_id not in match.image_ids
    assert len(index) == before - len(gone)
    desk.check_vectors()


def test_the_ids_of_an_image_come_in_the_order_of_its_vectors(desk: Desk) -> None:
    for i, colour in enumerate(shades(3)):
        plain(desk.photos / f"{i}.png", colour, (60 + 40 * i, 60))
    desk.index()
    remove_images(desk.store, [desk.photos / "1.png"])
    index = region_index(desk)
    for name in ("0.png", "2.png"):
        ids, vectors = index.rows_of_image(desk.id_of(name))
        assert ids.tolist() == sorted(desk.regions_of(name))
        assert len(vectors) == len(ids)
    with pytest.raises(KeyError):
        index.rows_of_image(2)
    desk.check_vectors()


def test_an_emptied_store_finds_nothing(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    desk.index()
    remove_images(desk.store, [desk.photos])
    index = region_index(desk)
    assert (count_rows(desk.store), len(index)) == (0, 0)
    [match] = index.search_images(np.full((1, 6), 6**-0.5, np.float32), 5)
    assert match.image_ids.shape == (0,)


def test_a_changed_image_has_new_regions(desk: Desk) -> None:
    path = plain(desk.photos / "a.png", RED, (60, 60))
    set_time(path, 1_000)
    desk.index()
    before = desk.regions_of("a.png")
    plain(path, BLUE, (200, 100))
    assert desk.index().updated == 1
    after = desk.regions_of("a.png")
    assert not before.keys() & after.keys()
    assert next(iter(after.values())) == Region(0, 0, 200, 100)
    assert count_rows(desk.store) == len(after)
    desk.check_vectors()


def test_a_renamed_image_keeps_its_regions(desk: Desk) -> None:
    plain(desk.photos / "old.png", RED)
    plain(desk.photos / "other.png", BLUE)
    desk.index()
    regions, runs = desk.regions_of("old.png"), desk.engine.runs
    (desk.photos / "old.png").rename(desk.photos / "new.png")
    assert desk.index().moved == 1
    assert (desk.regions_of("new.png"), desk.engine.runs) == (regions, runs)


def test_the_same_bytes_under_two_names_have_regions_each(desk: Desk) -> None:
    shutil.copy(plain(desk.photos / "a.png", RED, (60, 60)), desk.photos / "b.png")
    desk.index()
    a, b = desk.regions_of("a.png"), desk.regions_of("b.png")
    assert list(a.values()) == list(b.values())
    assert not a.keys() & b.keys()


def test_regions_over_several_commits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PART", 2)
    monkeypatch.setattr(build, "SLIDING_PART", 2)
    monkeypatch.setattr(build, "COMMIT_IMAGES", 4)
    for i, colour in enumerate(shades(10)):
        plain(desk.photos / f"{i}.png", colour, (40 + 10 * i, 60))
    (desk.photos / "bad.png").write_text("no picture", "utf-8")
    report = desk.index(options=BuildOptions(workers=2))
    assert (report.added, len(report.failed)) == (10, 1)
    assert count_rows(desk.store) == report.regions
    desk.check_vectors()


def test_a_failed_image_has_no_regions(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    desk.index()
    before = count_rows(desk.store)
    (desk.photos / "a.png").write_text("no picture", "utf-8")
    plain(desk.photos / "b.png", BLUE)
    report = desk.index()
    assert (report.added, len(report.failed)) == (1, 1)
    assert count_rows(desk.store) == report.regions == before


class BlindToBlack(ColourGridEngine):
    """Gives nothing for black cells."""

    def activate(self, image: Pixels) -> Activations:
        activations = super().activate(image)
        return {tap: self._hide(values) for tap, values in activations.items()}

    def _hide(self, values: FloatArray) -> FloatArray:
        maps = values.reshape(6, -1).copy()
        maps[:, maps[:3].sum(axis=0) < 0.01] = 0
        return maps.reshape(values.shape)


def test_windows_without_activations_are_left_out(desk: Desk) -> None:
    desk.engine = BlindToBlack()
    image = Image.new("RGB", (64, 64))
    image.paste(RED, (0, 0, 16, 16))
    image.save(desk.photos / "corner.png")
    report = desk.index()
    assert report.failed == []
    whole, window = desk.regions_of("corner.png").values()
    assert whole == Region(0, 0, 64, 64)
    assert (window.x0, window.y0) == (0, 0)
    for kind in desk.store.spec.kinds_of("region"):
        assert len(desk.store.vector_index(kind)) == 2


def test_a_store_without_regions_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with_none = Desk(tmp_path / "photos", Store.create(tmp_path / ".cbir", region_spec("none")))
    plain(with_none.photos / "a.png", RED)
    assert with_none.index().regions == 0
    assert count_rows(with_none.store) == 0
    with_none.store.close()


def test_sliding_reads_a_photo_large_enough_for_its_windows() -> None:
    sliding = region_spec("sliding", scales=(0.5, 0.25), crop_px=64)
    assert colour_extractor(spec=sliding).pixels_needed == 256
    assert colour_extractor(spec=region_spec("grid")).pixels_needed == 64
