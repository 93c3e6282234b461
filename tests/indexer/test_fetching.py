"""What is read before it is needed: small files in a bucket, several at once."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from indexer import fetching
from indexer.errors import InaccessibleImageError, UnreachableError
from indexer.fetching import HELD_BYTES, fetch, read_ahead
from indexer.sources import access, file_systems
from indexer.sources.place import Place, to_place
from tests import s3


@pytest.fixture
def files(bucket: s3.Bucket) -> list[tuple[Place, int]]:
    names = [f"[{number}] größe*?.png" for number in range(5)]
    for name in names:
        bucket.put(f"photos/{name}", name.encode())
    return [(to_place(f"{bucket.url}/photos/{name}"), len(name.encode())) for name in names]


def test_files_of_a_bucket_are_asked_for_at_the_same_time(
    files: list[tuple[Place, int]], front: s3.Unreliable
) -> None:
    together = threading.Barrier(len(files))

    def wait_for_the_others(*_: str) -> None:
        together.wait(30)

    front.fault = wait_for_the_others
    assert list(read_ahead(files)) == [place.name.encode() for place, _ in files]
    assert len(front.asked) == len(files)


def test_only_so_many_bytes_are_held(
    files: list[tuple[Place, int]], front: s3.Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "AHEAD_BYTES", 2 * files[0][1])
    found = []
    for number, answer in enumerate(read_ahead(files), 1):
        found.append(answer)
        assert len(front.asked) == min(len(files), number + number % 2)
    assert found == [place.name.encode() for place, _ in files]


def test_other_files_are_left_to_be_read_when_they_are_needed(
    files: list[tuple[Place, int]], tmp_path: Path
) -> None:
    small, size = files[0]
    others = [tmp_path / "a.png", to_place("s3://bucket/a.zip/b.png"), to_place("https://h/c.png")]
    asked = [(small, HELD_BYTES + 1), *((other, size) for other in others), files[1]]
    assert list(read_ahead(asked)) == [None, None, None, None, files[1][0].name.encode()]


def test_a_file_that_fails_does_not_stop_others(files: list[tuple[Place, int]]) -> None:
    missing = files[0][0].parent / "missing.png"
    first, fault, last = read_ahead([files[0], (missing, 9), files[1]])
    assert (first, last) == (files[0][0].name.encode(), files[1][0].name.encode())
    assert isinstance(fault, FileNotFoundError)
    with ExitStack() as copies, pytest.raises(InaccessibleImageError, match="vanished"):
        fetch(missing, 9, copies, fault)


def test_where_the_package_is_missing_each_file_says_so(
    files: list[tuple[Place, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise UnreachableError("s3:// cannot be read, for a package is missing.")

    monkeypatch.setattr(file_systems, "file_system", refuse)
    with ExitStack() as copies:
        for (place, size), answer in zip(files, read_ahead(files), strict=True):
            with pytest.raises(InaccessibleImageError, match="a package is missing"):
                fetch(place, size, copies, answer)


def test_files_in_buckets_are_told_by_their_places(tmp_path: Path) -> None:
    schemes = {
        tmp_path / "a.png": None,
        to_place("s3://bucket/a.png"): "s3",
        to_place("gs://bucket/a.png"): "gs",
        to_place("gs://bucket/a.zip"): None,
        to_place("s3://bucket/a.tar/b.png"): None,
        to_place("https://host/a.png"): None,
    }
    assert {place: access.bucket_scheme(place) for place in schemes} == schemes
