"""Pictures of scanners, microscopes, designers and cameras, as a person sees them."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image, ImageDraw

from indexer.arrays import Pixels
from indexer.errors import DamagedImageError, ImageTooLargeError, UnreadableImageError
from indexer.images.decode import load_image
from indexer.images.ground import GROUNDS
from indexer.images.pages import THUMBNAIL
from indexer.images.png import check_png
from tests.pictures import profile_of, quadrants, swapped_profile
from tests.sample import SAMPLE

COLOUR = load_image(SAMPLE / "images" / "cat-1.jpg").pixels
GREY = np.asarray(Image.fromarray(COLOUR).convert("L"))


def likeness(pixels: Pixels, original: npt.NDArray[Any]) -> float:
    if original.ndim == 2:
        original = np.repeat(original[:, :, None], 3, axis=2)
    return float(np.corrcoef(pixels.ravel().astype(float), original.ravel().astype(float))[0, 1])


def tiff(values: npt.NDArray[Any], **options: Any) -> bytes:
    out = BytesIO()
    tifffile.imwrite(out, values, **options)
    return out.getvalue()


# --- value range ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int16", "int32", "float16", "float64"])
@pytest.mark.parametrize("original", [GREY, COLOUR], ids=["grey", "colour"])
def test_tiffs_of_every_type(original: npt.NDArray[Any], dtype: str) -> None:
    photometric = "rgb" if original.ndim == 3 else "minisblack"
    values = (original.astype(float) * 4 + 40).astype(dtype)
    loaded = load_image(tiff(values, photometric=photometric))
    assert likeness(loaded.pixels, original) > 0.99
    assert (loaded.facts.width, loaded.facts.height) == (original.shape[1], original.shape[0])
    assert loaded.facts.format == "TIFF"


@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits"])
def test_compressed_tiffs(compression: str) -> None:
    data = tiff(COLOUR.astype(np.uint16) << 2, compression=compression, photometric="rgb")
    assert likeness(load_image(data).pixels, COLOUR) > 0.999


def test_a_hot_pixel_does_not_blacken_a_scan() -> None:
    values = GREY.astype(np.uint16) * 2 + 100
    values[7, 9] = 65535
    assert likeness(load_image(tiff(values)).pixels, GREY) > 0.99


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_white_is_zero_at_every_depth(dtype: Any) -> None:
    values = (255 - GREY).astype(dtype) * (np.iinfo(dtype).max // 255)
    loaded = load_image(tiff(values, photometric="miniswhite"))
    assert likeness(loaded.pixels, GREY) > 0.999


def test_channels_that_are_stored_apart() -> None:
    data = tiff(
        np.moveaxis(COLOUR.astype(np.uint16) * 257, 2, 0),
        photometric="rgb",
        planarconfig="separate",
    )
    assert likeness(load_image(data).pixels, COLOUR) > 0.999


def test_declared_pixels_without_data_show_the_ground() -> None:
    values = GREY.astype(np.int16) * 4
    values[:80] = -32768
    data = tiff(values, extratags=[(42113, "s", 0, "-32768", True)])
    pixels = load_image(data).pixels
    assert len(np.unique(pixels[:80])) == 1
    assert likeness(pixels[80:], GREY[80:]) > 0.99


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_deep_tiffs_come_out_upright(orientation: int) -> None:
    turn = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    stored = np.rot90(GREY.astype(np.uint16) * 16, turn)
    loaded = load_image(tiff(stored, extratags=[(274, "H", 1, orientation, True)]))
    assert loaded.pixels.shape[:2] == GREY.shape
    assert (loaded.facts.width, loaded.facts.height) == (GREY.shape[1], GREY.shape[0])
    assert likeness(loaded.pixels, GREY) > 0.99


def plain_ppm(values: npt.NDArray[Any]) -> bytes:
    numbers = " ".join(map(str, values.ravel()))
    return f"P3\n# a comment\n{values.shape[1]} {values.shape[0]}\n1023\n{numbers}\n".encode()


def test_sixteen_bit_colour_of_other_formats() -> None:
    values = COLOUR.astype(np.uint16) << 2  # 10 of 16 bits
    bgr = np.ascontiguousarray(values[:, :, ::-1])
    files = {
        "png": imagecodecs.png_encode(values),
        "ppm": np.asarray(cv2.imencode(".ppm", bgr)[1]).tobytes(),
        "ppm as text": plain_ppm(values),
        "jp2": imagecodecs.jpeg2k_encode(values, level=0, codecformat="jp2"),
        "j2k": imagecodecs.jpeg2k_encode(values, level=0, codecformat="j2k"),
    }
    for name, data in files.items():
        assert likeness(load_image(bytes(data)).pixels, COLOUR) > 0.99, name


def test_a_tiff_of_no_picture_says_so() -> None:
    with pytest.raises(UnreadableImageError, match="cannot be decoded"):
        load_image(tiff(np.zeros((8, 8), np.complex64)))


def test_a_tiff_without_a_page_says_so() -> None:
    with pytest.raises(UnreadableImageError, match="it is a TIFF without a page"):
        load_image(b"II*\0" + bytes(4))


def test_the_limit_holds_for_deep_tiffs_before_they_are_decoded() -> None:
    data = tiff(np.zeros((300, 300, 3), np.float64), photometric="rgb")
    with pytest.raises(ImageTooLargeError, match="300 × 300"):
        load_image(data, max_pixels=1000)


# --- ground and emptiness ------------------------------------------------------------------------


def logo(colour: tuple[int, int, int], mode: str = "RGBA") -> Image.Image:
    image = Image.new("RGBA", (80, 60), (*colour, 0))
    ImageDraw.Draw(image).ellipse((10, 10, 60, 50), fill=(*colour, 255))
    return image.convert(mode)


@pytest.mark.parametrize(("colour", "ground"), [(255, 0), (230, 0), (0, 255), (128, 255)])
@pytest.mark.parametrize("suffix", ["PNG", "WEBP", "GIF", "TIFF"])
def test_a_drawing_lies_on_a_ground_on_which_it_shows(
    suffix: str, colour: int, ground: int
) -> None:
    out = BytesIO()
    logo((colour,) * 3).save(out, suffix, **({"lossless": True} if suffix == "WEBP" else {}))
    pixels = load_image(out.getvalue()).pixels
    assert abs(int(pixels[0, 0, 0]) - ground) <= 2
    assert abs(int(pixels[30, 35, 0]) - colour) <= 2


def test_a_drawing_in_black_and_white_stays_on_white() -> None:
    image = logo((255, 255, 255))
    ImageDraw.Draw(image).rectangle((10, 10, 60, 50), fill=(0, 0, 0, 255))
    out = BytesIO()
    image.save(out, "PNG")
    assert load_image(out.getvalue()).pixels[0, 0, 0] == GROUNDS[0]


def test_a_picture_that_is_all_transparent_is_white() -> None:
    out = BytesIO()
    Image.new("RGBA", (8, 8), (10, 200, 30, 0)).save(out, "PNG")
    assert (load_image(out.getvalue()).pixels == 255).all()


@pytest.mark.parametrize("suffix", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_its_first_frame_that_shows_something(suffix: str) -> None:
    blank = Image.new("RGB", (48, 32), "white")
    faint = Image.blend(blank, quadrants(), 0.1)
    other = quadrants().transpose(Image.Transpose.ROTATE_180)
    out = BytesIO()
    blank.save(out, suffix, save_all=True, append_images=[faint, quadrants(), other], lossless=True)
    seen = load_image(out.getvalue()).pixels.astype(int)
    assert np.median(abs(seen - np.asarray(quadrants()))) <= 8
    out = BytesIO()
    quadrants().save(out, suffix, save_all=True, append_images=[other], lossless=True)
    assert np.median(abs(load_image(out.getvalue()).pixels - np.asarray(quadrants(), int))) <= 8


def bitmap(opacity: int, header: int) -> bytes:
    """A BMP of 32 bits a pixel, whose header tells where the opacity is."""
    rows = np.dstack([COLOUR[::-1, :, ::-1], np.full(COLOUR.shape[:2], opacity, np.uint8)])
    height, width = rows.shape[:2]
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, 32, 3, rows.nbytes, 0, 0, 0, 0)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000).ljust(header - len(info), b"\0")
    start = struct.pack("<IHHI", 14 + header + rows.nbytes, 0, 0, 14 + header)
    return b"BM" + start + info + masks + rows.tobytes()


def targa(opacity: int, bits: int) -> bytes:
    """A TGA of 32 bits a pixel, whose header says how many of them are opacity."""
    rows = np.dstack([COLOUR[:, :, ::-1], np.full(COLOUR.shape[:2], opacity, np.uint8)])
    height, width = rows.shape[:2]
    header = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, width, height, 32, 0x20 | bits)
    return header + rows.tobytes()


@pytest.mark.parametrize(
    "data",
    [
        *(bitmap(opacity, header) for opacity in (0, 255) for header in (56, 108, 124)),
        *(targa(opacity, bits) for opacity, bits in ((0, 0), (90, 0), (0, 8), (255, 8))),
    ],
)
def test_what_stands_in_the_place_of_opacity(data: bytes) -> None:
    np.testing.assert_array_equal(load_image(data).pixels, COLOUR)


# --- colour profiles -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_colours_are_those_of_the_profile(suffix: str) -> None:
    out = BytesIO()
    options = {"quality": 95} if suffix == "JPEG" else {"lossless": True}
    quadrants().save(out, suffix, icc_profile=swapped_profile(), **options)
    seen = load_image(out.getvalue()).pixels.astype(int)
    exchanged = np.asarray(quadrants(), int)[:, :, ::-1]
    assert np.median(abs(seen - exchanged)) <= 6


@pytest.mark.parametrize("suffix", ["JPEG", "PNG"])
def test_a_profile_of_srgb_changes_no_pixel(suffix: str) -> None:
    plain, with_profile = BytesIO(), BytesIO()
    quadrants().save(plain, suffix)
    quadrants().save(with_profile, suffix, icc_profile=profile_of("sRGB"))
    loaded = load_image(with_profile.getvalue())
    np.testing.assert_array_equal(loaded.pixels, load_image(plain.getvalue()).pixels)
    assert loaded.warnings == ()


def test_a_grey_picture_with_a_profile_of_colours() -> None:
    out = BytesIO()
    Image.fromarray(GREY).save(out, "JPEG", icc_profile=swapped_profile())
    loaded = load_image(out.getvalue())
    assert likeness(loaded.pixels, GREY) > 0.99
    assert loaded.warnings == ()


@pytest.mark.parametrize("profile", [b"no profile", profile_of("sRGB")[:200], profile_of("LAB")])
@pytest.mark.parametrize("suffix", ["JPEG", "PNG"])
def test_a_profile_that_cannot_be_used_is_a_warning(suffix: str, profile: bytes) -> None:
    plain, out = BytesIO(), BytesIO()
    quadrants().save(plain, suffix)
    quadrants().save(out, suffix, icc_profile=profile)
    loaded = load_image(out.getvalue())
    np.testing.assert_array_equal(loaded.pixels, load_image(plain.getvalue()).pixels)
    [warning] = loaded.warnings
    assert "colour profile" in warning
    assert "ignored" in warning


# --- damage --------------------------------------------------------------------------------------


def png(**options: Any) -> bytearray:
    out = BytesIO()
    Image.fromarray(COLOUR).save(out, "PNG", **options)
    return bytearray(out.getvalue())


def test_a_png_with_a_wrong_checksum_of_its_pixels_is_damaged(tmp_path: Path) -> None:
    data = png()
    data[data.index(b"IDAT") + 5000] ^= 1
    path = tmp_path / "copied.png"
    path.write_bytes(data)
    for source in (path, bytes(data)):
        with pytest.raises(DamagedImageError, match=r"checksum of IDAT .*--damaged take"):
            load_image(source)


def test_a_damaged_png_may_be_taken() -> None:
    data = png()
    end = data.index(b"IDAT") - 4
    length = struct.unpack(">I", data[end : end + 4])[0]
    data[end + 8 + length] ^= 0xFF  # the checksum itself
    taken = load_image(bytes(data), damaged="take")
    np.testing.assert_array_equal(taken.pixels, COLOUR)
    assert taken.warnings == ("is damaged (the checksum of IDAT is wrong)",)


@pytest.mark.parametrize(
    ("chunk", "named"),
    [(b"iCCP", "colour profile"), (b"eXIf", "EXIF block"), (b"tEXt", "tEXt chunk")],
)
def test_what_pixels_do_not_need_may_be_damaged(chunk: bytes, named: str) -> None:
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a cat")
    exif = Image.Exif()
    exif[271] = "maker"
    data = png(icc_profile=swapped_profile(), pnginfo=info, exif=exif)
    data[data.index(chunk) + 6] ^= 1
    loaded = load_image(bytes(data))
    assert loaded.warnings == (f"its {named} is damaged and was ignored",)
    assert loaded.pixels.shape == COLOUR.shape


def test_a_sound_png_is_passed_on_as_it_is() -> None:
    data = bytes(png())
    assert check_png(data) == (data, [])
    assert check_png(data + b"something after the end") == (data + b"something after the end", [])


def test_a_png_with_a_chunk_that_nobody_knows() -> None:
    data = bytes(png())
    body = b"vpAg" + b"x" * 9
    extra = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    place = data.index(b"IDAT") - 4
    loaded = load_image(data[:place] + extra + data[place:])
    np.testing.assert_array_equal(loaded.pixels, COLOUR)
    assert loaded.warnings == ()


# --- pages ---------------------------------------------------------------------------------------


def pages(*images: Image.Image, **options: Any) -> bytes:
    out = BytesIO()
    images[0].save(out, "TIFF", save_all=True, append_images=images[1:], **options)
    return out.getvalue()


def test_the_first_of_several_pages_is_taken_and_they_are_counted() -> None:
    second = quadrants().transpose(Image.Transpose.ROTATE_180)
    loaded = load_image(pages(quadrants(), second))
    np.testing.assert_array_equal(loaded.pixels, np.asarray(quadrants()))
    assert loaded.pages == 2


def test_the_largest_page_is_taken_where_the_first_is_a_thumbnail() -> None:
    small = quadrants(48 // THUMBNAIL, 32 // THUMBNAIL)
    loaded = load_image(pages(small, quadrants()))
    np.testing.assert_array_equal(loaded.pixels, np.asarray(quadrants()))
    assert (loaded.facts.width, loaded.facts.height) == (48, 32)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_picture_below_a_thumbnail(dtype: Any) -> None:
    """As camera RAW and some scanners keep it: the thumbnail first, the picture in a sub-IFD."""
    out = BytesIO()
    scale = np.iinfo(dtype).max // 255
    with tifffile.TiffWriter(out) as writer:
        writer.write(COLOUR[::8, ::8], photometric="rgb", subfiletype=1, subifds=2)
        writer.write(COLOUR.astype(dtype) * scale, photometric="rgb")
        writer.write(np.zeros((900, 900), np.uint16), photometric="cfa")  # what the sensor saw
    loaded = load_image(out.getvalue())
    assert likeness(loaded.pixels, COLOUR) > 0.999
    assert (loaded.facts.height, loaded.facts.width) == COLOUR.shape[:2]
