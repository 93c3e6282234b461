"""What all kinds of places have in common: one set of tests for all."""

from __future__ import annotations

import pytest

from indexer.sources.access import (
    existing,
    is_file,
    is_folder,
    kind_of,
    read_file,
    source_of,
)
from indexer.sources.place import Place
from tests.places import KINDS, Published

ALL = pytest.mark.parametrize("published", KINDS, indirect=True)
FILES = {
    "a.jpg": b"0123456789" * 50,
    "sub/b c.jpg": bytes(range(256)) * 300,
    "sub/deep/größe.png": b"third",
    "notes.txt": b"text",
}


def fill(published: Published) -> None:
    for name, data in FILES.items():
        path = published.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    published.publish()


def place_of(published: Published, name: str) -> Place:
    """A file of the place, which a web server calls by its encoded name."""
    from urllib.parse import quote

    encoded = quote(name) if str(published.place).startswith("http") else name
    return published.place / encoded


@ALL
def test_kinds_are_told(published: Published) -> None:
    fill(published)
    assert is_folder(published.place)
    assert is_folder(place_of(published, "sub/deep"))
    assert is_file(place_of(published, "sub/b c.jpg"))
    assert kind_of(place_of(published, "missing.jpg")) is None


@ALL
def test_files_are_read_as_a_whole_and_in_part(published: Published) -> None:
    fill(published)
    for name, data in FILES.items():
        file = place_of(published, name)
        assert read_file(file) == data
        assert read_file(file, 3) == data[:3]
        assert source_of(file).stat(file).st_size == len(data)
        with source_of(file).open(file) as opened:
            opened.seek(-4, 2)
            assert opened.read() == data[-4:]
            opened.seek(1)
            assert opened.read(5) == data[1:6]


@ALL
def test_folders_are_listed(published: Published) -> None:
    fill(published)
    listing = source_of(published.place).list(published.place)
    found = {entry.name: entry.is_dir() for entry in listing.entries(published.place)}
    assert found == {"a.jpg": False, "notes.txt": False, "sub": True}
    below = listing.entries(place_of(published, "sub"))
    assert {entry.name.replace("%20", " ") for entry in below} == {"b c.jpg", "deep"}
    assert list(listing.problems) == []


@ALL
def test_the_state_of_a_file_changes_with_it(published: Published) -> None:
    import os

    fill(published)
    file = place_of(published, "a.jpg")
    before = source_of(file).stat(file)
    again = source_of(file).stat(file)
    assert (before.st_size, before.st_mtime_ns, before.st_ino) == (
        again.st_size,
        again.st_mtime_ns,
        again.st_ino,
    )
    own = published.folder / "a.jpg"
    own.write_bytes(b"9876543210" * 50)
    os.utime(own, (2_000_000_000, 2_000_000_000))
    published.publish()
    source = source_of(published.place)
    entries = source.list(published.place).entries(published.place)
    after = next(entry for entry in entries if entry.name == "a.jpg").stat()
    assert (before.st_mtime_ns, before.st_ino) != (after.st_mtime_ns, after.st_ino)


@ALL
def test_what_is_not_there_is_no_file(published: Published) -> None:
    fill(published)
    file = place_of(published, "missing.jpg")
    with pytest.raises(FileNotFoundError):
        read_file(file)
    with pytest.raises(FileNotFoundError):
        source_of(file).stat(file)
    with pytest.raises(FileNotFoundError):
        source_of(file).open(file)
    there = place_of(published, "a.jpg")
    assert existing([there, file], published.place) == {there}
