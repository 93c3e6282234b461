"""The map as a page draws it: its order and its sheets."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from indexer.errors import InvalidQueryError
from retrieval.collection_map import map_collection
from tests.desk import Desk
from tests.pictures import plain, shades
from ui.drawn_map import CELL_PX, CELLS, draw_sheet, drawn_map, morton
from ui.running_jobs import JOBS
from ui.shown import Shown, shown


@pytest.fixture
def page(desk: Desk) -> Iterator[Shown]:
    for number, colour in enumerate(shades(14)):
        plain(desk.photos / f"{number}.png", colour, (60, 20 + 10 * number))
    desk.index()
    yield shown(desk.store.path)
    JOBS.close(60)


def test_nothing_is_drawn_before_it_is_laid_out(page: Shown) -> None:
    assert drawn_map(page) is None


def test_all_images_lie_on_a_plane_of_side_one(page: Shown) -> None:
    found = map_collection(page.engine.collection)
    drawn = drawn_map(page)
    assert drawn is not None
    assert sorted(drawn.image_ids) == sorted(found.image_ids)
    assert drawn.points.min() == 0
    assert drawn.points.max() == 1
    place = int(np.flatnonzero(drawn.image_ids == found.image_ids[3])[0])
    span = found.points.max(axis=0) - found.points.min(axis=0)
    expected = (found.points[3] - found.points.min(axis=0)) / span
    np.testing.assert_allclose(drawn.points[place], expected, rtol=1e-5)
    info = page.gallery.info(int(drawn.image_ids[place]))
    assert drawn.shapes[place] == pytest.approx(info.width / info.height)


def test_neighbours_follow_each_other() -> None:
    across, down = np.meshgrid(np.linspace(0, 0.99, 8), np.linspace(0, 0.99, 8))
    points = np.stack([across.ravel(), down.ravel()], axis=1).astype(np.float32)
    ordered = points[np.argsort(morton(points))]
    for quarter in np.split(ordered, 4):  # each a square of a quarter of the plane
        assert (np.ptp(quarter, axis=0) < 0.5).all()


def test_a_sheet_shows_each_picture_in_its_cell(page: Shown) -> None:
    map_collection(page.engine.collection)
    drawn = drawn_map(page)
    assert drawn is not None
    assert drawn.sheets == 1
    sheet = Image.open(io.BytesIO(draw_sheet(page, drawn, 0)))
    assert sheet.size == (CELLS * CELL_PX, CELLS * CELL_PX)
    for place, image_id in enumerate(drawn.image_ids.tolist()):
        picture = page.gallery.picture(image_id, CELL_PX)
        corner = (CELL_PX * (place % CELLS), CELL_PX * (place // CELLS))
        there = sheet.crop((*corner, corner[0] + picture.width, corner[1] + picture.height))
        apart = np.asarray(there, np.int16)[4:-4, 4:-4] - np.asarray(picture, np.int16)[4:-4, 4:-4]
        assert np.abs(apart).mean() < 8
    empty = np.asarray(sheet)[-CELL_PX:, -CELL_PX:]
    assert np.ptp(empty) <= 2


def test_a_sheet_that_is_not_there(page: Shown) -> None:
    map_collection(page.engine.collection)
    drawn = drawn_map(page)
    assert drawn is not None
    with pytest.raises(InvalidQueryError, match="has 1 sheets, counted from 0; not 1"):
        draw_sheet(page, drawn, 1)
