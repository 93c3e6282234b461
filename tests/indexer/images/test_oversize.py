"""Pictures over the pixel limit, read at a smaller size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ExifTags, Image

from indexer.errors import ImageError, ImageTooLargeError
from indexer.images.decode import load_image
from tests.oversize import (
    COLOUR,
    GREY,
    HEIGHT,
    LIMIT,
    PLAIN,
    REMEDY,
    WIDTH,
    check,
    jpeg2000,
    likeness,
    pillow,
    pyramid,
    reduced,
    tiff,
)
from tests.pictures import is_upright, profile_of, quadrants, swapped_profile


@pytest.mark.parametrize("kind", PLAIN)
def test_each_kind_looks_as_it_does_at_full_size(kind: str) -> None:
    data = PLAIN[kind]
    full = load_image(data).pixels
    assert full.shape == COLOUR.shape
    check(reduced(data), full)


@pytest.mark.parametrize("kind", PLAIN)
def test_each_kind_is_refused_unless_asked_for(kind: str) -> None:
    with pytest.raises(ImageTooLargeError, match=REMEDY):
        load_image(PLAIN[kind], max_pixels=LIMIT)


@pytest.mark.parametrize("kind", ["jpeg", "jpeg 2000", "tiff of tiles", "deep tiff"])
def test_a_picture_within_the_limit_is_not_reduced(kind: str) -> None:
    loaded = reduced(PLAIN[kind], WIDTH * HEIGHT)
    assert np.array_equal(loaded.pixels, load_image(PLAIN[kind]).pixels)


@pytest.mark.parametrize("kind", ["jpeg", "jpeg 2000", "tiff of tiles"])
def test_no_more_pixels_than_asked_for(kind: str) -> None:
    width, height = reduced(PLAIN[kind], LIMIT * 2, at_least=30).image.size
    assert 30**2 <= width * height < 4 * 30**2 + 300
    box = (100, 100, 200, 150)
    width, height = reduced(PLAIN[kind], LIMIT * 2, at_least=20, part=box).image.size
    assert 20**2 <= width * height / (WIDTH * HEIGHT) * 5000 < 4 * 20**2 + 300
    assert np.prod(reduced(PLAIN[kind], LIMIT, at_least=200, part=box).image.size) <= LIMIT


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "BMP", "GIF", "PPM"])
def test_other_formats_are_refused(file_format: str) -> None:
    data = pillow(COLOUR, file_format)
    with pytest.raises(ImageTooLargeError, match=r"raise it with --max-megapixels$"):
        load_image(data, max_pixels=LIMIT)
    with pytest.raises(ImageTooLargeError, match=f"smaller size: it is {file_format}; raise it"):
        reduced(data)


def single_strip(width: int, height: int) -> bytes:
    return tiff(np.zeros((height, width), np.uint8), rowsperstrip=height, compression="zlib")


@pytest.mark.parametrize(
    ("data", "limit", "because"),
    [
        (pillow(COLOUR, "JPEG"), 900, "at least 38 × 26 pixels"),
        (pillow(COLOUR, "JPEG", progressive=True), LIMIT, "progressive JPEG"),
        (jpeg2000(COLOUR, resolutions=2), 1000, "at least 150 × 101 pixels"),
        (jpeg2000(COLOUR.astype(np.uint16) << 8), LIMIT, "more than 8 bits"),
        (
            tiff(np.moveaxis(COLOUR, 2, 0), planarconfig="separate", photometric="rgb"),
            LIMIT,
            "channels are stored apart",
        ),
        (tiff(GREY, photometric="cfa"), LIMIT, "colours are of a kind"),
        (tiff(GREY.astype(np.complex64)), LIMIT, "complex values are not a picture"),
        (single_strip(5000, 4000), LIMIT, "strips are of 20 megapixels"),
    ],
)
def test_what_cannot_be_reduced_says_why(data: bytes, limit: int, because: str) -> None:
    with pytest.raises(ImageTooLargeError, match=because):
        reduced(data, limit)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "TIFF", "tifffile", "pyramid"])
def test_turned_pictures_come_out_upright(file_format: str, orientation: int) -> None:
    turns = [None, 0, 3, 1, 5, 2, 6, 4]  # Pillow's, by which a camera stores each orientation
    turn = turns[orientation - 1]
    upright = quadrants(WIDTH, 200)
    stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
    tag = (ExifTags.Base.Orientation, 3, 1, orientation, True)
    if file_format in ("JPEG", "TIFF"):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        data = pillow(stored, file_format, exif=exif.tobytes())
    elif file_format == "tifffile":
        data = tiff(np.asarray(stored), tile=(32, 32), extratags=[tag])
    else:
        data = pyramid(np.asarray(stored), extratags=[tag])
    loaded = reduced(data)
    assert (loaded.facts.width, loaded.facts.height) == upright.size
    assert loaded.image.width > loaded.image.height
    assert is_upright(loaded.image)


@pytest.mark.parametrize("file_format", ["JPEG", "JPEG in tiles", "TIFF"])
def test_profiles_are_applied(file_format: str) -> None:
    swapped = swapped_profile()  # each has the second in which it was made
    for profile in (swapped, profile_of("LAB"), b"no profile"):
        if file_format == "JPEG in tiles":
            data = tiff(COLOUR, tile=(64, 64), compression="jpeg", iccprofile=profile)
        else:
            data = pillow(COLOUR, file_format, icc_profile=profile)
        full, small = load_image(data), reduced(data)
        check(small, full.pixels)
        assert small.warnings == full.warnings
        is_swapped = likeness(small, COLOUR[:, :, ::-1]) > likeness(small, COLOUR)
        assert is_swapped == (profile == swapped)


@pytest.mark.parametrize(
    "kind",
    ["tiff of tiles", "compressed tiff of strips", "tiff of one strip", "jpeg 2000", "deep tiff"],
)
def test_cut_or_overwritten_a_file_never_escapes_as_another_error(kind: str) -> None:
    data = PLAIN[kind]
    random = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(data)
        for place in random.integers(0, len(data), 20):
            broken[place] = random.integers(256)
        cut = data[: random.integers(1, len(data))]
        head = data[:8] + bytes(random.integers(0, 256, 8, dtype=np.uint8)) + data[16:]
        for part in (bytes(broken), cut, head):
            try:
                reduced(part)
            except ImageError:
                continue
