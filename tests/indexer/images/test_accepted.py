"""Pictures of a store that are over the limit, read again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.errors import ImageTooLargeError
from indexer.features.regions import Region
from indexer.images.accepted import load_accepted
from indexer.keypoints import keypoints_of
from indexer.run import BuildOptions
from indexer.store.store import Store
from retrieval.picture import Picture
from retrieval.query import Query
from retrieval.query_image import load_query
from tests.colour_grid import region_spec
from tests.desk import Desk
from tests.oversize import COLOUR, HEIGHT, LIMIT, PLAIN, WIDTH, check, pillow
from ui.gallery import Gallery
from ui.thumbnails import draw_thumbnail


@pytest.fixture
def _low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the usual limit one over which test pictures are."""
    monkeypatch.setattr("indexer.images.accepted.MAX_PIXELS", LIMIT)


@pytest.fixture
def region_desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "photos").mkdir()
    with closing(Store.create(tmp_path / ".cbir", region_spec("grid"))) as store:
        yield Desk(tmp_path / "photos", store)


@pytest.mark.usefixtures("_low_limit")
def test_they_are_reduced_or_else_read_as_they_were() -> None:
    size = (WIDTH, HEIGHT)
    check(load_accepted(PLAIN["tiff of tiles"], size))
    png = pillow(COLOUR, "PNG")
    assert np.array_equal(load_accepted(png, size).pixels, COLOUR)
    for known in ((0, 0), (WIDTH, HEIGHT - 1)):
        with pytest.raises(ImageTooLargeError):
            load_accepted(png, known)


@pytest.mark.usefixtures("_low_limit")
@pytest.mark.parametrize("kind", ["jpeg", "jpeg 2000", "tiff of tiles"])
def test_an_image_indexed_at_a_smaller_size_works_as_any_other(
    region_desk: Desk, kind: str
) -> None:
    desk = region_desk
    path = desk.photos / ("a.jpg" if kind == "jpeg" else "a.tif" if "tiff" in kind else "a.jp2")
    path.write_bytes(PLAIN[kind])
    assert desk.index(options=BuildOptions(max_pixels=LIMIT)).failed[0][0] == str(path)
    options = BuildOptions(max_pixels=LIMIT, oversize="reduce")
    assert desk.index(options=options).added == 1
    info = desk.store.find_image(path)
    assert info is not None
    assert (info.width, info.height) == (WIDTH, HEIGHT)

    engine = desk.search()
    box = Region(30, 20, 260, 180)
    query = Query(
        path=path, box=box, search="region", max_pixels=LIMIT, oversize="reduce", verify=True
    )
    [hit] = engine.search(query)
    assert hit.region is not None
    hit.region.require_inside(WIDTH, HEIGHT)
    assert hit.region.iou(box) > 0.5

    pixels, part = load_query(engine.collection, Query(image_id=info.id, box=box))
    assert pixels.shape[0] * pixels.shape[1] <= LIMIT
    assert part is not None
    part.require_inside(pixels.shape[1], pixels.shape[0])
    assert part.x0 / pixels.shape[1] == pytest.approx(30 / WIDTH, abs=0.02)

    picture = Picture.load(path, (WIDTH, HEIGHT), 500)
    assert picture.size == (WIDTH, HEIGHT)
    assert picture.pixels.size <= 3 * LIMIT
    found = keypoints_of(desk.store, info)
    assert found is not None
    assert found.size == (WIDTH, HEIGHT)
    assert draw_thumbnail(path, 60, box).width == 60
    assert Gallery(desk.store).picture(info.id, 60).width == 60


@pytest.mark.usefixtures("_low_limit")
def test_an_image_indexed_under_a_raised_limit_is_read_again(desk: Desk) -> None:
    path: Path = desk.photos / "a.png"
    Image.fromarray(COLOUR).save(path)
    assert desk.index().added == 1
    info = desk.store.find_image(path)
    assert info is not None
    assert keypoints_of(desk.store, info) is not None
    assert Gallery(desk.store).picture(info.id, 1200).size == (WIDTH, HEIGHT)
