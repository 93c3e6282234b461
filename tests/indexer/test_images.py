from __future__ import annotations

import datetime as dt
import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from indexer.errors import ImageTooLargeError, UnreadableImageError
from indexer.images.decode import load_image
from indexer.images.xmp import find_boxes
from tests.pictures import BLUE, GREEN, RED, is_upright, quadrants

pillow_heif.register_heif_opener()  # the tests write HEIF, too

# What a camera does to the upright picture before it writes each orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def oriented(orientation: int) -> tuple[Image.Image, bytes]:
    turn = STORED[orientation]
    image = quadrants() if turn is None else quadrants().transpose(turn)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return image, exif.tobytes()


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif", ".heic"])
def test_every_orientation_comes_out_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    image, exif = oriented(orientation)
    path = tmp_path / f"photo{suffix}"
    image.save(path, exif=exif)

    loaded = load_image(path)

    assert (loaded.facts.width, loaded.facts.height) == (48, 32)
    assert loaded.image.size == (48, 32)
    assert is_upright(loaded.image)


def test_reduced_decoding_of_a_turned_photo_keeps_the_facts_of_the_original(
    tmp_path: Path,
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = tmp_path / "photo.jpg"
    turned = quadrants(1600, 1200).transpose(Image.Transpose.ROTATE_90)
    turned.save(path, exif=exif)

    loaded = load_image(path, at_least=200)

    assert (loaded.facts.width, loaded.facts.height) == (1600, 1200)
    width, height = loaded.image.size
    assert 200**2 <= width * height < 800 * 600
    assert width / height == pytest.approx(4 / 3, abs=0.01)
    assert is_upright(loaded.image)


def test_a_picture_smaller_than_asked_for_is_not_reduced(tmp_path: Path) -> None:
    path = tmp_path / "small.jpg"
    quadrants(100, 80).save(path)
    assert load_image(path, at_least=512).image.size == (100, 80)


@pytest.mark.parametrize(
    ("part", "size"),
    [
        ((0, 0, 1600, 1200), (400, 300)),
        ((400, 300, 1200, 900), (800, 600)),
        ((0, 0, 200, 200), (1600, 1200)),
        ((1500, 1100, 9000, 9000), (200, 150)),  # beyond the image: the caller sees to that
    ],
)
def test_a_part_keeps_the_pixels_asked_for(
    tmp_path: Path, part: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    path = tmp_path / "photo.jpg"
    quadrants(1600, 1200).save(path)
    assert load_image(path, at_least=300, part=part).image.size == size


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".tif", ".webp", ".avif", ".heic", ".png"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    quadrants().save(path)
    loaded = load_image(path)
    assert loaded.image.size == (48, 32)
    assert is_upright(loaded.image)


def test_heif_is_understood_by_a_process_that_has_only_just_begun(tmp_path: Path) -> None:
    path = tmp_path / "picture.heic"
    quadrants().save(path)
    code = "import sys; from indexer.images.decode import load_image as load; "
    code += "print(load(sys.argv[1]).pixels.shape)"
    ran = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, encoding="utf-8", check=True
    )
    assert ran.stdout == "(32, 48, 3)\n"


def test_in_heif_its_own_rotation_counts_and_exif_does_not() -> None:
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = quadrants(96, 64).transpose(Image.Transpose.ROTATE_90)
    out = BytesIO()
    turned.save(out, "HEIF", exif=exif.tobytes(), quality=95)
    data = out.getvalue()
    assert b"irot" in data
    loaded = load_image(data)
    assert is_upright(loaded.image)
    assert (loaded.facts.width, loaded.facts.height) == (96, 64)
    by_exif_alone = load_image(data.replace(b"irot", b"free"))
    assert by_exif_alone.image.size == (64, 96)
    assert (by_exif_alone.facts.width, by_exif_alone.facts.height) == (64, 96)


def test_bytes_and_streams_decode_as_files_do(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    quadrants().save(path)
    for source in (path.read_bytes(), BytesIO(path.read_bytes()), str(path)):
        assert load_image(source).image.tobytes() == quadrants().tobytes()


def test_cmyk_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "print.jpg"
    quadrants().convert("CMYK").save(path, quality=95)
    assert is_upright(load_image(path).image)


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16)
    path = tmp_path / "scan.png"
    Image.fromarray(np.tile(ramp, (8, 1))).save(path)
    seen = np.asarray(load_image(path).image)[0, :, 0]
    assert np.abs(seen.astype(int) - np.arange(256)).max() <= 1


def test_float_tiff_is_stretched_over_its_range(tmp_path: Path) -> None:
    values = np.linspace(-3, 5, 64, dtype=np.float32).reshape(8, 8)
    path = tmp_path / "depth.tif"
    Image.fromarray(values).save(path)
    seen = np.asarray(load_image(path).image)
    assert (seen.min(), seen.max()) == (0, 255)


def test_transparency_becomes_white(tmp_path: Path) -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([10, 20, 30, *RED])
    palette.paste(0, (0, 0, 4, 8))
    palette.save(tmp_path / "palette.png", transparency=0)
    grey = Image.new("LA", (8, 8), (90, 255))
    grey.paste((0, 0), (0, 0, 4, 8))
    grey.save(tmp_path / "grey.png")

    for name, opaque in (("palette.png", RED), ("grey.png", (90, 90, 90))):
        pixels = load_image(tmp_path / name).image
        assert pixels.getpixel((1, 1)) == (255, 255, 255)
        assert pixels.getpixel((6, 6)) == opaque


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "YCbCr"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "jpg" if mode == "YCbCr" else "png"
    path = tmp_path / f"mode.{suffix}"
    quadrants().convert(mode).save(path)
    loaded = load_image(path)
    assert (loaded.image.mode, loaded.image.size) == ("RGB", (48, 32))


@pytest.mark.parametrize("size", [(1, 1), (20000, 1), (1, 20000)])
def test_extreme_shapes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "line.png"
    Image.new("RGB", size, GREEN).save(path)
    loaded = load_image(path, at_least=256)
    assert loaded.image.size == size
    assert loaded.image.getpixel((0, 0)) == GREEN


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".png", ".webp"])
def test_the_first_frame_of_several(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"frames{suffix}"
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    first.save(path, save_all=True, append_images=[second], lossless=True)
    assert load_image(path).image.getpixel((8, 8)) == RED


def damaged(tmp_path: Path, kind: str) -> Path:
    whole = BytesIO()
    quadrants(400, 300).save(whole, "JPEG")
    contents = {
        "truncated": whole.getvalue()[: len(whole.getvalue()) // 2],
        "empty": b"",
        "text": b"This is a shopping list: milk, bread, tea.\n" * 20,
        "garbage": b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8,
    }
    path = tmp_path / f"{kind}.jpg"
    path.write_bytes(contents[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", "truncated"),
        ("empty", "is empty"),
        ("text", "is not a readable image"),
        ("garbage", ""),
    ],
)
def test_damaged_files_say_what_is_wrong(tmp_path: Path, kind: str, reason: str) -> None:
    path = damaged(tmp_path, kind)
    with pytest.raises(UnreadableImageError) as caught:
        load_image(path)
    assert caught.value.path == str(path)
    assert reason in caught.value.reason


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="no such file"):
        load_image(tmp_path / "nowhere.jpg")
    with pytest.raises(UnreadableImageError, match="is a folder"):
        load_image(tmp_path)
    with pytest.raises(UnreadableImageError, match=r"^image: "):
        load_image(b"")


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)  # for root, no file is out of reach
    with pytest.raises(UnreadableImageError, match=r"a\.jpg: permission denied"):
        load_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".gif", ".bmp", ".avif", ".heic"])
def test_cut_anywhere_a_file_never_escapes_as_another_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    quadrants(64, 64).save(path)
    whole = path.read_bytes()
    for cut in range(1, len(whole), max(1, len(whole) // 40)):
        try:
            load_image(whole[:cut])
        except UnreadableImageError:
            continue


def test_too_many_pixels(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    quadrants(100, 100).save(path)
    assert load_image(path, max_pixels=10_000).image.size == (100, 100)
    with pytest.raises(ImageTooLargeError, match=r"100 × 100"):
        load_image(path, max_pixels=9_999)


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a picture of this size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


def test_a_header_that_claims_a_huge_picture_is_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as the command does
    with pytest.raises(ImageTooLargeError, match="40000 megapixels"):
        load_image(png_claiming(200_000, 200_000))


def test_pillows_own_limit_is_respected_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageTooLargeError, match="more pixels than Pillow opens") as caught:
        load_image(png_claiming(200, 200), name="big.png")
    assert caught.value.path == "big.png"


def test_importing_the_library_changes_no_setting_of_the_process() -> None:
    code = """
import warnings
import cv2
from PIL import Image

def settings() -> tuple[object, ...]:
    return Image.MAX_IMAGE_PIXELS, cv2.getNumThreads(), list(warnings.filters)

before = settings()
import indexer.features.extractor, indexer.images.decode, indexer.images.resize
print(settings() == before)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert ran.stdout == "True\n"


def with_exif(exif: Image.Exif | bytes) -> bytes:
    out = BytesIO()
    quadrants().save(out, "JPEG", exif=exif)
    return out.getvalue()


def test_date_and_camera() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Canon"
    exif[ExifTags.Base.Model] = "Canon EOS R5"
    exif[ExifTags.Base.DateTime] = "2024:05:06 07:08:09"
    assert load_image(with_exif(exif)).facts.taken_at == dt.datetime(2024, 5, 6, 7, 8, 9)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2023:01:02 03:04:05"
    facts = load_image(with_exif(exif)).facts
    assert facts.camera == "Canon EOS R5"
    assert facts.taken_at == dt.datetime(2023, 1, 2, 3, 4, 5)
    assert facts.format == "JPEG"

    exif[ExifTags.Base.Make] = "NIKON\0"
    exif[ExifTags.Base.Model] = "D850 "
    assert load_image(with_exif(exif)).facts.camera == "NIKON D850"


def test_no_exif_no_facts() -> None:
    facts = load_image(with_exif(b"")).facts
    assert (facts.taken_at, facts.camera) == (None, None)


@pytest.mark.parametrize(
    "date", ["0000:00:00 00:00:00", "    ", "yesterday", "2023:02:30 10:00:00", "20240506"]
)
def test_an_odd_date_leaves_the_camera(date: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Pinhole"
    exif[ExifTags.Base.DateTime] = date
    facts = load_image(with_exif(exif)).facts
    assert (facts.taken_at, facts.camera) == (None, "Pinhole")


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("2024-05-06T07:08:09Z", dt.time(7, 8, 9)),
        ("2024-05-06 07:08:09.5+02:00", dt.time(7, 8, 9)),
        ("2024/05/06 07:08", dt.time(7, 8)),
        ("2024:05:06", dt.time()),
        ("2024:05:06 07:08:60", dt.time(7, 8, 59)),
    ],
)
def test_a_date_in_another_way_of_writing(date: str, time: dt.time) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = date
    assert load_image(with_exif(exif)).facts.taken_at == dt.datetime.combine(
        dt.date(2024, 5, 6), time
    )


def test_the_first_date_that_is_one_counts() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = "2024:05:06 07:08:09"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "0000:00:00 00:00:00"
    assert load_image(with_exif(exif)).facts.taken_at == dt.datetime(2024, 5, 6, 7, 8, 9)
    details[ExifTags.Base.DateTimeDigitized] = "2023:01:02 03:04:05"
    assert load_image(with_exif(exif)).facts.taken_at == dt.datetime(2023, 1, 2, 3, 4, 5)


XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {attributes}>{elements}
</rdf:Description></rdf:RDF></x:xmpmeta>"""
BY_ATTRIBUTES = XMP.format(
    attributes='exif:DateTimeOriginal="2023-01-02T03:04:05" tiff:Make="A &amp; B" tiff:Model="X"',
    elements="",
)
BY_ELEMENTS = XMP.format(
    attributes="rdf:about=''",
    elements="<photoshop:DateCreated>2023-01-02T03:04:05+02:00</photoshop:DateCreated>"
    "<tiff:Make>A &amp; B</tiff:Make><tiff:Model>X</tiff:Model>",
)


@pytest.mark.parametrize("packet", [BY_ATTRIBUTES, BY_ELEMENTS])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_date_and_camera_by_xmp(file_format: str, packet: str) -> None:
    out = BytesIO()
    options: dict[str, object] = {"xmp": packet.encode()}
    if file_format == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet)
        options = {"pnginfo": info}
    if file_format == "TIFF":
        options = {"tiffinfo": {700: packet.encode()}}
    quadrants().save(out, file_format, **options)
    facts = load_image(out.getvalue()).facts
    assert facts.camera == "A & B X"
    assert facts.taken_at == dt.datetime(2023, 1, 2, 3, 4, 5)


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 24 + len(body), b"uuid") + name + body


def test_date_and_camera_of_a_jpeg_2000() -> None:
    out = BytesIO()
    quadrants().save(out, "JPEG2000")
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Pinhole"
    exif[ExifTags.Base.DateTime] = "2024:05:06 07:08:09"
    data = out.getvalue() + box(b"JpgTiffExif->JP2", exif.tobytes()[6:])
    facts = load_image(data).facts
    assert (facts.camera, facts.taken_at) == ("Pinhole", dt.datetime(2024, 5, 6, 7, 8, 9))
    xmp = box(bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), BY_ELEMENTS.encode())
    assert load_image(out.getvalue() + xmp).facts.camera == "A & B X"
    assert set(find_boxes(BytesIO(data + b"\0\0\0\2uuid"))) == {b"JpgTiffExif->JP2"}
