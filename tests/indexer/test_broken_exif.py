from __future__ import annotations

import struct
from io import BytesIO

import pytest
from PIL import ExifTags, Image

from indexer.images.decode import load_image
from indexer.images.facts import BAD_EXIF
from tests.pictures import is_upright, quadrants


def jpeg(exif: bytes) -> bytes:
    out = BytesIO()
    quadrants().save(out, "JPEG", exif=exif)
    return out.getvalue()


def healthy_exif() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Model] = "Maker Model"
    exif[ExifTags.Base.DateTime] = "2024:05:06 07:08:09"
    exif[ExifTags.Base.XResolution] = 72.0
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2023:01:02 03:04:05"
    return exif.tobytes()


def tiff_entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")[:4]


def exif_of(*entries: bytes) -> bytes:
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0)
    return b"Exif\0\0II*\0\x08\0\0\0" + directory


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage that is no TIFF header",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        healthy_exif()[:30],
        exif_of(tiff_entry(ExifTags.Base.Orientation, 2, 4, b"six")),
        exif_of(tiff_entry(ExifTags.Base.Orientation, 3, 1, struct.pack("<H", 99))),
        exif_of(tiff_entry(ExifTags.Base.Make, 2, 2**31, struct.pack("<I", 2**30))),
    ],
    ids=["bare", "no header", "far offset", "cut", "text", "99", "long text"],
)
def test_a_broken_block_leaves_the_picture_as_it_is(exif: bytes) -> None:
    loaded = load_image(jpeg(exif))
    assert is_upright(loaded.image)
    assert (loaded.facts.width, loaded.facts.height) == (48, 32)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0garbage that is no TIFF header",
        b"Exif\0\0II*\0\xff\xff\xff\x7f" + bytes(20),
        healthy_exif()[:30],
    ],
    ids=["no header", "far offset", "cut"],
)
def test_a_broken_block_is_a_warning(exif: bytes) -> None:
    assert load_image(jpeg(exif)).warnings == (BAD_EXIF,)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", exif_of(), healthy_exif()])
def test_a_good_block_or_none_is_no_warning(exif: bytes) -> None:
    assert load_image(jpeg(exif)).warnings == ()


def test_a_clock_that_was_never_set_is_no_warning() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "0000:00:00 00:00:00"
    loaded = load_image(jpeg(exif.tobytes()))
    assert (loaded.warnings, loaded.facts.taken_at) == ((), None)


@pytest.mark.parametrize(
    "entry",
    [
        tiff_entry(ExifTags.Base.ExifOffset, 4, 1, struct.pack("<I", 2**31)),
        tiff_entry(ExifTags.Base.XResolution, 5, 1, struct.pack("<I", 2**20)),
        tiff_entry(ExifTags.Base.DateTime, 3, 1, struct.pack("<H", 7)),
        tiff_entry(ExifTags.Base.GPSInfo, 2, 4, b"abc"),
    ],
    ids=["ExifOffset", "XResolution", "DateTime", "GPSInfo"],
)
def test_a_turned_photo_with_one_broken_tag_still_comes_out_upright(entry: bytes) -> None:
    orientation = tiff_entry(ExifTags.Base.Orientation, 3, 1, struct.pack("<H", 6))
    out = BytesIO()
    turned = quadrants().transpose(Image.Transpose.ROTATE_90)
    turned.save(out, "JPEG", exif=exif_of(orientation, entry))

    loaded = load_image(out.getvalue())

    assert is_upright(loaded.image)
    assert loaded.facts.width == loaded.image.width == 48


def test_no_single_byte_of_the_block_makes_the_picture_unreadable() -> None:
    exif = healthy_exif()
    whole = jpeg(exif)
    start = whole.index(exif[:14])
    for place in range(start + 6, start + len(exif)):
        for value in (0x00, 0xFF):
            changed = bytearray(whole)
            changed[place] = value
            assert load_image(bytes(changed)).image.mode == "RGB"
