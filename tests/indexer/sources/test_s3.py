"""S3 as it fails: refused, throttled, cut off; and what nobody should see."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from indexer.errors import InaccessibleImageError, NoImagesError, UnreachableError
from indexer.images import decode
from indexer.images.decode import load_image
from indexer.images.decoder_pool import POOL
from indexer.sources import faults, file_systems
from indexer.sources.place import to_place
from tests import s3
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, RED, coloured, noise


def png(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    coloured(colour).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "FIRST_WAIT_S", 0.01)


@pytest.fixture
def filled(bucket: s3.Bucket) -> s3.Bucket:
    for name, colour in {"a.png": RED, "b.png": GREEN, "sub/c.png": BLUE}.items():
        bucket.put(f"photos/{name}", png(colour))
    return bucket


def test_a_small_file_takes_one_request(
    filled: s3.Bucket, front: s3.Unreliable, desk: Desk
) -> None:
    assert desk.index(to_place(f"{filled.url}/photos")).added == 3
    gets = [path for method, path, _ in front.asked if method == "GET" and ".png" in path]
    assert sorted(gets) == sorted(f"/{filled.name}/photos/{n}" for n in FILES)
    front.asked.clear()
    assert desk.index(to_place(f"{filled.url}/photos")).unchanged == 3
    assert not [path for _, path, _ in front.asked if ".png" in path]


FILES = ("a.png", "b.png", "sub/c.png")


def test_faults_that_pass_are_not_noticed(
    filled: s3.Bucket, front: s3.Unreliable, desk: Desk
) -> None:
    filled.put("photos/d.png", png((99, 9, 9)))
    faults_of_files = {"a.png": 503, "b.png": 500, "c.png": 0, "d.png": -1}
    seen: set[tuple[str, str]] = set()

    def fail_first(method: str, path: str) -> int | None:
        is_first = (method, path) not in seen
        seen.add((method, path))
        return faults_of_files.get(path.rsplit("/", 1)[-1]) if is_first else None

    front.fault = fail_first
    report = desk.index(to_place(f"{filled.url}/photos"))
    assert (report.added, report.failed, report.warnings) == (4, [], [])


@pytest.mark.parametrize(("fault", "tries"), [(403, 1), (503, 2), (-1, faults.TRIES)])
def test_a_fault_that_stays_has_a_limit_and_is_tried_again(
    filled: s3.Bucket,
    front: s3.Unreliable,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    fault: int,
    tries: int,
) -> None:
    monkeypatch.setattr(file_systems, "TRIES", 2)
    file_systems.forget("s3")
    front.fault = lambda _, path: fault if path.endswith("b.png") else None
    place = to_place(f"{filled.url}/photos")
    report = desk.index(place)
    assert report.added == 2
    assert [path for path, _ in report.failed] == [f"{place}/b.png"]
    assert len([path for _, path, _ in front.asked if path.endswith("b.png")]) == tries
    front.fault = lambda *_: None
    assert desk.index(place).added == 1


@pytest.mark.parametrize("status", [403, 0])
def test_a_listing_that_fails_forgets_nothing(
    filled: s3.Bucket,
    front: s3.Unreliable,
    desk: Desk,
    tmp_path: Path,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = to_place(f"{filled.url}/photos")
    desk.index(place)
    local = tmp_path / "local"
    local.mkdir()
    (local / "d.png").write_bytes(png((9, 9, 99)))
    monkeypatch.setattr(file_systems, "TRIES", 1)
    file_systems.forget("s3")
    front.fault = lambda _, path: status if "list-type" in path else None
    with pytest.raises(NoImagesError):
        desk.index(place)
    report = desk.index(place, local)
    assert (report.added, report.removed) == (1, 0)
    assert report.warnings[0][0] == str(place)
    assert desk.update().removed == 0
    assert len(desk.store.known_files()) == 4


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_is_not_there_is_named(desk: Desk) -> None:
    with pytest.raises(NoImagesError, match="s3://no-such-bucket/photos"):
        desk.index(to_place("s3://no-such-bucket/photos"))


def test_a_bucket_that_refuses_access_is_named_with_the_remedy(
    filled: s3.Bucket, front: s3.Unreliable, desk: Desk
) -> None:
    front.fault = lambda *_: 403
    with pytest.raises(UnreachableError, match="credentials"):
        desk.index(to_place(f"{filled.url}/photos"))


def test_without_credentials_the_remedy_is_said_and_no_secret(
    bucket: s3.Bucket, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    file_systems.forget("s3")
    with pytest.raises(UnreachableError, match="AWS_PROFILE") as refused:
        desk.index(to_place(bucket.url))
    assert "sesame" not in str(refused.value)
    file_systems.forget("s3")


@pytest.mark.parametrize(
    "url",
    ["s3://me:secret@bucket/photos", "https://me:secret@host/photos/", "https://host/?key=secret"],
)
def test_a_url_with_a_secret_is_refused_without_it(url: str) -> None:
    with pytest.raises(UnreachableError) as refused:
        to_place(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["ftp://host/a", "file:///etc", "s3:///a", "s3://b/../c", "https://h/%2e%2e/x"]
)
def test_urls_of_other_kinds_are_refused(url: str) -> None:
    with pytest.raises(UnreachableError):
        to_place(url)


@pytest.mark.usefixtures("bucket")
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    file_systems.forget("s3")
    found = importlib.import_module("fsspec.registry")._registry
    monkeypatch.delitem(found, "s3", raising=False)
    with pytest.raises(UnreachableError, match=r"pip install 'cbir\[s3\]'"):
        file_systems.file_system("s3")
    file_systems.forget("s3")


def test_of_a_large_tiff_only_the_wanted_parts_are_fetched(
    bucket: s3.Bucket, front: s3.Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "HELD_BYTES", 100_000)
    POOL.close()  # a decoder has the keys of the time when it was started
    out = io.BytesIO()
    whole = noise(1, 2048, 2048)
    with tifffile.TiffWriter(out) as file:
        file.write(whole, tile=(256, 256), photometric="rgb", subifds=1)
        file.write(whole[::8, ::8], tile=(256, 256), photometric="rgb", subfiletype=1)
    bucket.put("large.tif", out.getvalue())
    place = to_place(f"{bucket.url}/large.tif")
    loaded = load_image(place, at_least=256, max_pixels=1_000_000, oversize="reduce")
    assert (loaded.facts.width, loaded.facts.height) == (2048, 2048)
    fetched = 0
    for method, path, part in front.asked:
        if method == "GET" and path.endswith("large.tif"):
            first, last = part.removeprefix("bytes=").split("-")
            fetched += int(last) - int(first) + 1
    assert 0 < fetched < len(out.getvalue()) / 3


def test_what_is_away_is_no_image(bucket: s3.Bucket) -> None:
    with pytest.raises(InaccessibleImageError, match="no such file"):
        load_image(to_place(f"{bucket.url}/missing.jpg"))


def test_a_picture_is_the_same_from_anywhere(bucket: s3.Bucket, tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(noise(5, 200, 300)).save(out, "JPEG")
    (tmp_path / "a.jpg").write_bytes(out.getvalue())
    bucket.put("a.jpg", out.getvalue())
    np.testing.assert_array_equal(
        load_image(to_place(f"{bucket.url}/a.jpg")).pixels, load_image(tmp_path / "a.jpg").pixels
    )
