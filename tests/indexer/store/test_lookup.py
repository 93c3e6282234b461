"""Looking up what a search needs: the same answers as from the tables, and from any thread."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from indexer.errors import StoreCorruptError, StoreError
from indexer.store.catalog import (
    Catalog,
    ImageRow,
    ListsRow,
    RegionRow,
    RemovedRow,
    RootRow,
    SegmentRow,
)
from indexer.store.lookup import CatalogLookup, ListsEntry, SegmentEntry

COUNT = 1203  # more than one statement asks for
ODD_NAME = os.fsdecode(b"caf\xe9 \xe5\x86\x99.jpg")
TAKEN = dt.datetime(2024, 2, 29, 13, 7, 1)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = Catalog(tmp_path / "what?mode=ro #1.sqlite")
    made.prepare()
    with made.session() as session:
        session.add(RootRow(id=3, path="photos"))
        session.flush()
        session.add_all(
            ImageRow(
                id=i,
                root_id=3,
                path=ODD_NAME if i == 7 else f"{i}.jpg",
                size_bytes=1,
                mtime_ns=1,
                content_hash=bytes(32),
                state="failed" if i == 9 else "ok",
                width=None if i == 9 else 640 + i,
                height=None if i == 9 else 480,
                taken_at=TAKEN if i == 7 else None,
                camera="Pinhole" if i == 7 else None,
            )
            for i in range(1, COUNT + 1)
        )
        session.add_all(
            RegionRow(id=i, image_id=1 + i // 3, x0=i, y0=1, x1=i + 5, y1=9)
            for i in range(1, COUNT + 1)
        )
        session.add_all(
            SegmentRow(id=i, kind=kind, rows=10 * i, dimension=4)
            for i, kind in enumerate(("conv", "region", "conv"), 1)
        )
        session.add(
            ListsRow(
                id=5, kind="conv", form="balanced", rows=9, trained_rows=8, nprobe=2, recall=0.5
            )
        )
        session.add_all(RemovedRow(image_id=i) for i in (4, 2))
        session.commit()
    yield made
    made.close()


@pytest.fixture
def lookup(catalog: Catalog) -> Iterator[CatalogLookup]:
    opened = CatalogLookup(catalog.path)
    yield opened
    opened.close()


def test_images_are_as_in_the_table(catalog: Catalog, lookup: CatalogLookup) -> None:
    asked = [*range(COUNT + 50, 0, -1)]
    found = {image.id: image for image in lookup.images(asked)}
    with catalog.session() as session:
        rows = {row.id: row for row in session.scalars(select(ImageRow))}
    assert found.keys() == rows.keys()
    for image_id, row in rows.items():
        expected = (row.id, "photos", row.path, row.width, row.height, row.taken_at, row.camera)
        assert tuple(found[image_id]) == expected
    assert found[7].path == ODD_NAME
    assert found[7].taken_at == TAKEN
    assert lookup.images([]) == []


def test_an_image_by_its_place(lookup: CatalogLookup) -> None:
    found = lookup.image_at(3, ODD_NAME)
    assert found is not None
    assert found.id == 7
    assert lookup.image_at(4, ODD_NAME) is None
    assert lookup.image_at(3, "9.jpg") is None  # could not be read


def test_boxes_keep_the_order_and_those_that_are_gone_are_zeros(lookup: CatalogLookup) -> None:
    asked = [5, COUNT + 1, *range(COUNT, 0, -1), 5]
    expected = [[i, 1, i + 5, 9] if i <= COUNT else [0] * 4 for i in asked]
    assert lookup.boxes(asked).tolist() == expected
    assert lookup.boxes([]).shape == (0, 4)


def test_files_of_a_kind(lookup: CatalogLookup) -> None:
    conv = lookup.files("conv")
    assert conv.segments == [
        SegmentEntry("00000001-conv", 10, 4),
        SegmentEntry("00000003-conv", 30, 4),
    ]
    assert conv.lists == ListsEntry("00000005-conv-balanced", "balanced", 9, 8, 2, 0.5)
    assert sorted(conv.removed.tolist()) == [2, 4]
    assert conv.removed.dtype == np.int64
    assert lookup.files("region").lists is None
    assert lookup.files("fc").segments == []


def test_what_was_committed_since_is_seen(catalog: Catalog, lookup: CatalogLookup) -> None:
    assert lookup.roots() == {3: "photos"}
    with catalog.session() as session:
        session.add(RootRow(id=4, path=ODD_NAME))
        session.flush()
        assert lookup.roots() == {3: "photos"}  # not yet, and without waiting
        session.commit()
    assert lookup.roots() == {3: "photos", 4: ODD_NAME}


def test_threads_ask_at_once(lookup: CatalogLookup) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda i: lookup.boxes([i])[0, 0], range(1, COUNT)))
    assert found == [*range(1, COUNT)]


def test_nothing_can_be_asked_of_a_file_that_is_no_catalogue(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    file.write_bytes(b"This is not a database. " * 100)
    lookup = CatalogLookup(file)
    assert not lookup.is_current()
    with pytest.raises(StoreCorruptError, match=r"catalog\.sqlite.*cbir index --rebuild"):
        lookup.roots()
    file.unlink()
    with pytest.raises(StoreError, match=r"catalog\.sqlite cannot be used"):
        CatalogLookup(file).roots()
    assert not file.exists()


def test_a_fault_leaves_no_connection_behind(lookup: CatalogLookup) -> None:
    connection = sqlite3.connect(lookup.path)
    with connection:
        connection.execute("ALTER TABLE regions RENAME TO hidden")
    with pytest.raises(StoreError, match="no such table"):
        lookup.boxes([1])
    with connection:
        connection.execute("ALTER TABLE hidden RENAME TO regions")
    connection.close()
    assert lookup.boxes([1]).tolist() == [[1, 1, 6, 9]]


def test_the_schema_is_known(catalog: Catalog, lookup: CatalogLookup) -> None:
    assert lookup.is_current()
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0003'")
    assert not lookup.is_current()
