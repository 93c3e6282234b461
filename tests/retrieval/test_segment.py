from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from indexer.arrays import FloatArray
from indexer.features.regions import Region
from retrieval.segment import Mask, segment_object
from tests.pictures import GREEN, RED, noise

SQUARE = Region(60, 40, 120, 100)


def picture(square: Region, size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, GREEN)
    image.paste(RED, square.as_tuple())
    return image


def glow(square: Region, size: tuple[int, int]) -> FloatArray:
    """Heat that is strongest in the middle of the square and fades towards its sides."""
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32) + 0.5
    dx = (2 * x - square.x0 - square.x1) / (square.x1 - square.x0)
    dy = (2 * y - square.y0 - square.y1) / (square.y1 - square.y0)
    heat: FloatArray = np.exp(-(dx**2 + dy**2)).astype(np.float32)
    return heat


def overlap(mask: Mask, box: Region) -> float:
    """Return the intersection over the union of a mask and a box."""
    true = np.zeros_like(mask)
    true[box.y0 : box.y1, box.x0 : box.x1] = True
    return float((mask & true).sum() / (mask | true).sum())


@pytest.mark.parametrize("scale", [1, 5])
def test_a_square_on_a_plain_ground(scale: int) -> None:
    square = Region(*(scale * side for side in SQUARE.as_tuple()))
    size = (200 * scale, 150 * scale)
    mask = segment_object(picture(square, size), square, glow(square, size))
    assert mask.dtype == bool
    assert overlap(mask, square) > 0.8


def test_a_box_with_room_to_spare_is_cut_down_to_the_object() -> None:
    box = SQUARE.padded(0.2, 200, 150)
    mask = segment_object(picture(SQUARE, (200, 150)), box, glow(SQUARE, (200, 150)))
    assert overlap(mask, SQUARE) > 0.8
    assert overlap(mask, SQUARE) > box.iou(SQUARE)


def test_a_box_round_the_whole_image() -> None:
    heat = glow(SQUARE, (200, 150))
    mask = segment_object(picture(SQUARE, (200, 150)), Region(0, 0, 200, 150), heat)
    assert overlap(mask, SQUARE) > 0.8


def test_an_object_that_fills_the_image() -> None:
    heat = np.ones((150, 200), np.float32)
    image = Image.fromarray(noise(1, 200, 150))
    assert segment_object(image, Region(0, 0, 200, 150), heat).all()


def test_without_heat_there_is_no_object() -> None:
    heat = np.zeros((150, 200), np.float32)
    assert not segment_object(picture(SQUARE, (200, 150)), SQUARE, heat).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (3000, 2)])
def test_images_of_odd_shapes(size: tuple[int, int]) -> None:
    whole = Region(0, 0, *size)
    mask = segment_object(Image.fromarray(noise(1, *size)), whole, glow(whole, size))
    assert mask.shape == (size[1], size[0])
    assert mask.any()


def test_a_picture_of_one_colour_is_cut_without_warnings() -> None:
    heat = np.zeros((150, 200), np.float32)
    heat[40:100, 60:120] = np.linspace(0.1, 1, 60)
    mask = segment_object(Image.new("RGB", (200, 150), "white"), Region(60, 40, 120, 100), heat)
    assert mask.any()


def test_heat_that_leaves_nothing_undecided_is_the_mask() -> None:
    heat = np.zeros((150, 200), np.float32)
    heat[40:100, 60:120] = 1
    mask = segment_object(Image.fromarray(noise(1, 200, 150)), Region(60, 40, 120, 100), heat)
    assert mask[45:95, 65:115].all()
