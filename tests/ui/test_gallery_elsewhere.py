"""Pictures from elsewhere on the screen: fetched once, and only those of the store."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from indexer.errors import ImageError, OutsideRootsError
from indexer.sources.place import to_place
from indexer.store.records import ImageInfo
from tests import s3
from tests.desk import Desk
from tests.pictures import noise
from ui.api.jobs import _place, _start
from ui.api.limits import Limits
from ui.api.models import JobRequest
from ui.api.service import Service
from ui.gallery import ELSEWHERE, Gallery, resolve_inside, state_of


@pytest.fixture
def indexed(bucket: s3.Bucket, front: s3.Unreliable, desk: Desk) -> Desk:
    out = io.BytesIO()
    Image.fromarray(noise(2, 700, 500)).save(out, "JPEG")
    bucket.put("photos/a.jpg", out.getvalue())
    assert desk.index(to_place(f"{bucket.url}/photos")).added == 1
    front.asked.clear()
    return desk


def info_of(desk: Desk) -> ImageInfo:
    [row] = desk.store.known_files().values()
    return desk.store.image_infos([row.id])[row.id]


def test_a_thumbnail_is_fetched_once_and_kept_with_the_store(
    indexed: Desk, front: s3.Unreliable
) -> None:
    info = info_of(indexed)
    first = Gallery(indexed.store).thumbnail(info)
    with Image.open(io.BytesIO(first)) as shown:
        assert shown.size == (320, 229)
    asked = len(front.asked)
    assert asked == 1
    assert Gallery(indexed.store).thumbnail(info) == first
    assert len(front.asked) == asked
    indexed.store.remove([info.id])
    assert indexed.store.derived.read(f"{ELSEWHERE}-320.jpg", info.id) is None


def test_a_picture_is_fetched_once_while_it_is_shown(indexed: Desk, front: s3.Unreliable) -> None:
    gallery = Gallery(indexed.store)
    first = gallery.picture(info_of(indexed).id, 400)
    assert first.size == (400, 286)
    assert gallery.picture(info_of(indexed).id, 400).tobytes() == first.tobytes()
    assert len(front.asked) == 1


def test_what_is_away_is_a_grey_plate(indexed: Desk, bucket: s3.Bucket) -> None:
    bucket.delete("photos/a.jpg")
    gallery, info = Gallery(indexed.store), info_of(indexed)
    with pytest.raises(ImageError):
        gallery.thumbnail(info)
    [plate] = gallery.thumbnails([info])
    with Image.open(io.BytesIO(plate)) as shown:
        assert shown.getpixel((2, 2)) == (208, 208, 208)
    assert state_of(info.path) == ELSEWHERE


def test_only_urls_below_the_roots_are_shown(tmp_path: Path) -> None:
    roots = [tmp_path, to_place("s3://bucket/photos")]
    assert resolve_inside(to_place("s3://bucket/photos/a.jpg"), roots) is not None
    for other in ("s3://bucket/photos2/a.jpg", "s3://bucket/a.jpg", "https://bucket/photos/a.jpg"):
        assert resolve_inside(to_place(other), roots) is None


def test_the_api_indexes_no_url_of_a_clients_choosing(
    indexed: Desk, bucket: s3.Bucket, front: s3.Unreliable
) -> None:
    service = Service(indexed.store.path, Limits())
    for place in (
        "s3://other/photos",
        bucket.url,
        f"{bucket.url}/photos2",
        f"{bucket.url}/photos/../x",
        "https://127.0.0.1/photos",
        "zip://::s3://other/a.zip",
        "ftp://host/",
        "file:///etc",
    ):
        with pytest.raises(OutsideRootsError):
            _start(service, JobRequest(places=[place]))
    service.close()
    assert front.asked == []
    assert _place(f"{bucket.url}/photos/sub") == to_place(f"{bucket.url}/photos/sub")
