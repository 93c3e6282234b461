"""Names of places: paths, URLs, and what lies below what."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.errors import UnreachableError
from indexer.sources.place import (
    Place,
    Remote,
    archive_of,
    as_path,
    is_below,
    named,
    path_below,
    to_place,
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("photos/a.jpg", Path("photos/a.jpg")),
        ("s3:/not/a/url", Path("s3:/not/a/url")),
        ("C://photos", Path("C://photos")),
        ("s3://Bucket/Photos/", Remote("s3://Bucket/Photos")),
        ("S3://bucket", Remote("s3://bucket")),
        ("https://Example.ORG/A b/", Remote("https://example.org/A b")),
        ("s3://bucket/what?.jpg", Remote("s3://bucket/what?.jpg")),
        ("zip://::s3://bucket/a.zip", Remote("s3://bucket/a.zip")),
        ("zip://in/cat.jpg::s3://bucket/a.zip", Remote("s3://bucket/a.zip/in/cat.jpg")),
        ("tar://cat.jpg::shards/1.tar", Path("shards/1.tar/cat.jpg")),
    ],
)
def test_texts_name_places(text: str, place: Place) -> None:
    assert to_place(text) == place


def test_a_url_has_the_parts_of_a_path() -> None:
    place = to_place("s3://bucket/photos/sub") / "a.b.jpg"
    assert (place.name, place.suffix, str(place)) == (
        "a.b.jpg",
        ".jpg",
        "s3://bucket/photos/sub/a.b.jpg",
    )
    assert [str(above) for above in place.parents] == [
        "s3://bucket/photos/sub",
        "s3://bucket/photos",
        "s3://bucket",
    ]
    top = to_place("s3://bucket")
    assert (top.parent, top / ".", list(top.parents)) == (top, top, [])


def test_what_lies_below_is_told_by_whole_names() -> None:
    folder = to_place("s3://bucket/photos")
    assert is_below(folder, folder)
    assert is_below(folder / "a.jpg", folder)
    assert not is_below(to_place("s3://bucket/photos2/a.jpg"), folder)
    assert not is_below(to_place("gs://bucket/photos/a.jpg"), folder)
    assert not is_below(Path("/photos/a.jpg"), folder)
    assert not is_below(folder, Path("/"))
    for top in (folder, Path("/"), Path("/photos")):
        assert top / path_below(top, top / "x" / "ä.jpg") == top / "x" / "ä.jpg"
        assert path_below(top, top) == ""


def test_archives_are_told_by_their_names() -> None:
    assert archive_of(Path("/a/b.ZIP/c/d.jpg")) == (Path("/a/b.ZIP"), "c/d.jpg")
    assert archive_of(to_place("s3://b/1.tar")) == (Remote("s3://b/1.tar"), "")
    assert archive_of(Path("/a/zip/d.jpg")) is None
    assert archive_of(Path("/a.zip.d/e.jpg")) is None


def test_a_url_is_not_on_this_machine() -> None:
    assert as_path(named("/a/b")) == Path("/a/b")
    with pytest.raises(UnreachableError):
        as_path(named("s3://bucket/a/"))
