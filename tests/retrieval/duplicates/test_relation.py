"""Relations of pictures with what was made of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from indexer.features.local import find_local_features
from retrieval.duplicates.relation import (
    Compared,
    MissingPictureError,
    Relation,
    relate,
    relate_plain,
)
from retrieval.picture import Picture
from tests.pictures import photo

SIZE = (480, 360)


def compared(image_id: int, picture: Image.Image) -> Compared:
    pixels = np.asarray(picture.convert("RGB"))
    return Compared(image_id, find_local_features(pixels), lambda: Picture(pixels, picture.size))


def relation(one: Image.Image, other: Image.Image) -> Relation | None:
    return relate(compared(1, one), compared(2, other), mirrored=(False, True))


COFFEE = photo("coffee").resize(SIZE)
WHOLE = {
    "half": (COFFEE.resize((240, 180)), 0, False),
    "grey": (ImageOps.grayscale(COFFEE), 0, False),
    "bright": (ImageEnhance.Brightness(COFFEE).enhance(1.3), 0, False),
    "mirrored": (ImageOps.mirror(COFFEE), 0, True),
    "flipped": (ImageOps.flip(COFFEE), 180, True),
    "turned": (COFFEE.transpose(Image.Transpose.ROTATE_270), 90, False),
    "turned back": (COFFEE.transpose(Image.Transpose.ROTATE_90), 270, False),
    "upside down": (COFFEE.transpose(Image.Transpose.ROTATE_180), 180, False),
}


@pytest.mark.parametrize("form", WHOLE)
def test_the_same_picture_and_how_it_lies(form: str) -> None:
    other, turned, mirrored = WHOLE[form]
    found = relation(COFFEE, other)
    assert found is not None
    assert (found.kind, found.pair) == ("picture", (1, 2))
    assert (found.turned, found.mirrored) == (turned, mirrored)
    assert found.agreement > 0.98
    assert found.quad is None


@pytest.mark.parametrize("order", [1, -1])
def test_a_cut_is_a_part_and_its_place_is_told(order: int) -> None:
    cut = COFFEE.crop((120, 60, 420, 300))
    one, other = (COFFEE, cut)[::order]
    found = relation(one, other)
    assert found is not None
    assert found.kind == "part"
    assert found.pair == ((2, 1) if order == 1 else (1, 2))
    assert found.quad is not None
    corners = [(120, 60), (420, 60), (420, 300), (120, 300)]
    assert np.abs(np.array(found.quad) - corners).max() < 6


def test_a_pasted_picture_is_a_part_and_its_ground_is_no_copy() -> None:
    ground = photo("rocket").resize(SIZE)
    pasted = ground.copy()
    pasted.paste(COFFEE.resize((200, 150)), (200, 150))
    found = relation(COFFEE, pasted)
    assert found is not None
    assert (found.kind, found.pair) == ("part", (1, 2))
    assert found.quad is not None
    assert np.abs(np.array(found.quad[0]) - (200, 150)).max() < 6
    assert relation(ground, pasted) is None


def test_other_photos_are_not_related() -> None:
    assert relation(COFFEE, photo("chelsea").resize(SIZE)) is None


def test_two_parts_that_overlap_are_not_related() -> None:
    assert relation(COFFEE.crop((0, 0, 330, 360)), COFFEE.crop((150, 0, 480, 360))) is None


def test_a_picture_that_is_gone_cannot_be_compared() -> None:
    gone = Compared(2, compared(2, COFFEE).features, lambda: None)
    with pytest.raises(MissingPictureError) as error:
        relate(compared(1, COFFEE), gone, mirrored=(False,))
    assert error.value.image_id == 2


def drawing() -> Image.Image:
    """A soft shape that has next to no keypoints, and is not symmetrical."""
    y, x = np.mgrid[0:180, 0:240] / 60
    tones = 255 * np.exp(-((x - 1) ** 2) - (y - 1) ** 2 / 3 - 0.3 * x * y)
    return Image.fromarray(tones.astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize("form", list(Image.Transpose))
def test_plain_pictures_are_compared_in_eight_positions(form: Image.Transpose) -> None:
    other = drawing().transpose(form)
    found = relate_plain(compared(1, drawing()), compared(2, other))
    assert found is not None
    assert found.kind == "picture"
    is_mirrored = form.name.startswith(("FLIP", "TRANS"))
    assert found.mirrored == is_mirrored
    placed = ImageOps.mirror(drawing()) if found.mirrored else drawing()
    placed = placed.rotate(-found.turned, expand=True)
    assert np.abs(np.asarray(placed, int) - np.asarray(other, int)).max() <= 1


def test_other_plain_pictures_are_not_the_same() -> None:
    even = Image.new("RGB", (240, 180), (90, 90, 90))
    shifted = Image.fromarray(np.roll(np.asarray(drawing()), 90, axis=1))
    assert relate_plain(compared(1, drawing()), compared(2, even)) is None
    assert relate_plain(compared(1, even), compared(2, even)) is None
    assert relate_plain(compared(1, drawing()), compared(2, shifted)) is None
