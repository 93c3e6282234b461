"""What reads a catalogue gives the same answers, wherever it is and whatever reads it."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import StoreCorruptError, StoreError
from indexer.images.facts import ImageFacts
from indexer.store.catalog.protocol import Catalog, ImageFields, IvfEntry, SegmentEntry
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.catalog.sqlite_reader import SqliteReader
from indexer.store.records import Entry, FileState
from tests.catalogs import KINDS, Place, SqliteFile, place_of, roots_of

COUNT = 1203  # more than two statements ask for
ODD_NAME = os.fsdecode(b"caf\xe9 \xe5\x86\x99.jpg")
NAMED, FAILED, REMOVED = 7, 9, 11
TAKEN = dt.datetime(2024, 2, 29, 13, 7, 1)
REGIONS_AN_IMAGE = 2
SPEC = '{"backbone":"none"}'


def entry(root: int, number: int) -> Entry:
    path = ODD_NAME if number == NAMED else f"{number}.jpg"
    file = FileState(root, path, 1, 1, number.to_bytes(32, "big"))
    if number == FAILED:
        return Entry(file, reason="is empty")
    facts = ImageFacts(640 + number, 480, "JPEG", None, None)
    if number == NAMED:
        facts = ImageFacts(640 + number, 480, "JPEG", TAKEN, "Pinhole")
    return Entry(file, facts)


def hash_of(number: int) -> bytes:
    return entry(1, number).file.content_hash


def fields(number: int) -> ImageFields:
    """What is to be known about an image of `entry`."""
    if number == FAILED:
        return ImageFields(number, 1, "9.jpg", None, None, None, None, hash_of(number))
    if number == NAMED:
        return ImageFields(
            number, 1, ODD_NAME, 640 + number, 480, TAKEN, "Pinhole", hash_of(number)
        )
    return ImageFields(number, 1, f"{number}.jpg", 640 + number, 480, None, None, hash_of(number))


def box(region: int) -> list[int]:
    """The box of a region; those of a removed image are zeros."""
    if (region + 1) // REGIONS_AN_IMAGE == REMOVED:
        return [0, 0, 0, 0]
    return [region, 1, region + 5, 9]


def fill(made: SqlAlchemyCatalog) -> None:
    made.create()
    made.write_spec(SPEC, "fingerprint")
    with made.transaction() as change:
        root = change.add_root("photos")
        images = change.add_images([entry(root, i) for i in range(1, COUNT + 1)])
        assert images == [*range(1, COUNT + 1)]
        owners = np.repeat(images, REGIONS_AN_IMAGE)
        numbers = np.arange(1, len(owners) + 1)
        ones = np.ones_like(numbers)
        boxes = np.column_stack([numbers, ones, numbers + 5, 9 * ones])
        assert change.add_regions(owners, boxes).tolist() == numbers.tolist()
        for number, kind in enumerate(("conv", "region", "conv"), 1):
            change.add_segment(kind, 10 * number, 4)
        change.add_ivf("conv", "balanced", rows=9, trained_rows=8, nprobe=2, recall=0.5)
        change.remove_images([REMOVED, 4_000])


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return place_of(request.param, request, tmp_path)


@pytest.fixture
def writer(place: Place) -> Iterator[SqlAlchemyCatalog]:
    made = place.writer()
    fill(made)
    yield made
    made.close()


@pytest.fixture
def catalog(writer: SqlAlchemyCatalog, place: Place) -> Iterator[Catalog]:
    del writer  # it is filled
    opened = place.reader()
    yield opened
    opened.close()


def test_the_spec(writer: SqlAlchemyCatalog, catalog: Catalog) -> None:
    assert catalog.state().spec == SPEC
    with writer.transaction() as change:
        change.set_spec("{}", "another")
    assert catalog.state().spec == "{}"


def test_a_catalogue_that_was_never_finished_has_no_spec(place: Place) -> None:
    made = place.writer()
    made.create()
    made.close()
    opened = place.reader()
    assert opened.state().spec is None
    assert roots_of(opened) == {}
    assert opened.state().files("conv").segments == []
    opened.close()


def test_roots_as_of_the_last_commit(writer: SqlAlchemyCatalog, catalog: Catalog) -> None:
    assert roots_of(catalog) == {1: "photos"}
    with writer.transaction() as change:
        change.add_root(ODD_NAME)
        assert roots_of(catalog) == {1: "photos"}  # not yet, and without waiting
    assert roots_of(catalog) == {1: "photos", 2: ODD_NAME}


@pytest.mark.parametrize(
    "asked",
    [
        [],
        [NAMED],
        [COUNT + 1, -3, 3 * COUNT],
        [3, COUNT + 1, FAILED, 1, REMOVED],
        [*range(COUNT + 50, 0, -1)],
        [*range(1, 501)],
        [*range(1, 502)],
    ],
    ids=["none", "odd name", "unknown", "mixed", "all", "500", "501"],
)
def test_images(catalog: Catalog, asked: list[int]) -> None:
    found = {image.id: image for image in catalog.images(asked)}
    known = [i for i in asked if 1 <= i <= COUNT and i != REMOVED]
    assert found == {i: fields(i) for i in known}
    assert all(isinstance(image, ImageFields) for image in found.values())


def test_images_by_their_contents(catalog: Catalog) -> None:
    assert catalog.images_of(hash_of(5)) == [5]
    assert catalog.images_of(hash_of(FAILED)) == []
    assert catalog.images_of(hash_of(REMOVED)) == []
    assert catalog.images_of(b"other") == []


def test_whether_keypoints_are_kept(writer: SqlAlchemyCatalog, catalog: Catalog) -> None:
    assert catalog.state().keeps_keypoints is False
    with writer.transaction() as change:
        change.set_keeps_keypoints(True)
    assert catalog.state().keeps_keypoints is True


def test_an_image_by_its_place(writer: SqlAlchemyCatalog, catalog: Catalog) -> None:
    assert catalog.image_at(1, ODD_NAME) == fields(NAMED)
    assert catalog.image_at(1, "5.jpg") == fields(5)
    assert catalog.image_at(2, "5.jpg") is None
    assert catalog.image_at(1, "none.jpg") is None
    assert catalog.image_at(1, f"{FAILED}.jpg") is None  # could not be read
    assert catalog.image_at(1, f"{REMOVED}.jpg") is None
    with writer.transaction() as change:
        change.move_images([(5, FileState(1, f"deep/{ODD_NAME}", 1, 2))])
    assert catalog.image_at(1, "5.jpg") is None
    assert catalog.image_at(1, f"deep/{ODD_NAME}") == fields(5)._replace(path=f"deep/{ODD_NAME}")


def test_boxes_keep_the_order_and_those_of_removed_regions_are_zeros(catalog: Catalog) -> None:
    last = COUNT * REGIONS_AN_IMAGE
    asked = [5, last + 1, *range(last, 0, -1), 5, 0]
    boxes = catalog.boxes(asked)
    assert boxes.dtype == np.int64
    assert boxes.tolist() == [box(i) if 1 <= i <= last else [0] * 4 for i in asked]
    assert [0, 0, 0, 0] in boxes[2:-2].tolist()
    none = catalog.boxes([])
    assert (none.shape, none.dtype) == ((0, 4), np.dtype(np.int64))


def test_files_of_a_kind(writer: SqlAlchemyCatalog, catalog: Catalog) -> None:
    conv = catalog.state().files("conv")
    assert conv.segments == [SegmentEntry(1, "conv", 10, 4), SegmentEntry(3, "conv", 30, 4)]
    assert conv.ivf == IvfEntry(1, "conv", "balanced", 9, 8, 2, 0.5)
    assert sorted(conv.removed.tolist()) == [REMOVED, 4_000]
    region = catalog.state().files("region")
    assert region.segments == [SegmentEntry(2, "region", 20, 4)]
    assert region.ivf is None
    assert sorted(region.removed.tolist()) == [REMOVED, 4_000]
    assert catalog.state().files("fc").segments == []
    with writer.transaction() as change:
        change.drop_segments(conv.segments[:1])
        change.drop_ivf("conv")
        change.forget_removed()
    left = catalog.state().files("conv")
    assert (left.segments, left.ivf) == (conv.segments[1:], None)
    assert (left.removed.shape, left.removed.dtype) == ((0,), np.dtype(np.int64))


def test_the_files_of_a_kind_are_those_of_one_moment(
    writer: SqlAlchemyCatalog, catalog: Catalog
) -> None:
    # Each commit replaces the segment together with the IVF index, so that their rows agree.
    def write(*counts: int) -> None:
        for rows in counts:
            with writer.transaction() as change:
                change.drop_segments(change.segments("conv"))
                change.drop_ivf("conv")
                change.add_segment("conv", rows, 4)
                change.add_ivf(
                    "conv", "balanced", rows=rows, trained_rows=rows, nprobe=1, recall=1.0
                )

    write(1)
    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write, *range(2, 60))
        while not writing.done():
            found = catalog.state().files("conv")
            assert found.ivf is not None
            assert [segment.rows for segment in found.segments] == [found.ivf.rows]
        writing.result()


def test_threads_ask_at_once(catalog: Catalog) -> None:
    def ask(i: int) -> tuple[list[int], str, dict[int, str]]:
        [image] = catalog.images([i])
        return catalog.boxes([2 * i])[0].tolist(), image.path, roots_of(catalog)

    asked = [i for i in range(1, 300) if i not in (REMOVED, NAMED)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, asked))
    assert found == [(box(2 * i), f"{i}.jpg", {1: "photos"}) for i in asked]


def test_it_may_be_asked_again_after_it_was_closed(catalog: Catalog) -> None:
    for _ in range(2):
        assert catalog.state().spec == SPEC
        catalog.close()


# --- damage ---------------------------------------------------------------------------------------

QUESTIONS: list[Callable[[Catalog], object]] = [
    lambda catalog: catalog.state().spec,
    lambda catalog: roots_of(catalog),
    lambda catalog: catalog.images([1]),
    lambda catalog: catalog.image_at(1, "1.jpg"),
    lambda catalog: catalog.boxes([1]),
    lambda catalog: catalog.state().files("conv"),
]


Open = Callable[[Path], Catalog]


@pytest.fixture(params=[SqliteReader, SqlAlchemyCatalog])
def open_catalog(request: pytest.FixtureRequest) -> Open:
    opened: Open = request.param
    return opened


@pytest.mark.parametrize("ask", QUESTIONS)
def test_a_file_that_is_no_catalogue(
    tmp_path: Path, open_catalog: Open, ask: Callable[[Catalog], object]
) -> None:
    file = tmp_path / "catalog.sqlite"
    file.write_bytes(b"This is not a database. " * 100)
    catalog = open_catalog(file)
    with pytest.raises(StoreCorruptError, match=r"catalog\.sqlite.*cbir index --rebuild"):
        ask(catalog)
    catalog.close()


@pytest.mark.parametrize("ask", QUESTIONS)
def test_a_file_without_the_tables(
    tmp_path: Path, open_catalog: Open, ask: Callable[[Catalog], object]
) -> None:
    file = tmp_path / "catalog.sqlite"
    sqlite3.connect(file).close()
    catalog = open_catalog(file)
    with pytest.raises(StoreError, match=r"catalog\.sqlite cannot be used: no such table"):
        ask(catalog)
    catalog.close()


def test_damaged_pages(tmp_path: Path, open_catalog: Open) -> None:
    file = tmp_path / "1.sqlite"
    made = SqlAlchemyCatalog(file)
    fill(made)
    made.close()
    content = bytearray(file.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 512] = b"\xa5" * 512
    file.write_bytes(content)
    catalog = open_catalog(file)
    for ask in QUESTIONS:
        with pytest.raises(StoreError, match=r"1\.sqlite"):
            ask(catalog)
    catalog.close()


def test_a_fault_leaves_the_connection_usable(place: Place, catalog: Catalog) -> None:
    place.run_sql("ALTER TABLE regions RENAME TO hidden")
    with pytest.raises(StoreError, match=r"no such table|relation .* does not exist"):
        catalog.boxes([1])
    place.run_sql("ALTER TABLE hidden RENAME TO regions")
    assert catalog.boxes([1]).tolist() == [box(1)]


ROW_FAULTS = [
    ("UPDATE images SET path = '../5.jpg' WHERE id = 5", lambda catalog: catalog.images([4, 5])),
    ("UPDATE images SET width = width + 1 WHERE id = 5", lambda catalog: catalog.images([5])),
    ("UPDATE images SET root_id = 2 WHERE id = 5", lambda catalog: catalog.image_at(2, "5.jpg")),
    ("UPDATE images SET checksum = NULL WHERE id = 5", lambda catalog: catalog.images([5])),
    ("UPDATE regions SET x0 = x0 + 64 WHERE id = 5", lambda catalog: catalog.boxes([4, 5])),
    ("UPDATE regions SET checksum = NULL WHERE id = 5", lambda catalog: catalog.boxes([5])),
    ("UPDATE segments SET rows = 11 WHERE id = 1", lambda catalog: catalog.state()),
    ("DELETE FROM segments WHERE id = 3", lambda catalog: catalog.state()),
    ("UPDATE lists SET nprobe = 3", lambda catalog: catalog.state()),
    ("DELETE FROM removed WHERE image_id = 11", lambda catalog: catalog.state()),
    ("UPDATE roots SET path = '/etc'", lambda catalog: catalog.state()),
    ("UPDATE spec SET json = '{}'", lambda catalog: catalog.state()),
    ("DELETE FROM spec", lambda catalog: catalog.state()),
    ("UPDATE state SET commits = commits + 1", lambda catalog: catalog.state()),
    ("DELETE FROM state", lambda catalog: catalog.state()),
]
TYPE_FAULTS = [  # SQLite takes any value
    ("UPDATE images SET taken_at = 'soon' WHERE id = 5", lambda catalog: catalog.images([5])),
    ("UPDATE regions SET y1 = 'low' WHERE id = 5", lambda catalog: catalog.boxes([5])),
    ("UPDATE segments SET rows = 'all' WHERE id = 1", lambda catalog: catalog.state()),
    ("UPDATE roots SET path = x'00ff'", lambda catalog: catalog.state()),
]


@pytest.mark.parametrize(("fault", "ask"), ROW_FAULTS)
def test_what_does_not_agree_with_its_checksum_is_not_believed(
    place: Place, catalog: Catalog, fault: str, ask: Callable[[Catalog], object]
) -> None:
    place.run_sql(fault)
    with pytest.raises(StoreCorruptError, match=r"catalogue.*cbir doctor --repair"):
        ask(catalog)


@pytest.mark.parametrize(("fault", "ask"), TYPE_FAULTS)
def test_values_of_another_type_are_not_believed(
    tmp_path: Path, open_catalog: Open, fault: str, ask: Callable[[Catalog], object]
) -> None:
    file = SqliteFile(tmp_path / "catalog.sqlite", open_catalog)
    made = file.writer()
    fill(made)
    made.close()
    file.run_sql(fault)
    catalog = file.reader()
    with pytest.raises(StoreCorruptError, match=r"catalogue.*cbir doctor --repair"):
        ask(catalog)
    catalog.close()


def add_root(catalog: SqlAlchemyCatalog) -> None:
    with catalog.transaction() as change:
        change.add_root("more")


def test_a_commit_does_not_hide_damage(place: Place, writer: SqlAlchemyCatalog) -> None:
    place.run_sql("DELETE FROM segments WHERE id = 3")
    with pytest.raises(StoreCorruptError, match="cbir doctor --repair"):
        add_root(writer)


def test_commits_are_counted(writer: SqlAlchemyCatalog, catalog: Catalog) -> None:
    before = catalog.state()
    assert catalog.commits() == before.commits
    assert catalog.state() is before
    with writer.transaction() as change:
        change.remove_images([1])
    assert catalog.commits() == before.commits + 1
    after = catalog.state()
    assert after.commits == before.commits + 1
    assert set(after.removed.tolist()) - set(before.removed.tolist()) == {1}
