from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.features.regions import Region
from retrieval.query import Quad
from tests.pictures import BLUE, is_upright, plain, quadrants
from ui.thumbnails import draw_thumbnail


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 320), (120, 80)), ((320, 480), (80, 120)), ((60, 40), (60, 40)), ((1, 1), (1, 1))],
)
def test_a_thumbnail_fits_and_is_never_enlarged(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert draw_thumbnail(plain(tmp_path / "a.png", BLUE, size), 120).size == expected


def test_a_thumbnail_shows_the_picture(tmp_path: Path) -> None:
    quadrants(1600, 1200).save(tmp_path / "a.jpg")
    assert is_upright(draw_thumbnail(tmp_path / "a.jpg", 160))
    assert is_upright(draw_thumbnail((tmp_path / "a.jpg").read_bytes(), 160))


def test_a_box_is_drawn_where_it_lies_in_the_original(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.jpg", BLUE, (1600, 1200))
    thumbnail = draw_thumbnail(path, 160, Region(400, 300, 1200, 900))

    def is_marked(x: int, y: int) -> bool:
        red, _, _ = thumbnail.getpixel((x, y))  # type: ignore[misc]
        return bool(red > 150)

    assert thumbnail.size == (160, 120)
    assert all(is_marked(x, y) for x, y in ((40, 60), (119, 60), (80, 30), (80, 89)))
    assert not any(is_marked(x, y) for x, y in ((80, 60), (20, 60), (150, 60), (80, 10), (80, 110)))


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (1, 1)])
def test_a_box_on_extreme_shapes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = plain(tmp_path / "a.png", BLUE, size)
    for box in (Region(0, 0, *size), Region(size[0] - 1, size[1] - 1, *size)):
        thumbnail = draw_thumbnail(path, 100, box)
        assert max(thumbnail.size) <= 100


def test_a_file_that_is_gone_becomes_a_plate(tmp_path: Path) -> None:
    plate = draw_thumbnail(tmp_path / "gone.jpg", 100, Region(5, 5, 9, 9))
    assert isinstance(plate, Image.Image)
    assert plate.size == (100, 75)


def test_a_box_beyond_the_image_is_drawn_at_its_edge(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.png", BLUE, (40, 30))
    for box in (Region(10, 10, 500, 500), Region(60, 60, 10**30, 90)):
        assert draw_thumbnail(path, 160, box).size == (40, 30)


def test_every_outline_is_drawn(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.png", BLUE, (400, 300))
    quads: list[Quad] = [((x, 20), (x + 60, 20), (x + 60, 80), (x, 80)) for x in (20, 220)]
    drawn = draw_thumbnail(path, 400, Region(300, 200, 390, 290), quads)
    green = np.asarray(drawn)[:, :, 1] > 150  # outlines are green with a white edge
    assert [bool(green[20:80, x : x + 60].any()) for x in (20, 220)] == [True, True]
    assert not green[200:280, 300:380].any()  # the box gives way to them
