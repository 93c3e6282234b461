"""Pictures that visitors ask with, kept in memory."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import ExifTags, Image

from indexer.errors import ImageTooLargeError, UnreadableImageError
from tests.pictures import BLUE, GREEN, RED, Colour, coloured, is_upright, quadrants
from ui import query_pictures as module
from ui.gallery import SCREEN_PX
from ui.query_pictures import ForgottenPictureError, QueryPictures, query_pictures


def as_file(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def picture(colour: Colour) -> bytes:
    return as_file(coloured(colour))


def test_a_picture_is_named_by_its_content() -> None:
    pictures = QueryPictures()
    data = picture(RED)
    key = pictures.put(data, "cat.png")
    assert key == hashlib.sha256(data).hexdigest()[:16]
    kept = pictures.get(key)
    assert (kept.data, kept.name, kept.facts.width, kept.facts.height) == (data, "cat.png", 48, 32)
    assert pictures.put(data, "the cat.png") == key
    assert pictures.get(key).name == "the cat.png"


def test_its_preview_is_upright_and_fits_a_screen() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = quadrants(2400, 1600).transpose(Image.Transpose.ROTATE_90)
    pictures = QueryPictures()
    kept = pictures.get(pictures.put(as_file(turned, "JPEG", exif=exif), "a.jpg"))
    assert (kept.facts.width, kept.facts.height) == (2400, 1600)
    preview = Image.open(io.BytesIO(kept.preview))
    assert (preview.format, preview.size) == ("JPEG", (SCREEN_PX, SCREEN_PX * 2 // 3))
    assert is_upright(preview)
    assert not preview.getexif()


def test_what_is_not_there_says_what_to_do() -> None:
    with pytest.raises(ForgottenPictureError, match="no longer in memory: drop it on the page"):
        QueryPictures().get("0123456789abcdef")


def test_those_asked_for_longest_ago_go_first() -> None:
    size = QueryPictures()
    one = size.get(size.put(picture(RED), "a")).nbytes
    pictures = QueryPictures(limit=int(2.5 * one))
    red, green = pictures.put(picture(RED), "red"), pictures.put(picture(GREEN), "green")
    pictures.get(red)
    blue = pictures.put(picture(BLUE), "blue")
    assert [pictures.get(key).name for key in (red, blue)] == ["red", "blue"]
    with pytest.raises(ForgottenPictureError):
        pictures.get(green)


def test_one_larger_than_the_memory_is_refused() -> None:
    pictures = QueryPictures(limit=500)
    with pytest.raises(ImageTooLargeError, match=r"cat\.png: it takes .* MB of memory; all"):
        pictures.put(picture(RED), "cat.png")


def test_what_is_no_picture_is_named() -> None:
    with pytest.raises(UnreadableImageError, match=r"list\.jpg: "):
        QueryPictures().put(b"milk, bread", "list.jpg")


def test_too_many_pixels_are_refused_without_an_option_that_a_page_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_PIXELS", 1000)
    with pytest.raises(ImageTooLargeError) as raised:
        QueryPictures().put(picture(RED), "cat.png")
    assert str(raised.value).startswith("cat.png: ")
    assert "--" not in str(raised.value)


def test_a_cut_off_picture_is_taken_as_far_as_it_goes() -> None:
    data = as_file(quadrants(640, 480), "JPEG")
    pictures = QueryPictures()
    assert pictures.get(pictures.put(data[: len(data) * 2 // 3], "cut.jpg")).facts.width == 640


def test_threads_share_them() -> None:
    pictures = QueryPictures()
    data = [picture((n * 20, 40, 40)) for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda n: pictures.put(data[n % 8], str(n % 8)), range(32)))
    assert [pictures.get(key).data for key in keys[:8]] == data


def test_a_process_has_one_of_them() -> None:
    assert query_pictures() is query_pictures()
