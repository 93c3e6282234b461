"""Comparing all of the catalogue with its checksums."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from indexer.arrays import IdArray
from indexer.errors import StoreCorruptError
from indexer.progress import Progress, no_progress
from indexer.store.catalog.questions import ALL_IMAGES, AskWith, stays_below
from indexer.store.catalog.row_checksums import (
    ANNOTATIONS,
    CONCEPTS,
    DECISIONS,
    FIELDS,
    TAGS,
    WARNINGS,
    CheckedTable,
    are_intact,
    are_sound,
    row_checksum,
)
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.catalog.state import read_state

ROWS_AT_A_TIME = 100_000


@dataclass
class CatalogFaults:
    """What is wrong with a catalogue, and what it says that vectors are compared with.

    `structure` is what the database itself finds, `has_bad_state` whether its small tables do not
    agree with their checksum. `images` are those whose rows are damaged, or those of their regions;
    `concepts` and `fields` are ids, and `tags` and `annotations` those of an image and of one of
    them; `decisions` are those of two images, and `warnings` those of one. `described` (N,) are the
    intact images with vectors, and `regions` (R, 2) the ids of regions and their images, both
    ascending.
    """

    structure: list[str] = field(default_factory=list)
    has_bad_state: bool = False
    images: set[int] = field(default_factory=set)
    concepts: set[int] = field(default_factory=set)
    tags: set[tuple[int, int]] = field(default_factory=set)
    fields: set[int] = field(default_factory=set)
    annotations: set[tuple[int, int]] = field(default_factory=set)
    decisions: set[tuple[int, int]] = field(default_factory=set)
    warnings: set[int] = field(default_factory=set)
    described: IdArray = field(default_factory=lambda: np.empty(0, np.int64))
    regions: IdArray = field(default_factory=lambda: np.empty((0, 2), np.int64))


def inspect_catalog(catalog: SqlAlchemyCatalog, progress: Progress = no_progress) -> CatalogFaults:
    """Read and check every row; raises `StoreError` where the file cannot be read at all."""
    faults = CatalogFaults()
    progress("Checking the catalogue", 0, 0)
    try:
        with catalog.moment() as ask:
            faults.structure = catalog.faults()
            _check_images(ask, faults)
            _check_regions(ask, faults, progress)
            faults.concepts = {key for (key,) in _unsound(ask, CONCEPTS)}
            faults.tags = {(image, concept) for image, concept in _unsound(ask, TAGS)}
            faults.fields = {key for (key,) in _unsound(ask, FIELDS)}
            faults.annotations = {(image, own) for image, own in _unsound(ask, ANNOTATIONS)}
            faults.decisions = {(first, second) for first, second in _unsound(ask, DECISIONS)}
            faults.warnings = {key for (key,) in _unsound(ask, WARNINGS)}
    except StoreCorruptError as error:
        faults.structure = faults.structure or [str(error)]
        return faults
    try:
        with catalog.moment() as ask:
            read_state(lambda query: ask(query, ()), str(catalog.store))
    except StoreCorruptError:
        faults.has_bad_state = True
    return faults


def _check_images(ask: AskWith, faults: CatalogFaults) -> None:
    described = []
    roots = {row[0] for row in ask("SELECT id FROM roots", ())}
    for row in ask(ALL_IMAGES, ()):
        is_placed = row[1] in roots and stays_below(row[2])
        if row_checksum(row[:-1]) != row[-1] or not is_placed:
            faults.images.add(int(row[0]))
        elif row[6] == "ok":
            described.append(row[0])
    faults.described = np.array(sorted(described), np.int64)


def _check_regions(ask: AskWith, faults: CatalogFaults, progress: Progress) -> None:
    [(count,)] = ask("SELECT count(*) FROM regions", ())
    columns = "id, image_id, x0, y0, x1, y1, checksum"
    query = f"SELECT {columns} FROM regions WHERE id > ? ORDER BY id LIMIT ?"
    last, done, found = 0, 0, [np.empty((0, 2), np.int64)]
    while part := [tuple(row) for row in ask(query, (last, ROWS_AT_A_TIME))]:
        last, done = part[-1][0], done + len(part)
        # SQLite takes any type: what is no number is damaged, and would be no row of an array.
        odd = {row for row in part if not all(isinstance(value, int) for value in row)}
        faults.images |= {row[1] for row in odd if isinstance(row[1], int)}
        rows = np.array([row for row in part if row not in odd], np.int64).reshape(-1, 7)
        intact = are_intact(rows)
        faults.images |= set(rows[~intact, 1].tolist())
        found.append(rows[intact, :2])
        progress("Checking regions", done, count)
    faults.regions = np.concatenate(found)


def _unsound(ask: AskWith, table: CheckedTable) -> list[tuple[int, ...]]:
    """Return the keys of rows that do not agree with their checksums."""
    rows = ask(table.query, ())
    return [tuple(row[: table.keys]) for row in rows if not are_sound([row], table.types)]
