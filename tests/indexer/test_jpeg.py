"""JPEGs are decoded past Pillow, and come out as Pillow would have them."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from indexer.arrays import Pixels
from indexer.errors import DamagedImageError, UnreadableImageError
from indexer.images import jpeg
from indexer.images.decode import load_image


def photo(mode: str = "RGB", size: tuple[int, int] = (333, 217)) -> Image.Image:
    """A smooth picture with some noise, so that every step of the decoder has its part."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (9, 13, 3), np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(int)
    noisy = np.clip(smooth + random.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).convert(mode)


def to_jpeg(image: Image.Image, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, options.pop("format", "JPEG"), **options)
    return stream.getvalue()


def by_pillow(data: bytes, draft: tuple[int, int] | None = None) -> Pixels:
    with Image.open(BytesIO(data)) as image:
        image.draft(None, draft)
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.fixture
def no_pillow(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def refuse(_: object) -> None:
        raise AssertionError("Pillow was asked to decode")

    return lambda: monkeypatch.setattr(JpegImageFile, "load", refuse)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 95, "subsampling": 0},
        {"quality": 75, "subsampling": 1},
        {"quality": 40, "subsampling": 2},
        {"progressive": True},
        {"optimize": True, "restart_marker_rows": 1},
        {"keep_rgb": True},
    ],
)
@pytest.mark.parametrize("at_least", [None, 200, 100, 50, 20])
def test_the_pixels_are_those_of_pillow(
    mode: str, options: dict[str, Any], at_least: int | None, no_pillow: Callable[[], None]
) -> None:
    data = to_jpeg(photo(mode), **options)
    shrunk = {None: 1, 200: 1, 100: 2, 50: 4, 20: 8}[at_least]
    expected = by_pillow(data, (333 // shrunk, 217 // shrunk))

    no_pillow()
    pixels = load_image(data, at_least=at_least).pixels

    assert np.array_equal(pixels, expected)
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(10))
def test_the_pixels_are_upright(orientation: int, no_pillow: Callable[[], None]) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = to_jpeg(photo(), exif=exif)
    expected = by_pillow(data)

    no_pillow()
    assert np.array_equal(load_image(data).pixels, expected)


def test_the_first_of_several_pictures(no_pillow: Callable[[], None]) -> None:
    others = {"save_all": True, "append_images": [photo(size=(64, 64))]}
    data = to_jpeg(photo(), format="MPO", **others)
    expected = by_pillow(data)

    no_pillow()
    assert np.array_equal(load_image(data).pixels, expected)


def test_a_jpeg_in_cmyk_is_left_to_pillow() -> None:
    data = to_jpeg(photo("CMYK"))
    assert np.array_equal(load_image(data).pixels, by_pillow(data))


def test_spoilt_bytes_are_refused_or_taken_with_a_warning() -> None:
    whole = bytearray(to_jpeg(photo(), restart_marker_rows=1))
    middle = whole.index(b"\xff\xd3") + 8
    whole[middle : middle + 40] = bytes(40)
    expected = by_pillow(bytes(whole))

    with pytest.raises(DamagedImageError, match=r"is damaged \(.*--damaged take"):
        load_image(bytes(whole))
    taken = load_image(bytes(whole), damaged="take")
    assert np.array_equal(taken.pixels, expected)
    assert [warning.split(" (")[0] for warning in taken.warnings] == ["is damaged"]
    assert not np.array_equal(expected, by_pillow(to_jpeg(photo())))


def test_a_jpeg_with_much_behind_it_is_not_held_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "motion.jpg"
    path.write_bytes(to_jpeg(photo()) + bytes(1 << 20))
    whole = load_image(path).pixels

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the file was read whole")

    monkeypatch.setattr(jpeg, "LARGEST_JPEG", 1 << 20)
    monkeypatch.setattr(simplejpeg, "decode_jpeg_header", refuse)
    assert np.array_equal(load_image(path).pixels, whole)


def test_a_cut_jpeg_may_be_taken() -> None:
    data = to_jpeg(photo())
    taken = load_image(data[: len(data) // 2], damaged="take")
    assert taken.warnings == ("is truncated",)
    whole = load_image(data).pixels
    assert np.array_equal(taken.pixels[:80], whole[:80])


def test_bytes_between_the_parts_of_a_picture_do_no_harm() -> None:
    data = to_jpeg(photo())
    padded = data[:-2] + bytes(7) + data[-2:]
    loaded = load_image(padded)
    assert np.array_equal(loaded.pixels, load_image(data).pixels)
    assert loaded.warnings == ()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_cut_jpeg_is_refused(share: float) -> None:
    data = to_jpeg(photo())
    with pytest.raises(UnreadableImageError, match="truncated"):
        load_image(data[: int(len(data) * share)])


def test_a_file_is_decoded_as_its_bytes_are(tmp_path: Path, no_pillow: Callable[[], None]) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(to_jpeg(photo()))
    no_pillow()
    assert np.array_equal(load_image(path).pixels, load_image(path.read_bytes()).pixels)
    with path.open("rb") as stream:
        assert np.array_equal(load_image(stream).pixels, load_image(path).pixels)
