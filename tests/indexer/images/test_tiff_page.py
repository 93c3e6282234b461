"""TIFFs of every kind of colour, and with other channels beside, are the picture that they hold."""

from __future__ import annotations

import datetime as dt
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image
from skimage.color import rgb2lab

from indexer.arrays import Pixels
from indexer.errors import UnreadableImageError
from indexer.images.decode import LoadedImage, load_image
from tests.oversize import LIMIT, likeness
from tests.sample import SAMPLE

COLOUR: Pixels = load_image(SAMPLE / "images" / "cat-1.jpg").pixels[::4, ::4]
GREY: Pixels = np.asarray(Image.fromarray(COLOUR).convert("L"))
OTHER = GREY[::-1, :, None]  # what a channel shows that is no colour
OPAQUE = np.full((*GREY.shape, 1), 255, np.uint8)
FADING = np.broadcast_to(np.linspace(60, 255, GREY.shape[1]).astype(np.uint8)[:, None], OTHER.shape)
DEPTHS = {"uint8": 1, "uint16": 257, "uint32": 16843009}


def tiff(values: npt.NDArray[Any], **options: Any) -> bytes:
    out = BytesIO()
    tifffile.imwrite(out, values, **options)
    return out.getvalue()


def check(loaded: LoadedImage, original: npt.NDArray[Any], far: float = 3) -> None:
    """Compare tones, too: a correlation does not see that a picture is dark."""
    shown = original if original.ndim == 3 else np.repeat(original[:, :, None], 3, axis=2)
    assert loaded.pixels.shape == shown.shape
    assert np.abs(loaded.pixels.astype(float) - shown).mean() < far
    assert likeness(loaded, original.astype(np.uint8)) > 0.99


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_inks(dtype: str, planar: str) -> None:
    inks = np.concatenate([255 - COLOUR, 0 * OPAQUE], axis=2).astype(dtype) * DEPTHS[dtype]
    values = inks if planar == "contig" else np.moveaxis(inks, 2, 0)
    options: Any = {"photometric": "separated", "planarconfig": planar}
    check(load_image(tiff(values, **options)), COLOUR, far=30)
    if planar == "contig":
        values = np.concatenate([inks, OPAQUE.astype(dtype) * DEPTHS[dtype]], axis=2)
        check(load_image(tiff(values, extrasamples=["unassalpha"], **options)), COLOUR, far=30)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize(
    ("extra", "channels"),
    [
        (["unspecified"], [OTHER]),
        (["unassalpha"], [OPAQUE]),
        (["unspecified", "unassalpha"], [OTHER, OPAQUE]),
        (["unspecified", "unspecified"], [OTHER, OTHER]),
    ],
)
def test_channels_beside_the_colours(dtype: str, extra: list[str], channels: list[Any]) -> None:
    for photometric, colours in (("rgb", COLOUR), ("minisblack", GREY[:, :, None])):
        values = np.concatenate([colours, *channels], axis=2).astype(dtype) * DEPTHS[dtype]
        if values.shape[2] == 3 and photometric == "minisblack":
            extra, values = extra[:1], values[:, :, :2]
        options: Any = {"photometric": photometric, "extrasamples": extra}
        for planar in ("contig", "separate"):
            stored = values if planar == "contig" else np.moveaxis(values, 2, 0)
            loaded = load_image(tiff(stored, planarconfig=planar, **options))
            check(loaded, colours if photometric == "rgb" else GREY)
            others = photometric == "minisblack" and extra[0] == "unspecified"
            assert any("channels" in warning for warning in loaded.warnings) == others


def test_bands_of_a_satellite() -> None:
    values = np.concatenate([COLOUR, OTHER, OTHER], axis=2).astype(np.uint16) * 40
    loaded = load_image(tiff(values, photometric="minisblack", planarconfig="contig"))
    check(loaded, COLOUR * (10200 / 16383))
    assert loaded.warnings == ("of its 5 channels only the first 3 are shown",)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_with_opacity_and_other_channels(dtype: str) -> None:
    for extra, channels in (
        (["unassalpha", "unspecified", "unspecified"], [OPAQUE, OTHER, OTHER]),
        (["unspecified", "unassalpha"], [OTHER, OPAQUE]),
    ):
        values = np.concatenate([GREY[:, :, None], *channels], axis=2).astype(dtype)
        options: Any = {"photometric": "minisblack", "planarconfig": "contig"}
        loaded = load_image(tiff(values * DEPTHS[dtype], extrasamples=extra, **options))
        check(loaded, GREY)
        assert "only the first one is shown" in loaded.warnings[0]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
def test_transparency_is_taken_out_of_colours_that_it_was_multiplied_into(
    dtype: str, kind: str
) -> None:
    shown = COLOUR / 255 * FADING + 255.0 - FADING
    colours = COLOUR / 255 * FADING if kind == "assocalpha" else COLOUR
    values = np.concatenate([colours, FADING], axis=2)
    values = values / 255 if dtype == "float32" else np.rint(values.astype(float)) * DEPTHS[dtype]
    data = tiff(values.astype(dtype), photometric="rgb", extrasamples=[kind])
    check(load_image(data), shown)


def test_opacity_has_as_many_bits_as_the_colours() -> None:
    values = np.concatenate([COLOUR, OPAQUE], axis=2).astype(np.uint16) << 4
    check(load_image(tiff(values, photometric="rgb", extrasamples=["unassalpha"])), COLOUR)
    values[:, :, 3] = 1
    check(load_image(tiff(values, photometric="rgb", extrasamples=["unassalpha"])), COLOUR)


@pytest.mark.parametrize("kind", ["cielab", "icclab"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_lab(kind: str, dtype: str) -> None:
    lab = rgb2lab(COLOUR)
    if dtype == "float32":
        values = lab.astype(dtype)
    else:
        size, white = (255, 255) if dtype == "uint8" else (65280, 65535)
        light = lab[:, :, :1] / 100 * (white if kind == "cielab" else size)
        colours = lab[:, :, 1:] * (1 if dtype == "uint8" else 256)
        colours += (128 if dtype == "uint8" else 128 * 256) if kind == "icclab" else 0
        values = np.concatenate([light, colours], axis=2).round().astype(np.int32).astype(dtype)
    check(load_image(tiff(values, photometric=kind)), COLOUR, far=6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("scale", [1, 257])
def test_palettes(dtype: Any, scale: int) -> None:
    image = Image.fromarray(COLOUR).quantize(256)
    colours = np.zeros((3, np.iinfo(dtype).max + 1), np.uint16)
    colours[:, :256] = np.array(image.getpalette("RGB")).reshape(-1, 3).T * scale
    data = tiff(np.asarray(image).astype(dtype), photometric="palette", colormap=colours)
    check(load_image(data), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("bits", [2, 4, 6])
@pytest.mark.parametrize("original", [GREY, COLOUR], ids=["grey", "colour"])
def test_few_bits(original: Pixels, bits: int) -> None:
    photometric = "rgb" if original.ndim == 3 else "minisblack"
    values = original >> (8 - bits)
    data = tiff(values, bitspersample=bits, photometric=photometric)
    check(load_image(data), values * (255 / (2**bits - 1)))


def test_a_compression_that_pillow_does_not_know() -> None:
    check(load_image(tiff(COLOUR, photometric="rgb", compression="webp")), COLOUR)


def test_ycbcr_of_a_slide_scanner() -> None:
    ycbcr = np.asarray(Image.fromarray(COLOUR).convert("YCbCr"))
    data = tiff(ycbcr, photometric="rgb", compression=33003, compressionargs={"mct": False})
    check(load_image(data), COLOUR)


def test_black_of_one_channel_is_not_a_pixel_without_data() -> None:
    values = COLOUR.astype(np.uint16) * 257
    values[:, :, 2] = 0
    values[:10] = 0
    data = tiff(values, photometric="rgb", extratags=[(42113, "s", 0, "0", True)])
    pixels = load_image(data).pixels
    assert (pixels[:10] == 255).all()
    np.testing.assert_array_equal(pixels[10:], values[10:] >> 8)


def test_values_that_no_picture_has_are_none() -> None:
    values = GREY.astype(np.float32)
    values[:20] = np.finfo(np.float32).min
    pixels = load_image(tiff(values)).pixels
    assert len(np.unique(pixels[:20])) == 1
    assert np.corrcoef(pixels[20:, :, 0].ravel(), GREY[20:].ravel())[0, 1] > 0.99


def test_missing_strips_are_told() -> None:
    values = COLOUR.astype(np.uint16) * 257
    for share in (0, 2):
        data = bytearray(tiff(values, photometric="rgb", rowsperstrip=10, compression="zlib"))
        with tifffile.TiffFile(BytesIO(bytes(data))) as file:
            page: Any = file.pages[0]
            tag = page.tags[279]
            size = tag.valuebytecount // tag.count
        start = tag.valueoffset + (tag.count // 2 * size if share else 0)
        stop = tag.valueoffset + tag.valuebytecount
        data[start:stop] = bytes(stop - start)
        if share:
            [warning] = load_image(bytes(data)).warnings
            assert "tiles or strips are missing" in warning
        else:
            with pytest.raises(UnreadableImageError, match="all of its tiles or strips"):
                load_image(bytes(data))


@pytest.mark.parametrize("photometric", ["cfa", "itulab", "linear_raw"])
def test_colours_that_are_not_supported_are_told(photometric: str) -> None:
    values = GREY.astype(np.uint16) if photometric == "cfa" else COLOUR
    with pytest.raises(UnreadableImageError, match="colours are of a kind that is not supported"):
        load_image(tiff(values, photometric=photometric))


def test_a_volume_is_told() -> None:
    values = np.zeros((16, 32, 32), np.uint16)
    with pytest.raises(UnreadableImageError, match="volume of 16 slices"):
        load_image(tiff(values, volumetric=True, photometric="minisblack", tile=(16, 32, 32)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64"])
def test_date_and_camera(dtype: str) -> None:
    tags = [
        (271, "s", 0, "Zeiss", True),
        (272, "s", 0, "Axio", True),
        (306, "s", 0, "2021:02:03 04:05:06", True),
    ]
    values = np.repeat(COLOUR, 2, axis=0).astype(dtype)
    facts = load_image(tiff(values, photometric="rgb", extratags=tags, metadata=None)).facts
    assert (facts.camera, facts.taken_at) == ("Zeiss Axio", dt.datetime(2021, 2, 3, 4, 5, 6))


def test_a_smaller_size_shows_the_same() -> None:
    inks = np.concatenate([255 - COLOUR, 0 * OPAQUE], axis=2).astype(np.uint16) * 257
    nir = np.concatenate([COLOUR, OTHER], axis=2).astype(np.uint16) * 257
    for values, photometric in ((inks, "separated"), (nir, "rgb")):
        extra = ["unspecified"] if photometric == "rgb" else None
        data = tiff(np.tile(values, (2, 2, 1)), photometric=photometric, extrasamples=extra)
        loaded = load_image(data, max_pixels=LIMIT, oversize="reduce")
        assert likeness(loaded, np.tile(COLOUR, (2, 2, 1))) > 0.98


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64"])
@pytest.mark.parametrize("original", [GREY, COLOUR], ids=["grey", "colour"])
def test_where_nothing_is_said_black_is_zero(original: Pixels, dtype: str) -> None:
    photometric = "rgb" if original.ndim == 3 else "minisblack"
    data = bytearray(tiff(original.astype(dtype), photometric=photometric))
    with tifffile.TiffFile(BytesIO(bytes(data))) as file:
        page: Any = file.pages[0]
        place = page.tags[262].offset
    data[place : place + 2] = (261).to_bytes(2, "little")  # the tag of something else
    check(load_image(bytes(data)), original)


def pages(*written: tuple[npt.NDArray[Any], str]) -> bytes:
    out = BytesIO()
    with tifffile.TiffWriter(out) as file:
        for values, photometric in written:
            file.write(values, photometric=photometric)
    return out.getvalue()


DEEP = GREY.astype(np.float64), "minisblack"
NONE = GREY.astype(np.complex64), "minisblack"
SENSOR = GREY.astype(np.uint16), "cfa"
MASKED = GREY > 0, "mask"
THUMBNAIL = np.ascontiguousarray(COLOUR[::8, ::8]), "rgb"


@pytest.mark.parametrize("other", [DEEP, NONE, SENSOR, MASKED], ids=["deep", "none", "cfa", "mask"])
def test_a_page_of_an_odd_kind_beside_the_picture(other: tuple[npt.NDArray[Any], str]) -> None:
    loaded = load_image(pages((COLOUR, "rgb"), other))
    check(loaded, COLOUR)
    assert loaded.page == 0
    if other is not DEEP:
        loaded = load_image(pages(other, (COLOUR, "rgb")))
        check(loaded, COLOUR)
        assert (loaded.pages, loaded.page) == (2, 1)
        with pytest.raises(UnreadableImageError, match=r"not supported|not a picture"):
            load_image(pages((COLOUR, "rgb"), other), page=1)


def test_odd_pages_are_pictures_too() -> None:
    check(load_image(pages((COLOUR, "rgb"), DEEP), page=1), GREY)
    check(load_image(pages(THUMBNAIL, DEEP)), GREY)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_smaller_copies_and_masks_after_the_pages_are_none(dtype: Any) -> None:
    out = BytesIO()
    picture = COLOUR.astype(dtype) * DEPTHS[np.dtype(dtype).name]
    with tifffile.TiffWriter(out) as file:
        file.write(picture, photometric="rgb")
        file.write(picture[::-1], photometric="rgb")
        file.write(GREY > 0, photometric="mask", subfiletype=4)
        for step in (2, 4):
            file.write(np.ascontiguousarray(picture[::step, ::step]), subfiletype=1)
    loaded = load_image(out.getvalue())
    check(loaded, COLOUR)
    assert (loaded.pages, loaded.page) == (2, 0)
    check(load_image(out.getvalue(), page=1), COLOUR[::-1])
    check(load_image(out.getvalue(), page=4), COLOUR[::4, ::4])
    check(load_image(out.getvalue(), page="largest"), COLOUR)
