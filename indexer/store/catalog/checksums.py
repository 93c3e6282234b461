"""Writing the checksums of the catalogue's rows, and of its state as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from indexer.store.catalog.questions import IMAGE_COLUMNS
from indexer.store.catalog.row_checksums import CHECKED, region_checksums, row_checksum
from indexer.store.catalog.state import read_checksum
from indexer.store.catalog.statements import ask, execute
from indexer.store.trust import NO_SEAL, seal

REGIONS_AT_A_TIME = 100_000


def write_image_checksums(
    connection: Connection, condition: str = "1 = 1", values: Sequence[object] = ()
) -> None:
    """Write the checksums of the images that meet a condition, with values for its `?`."""
    query = f"SELECT {IMAGE_COLUMNS} FROM images WHERE {condition}"
    rows = list(ask(connection, query, values))
    _write(connection, "UPDATE images SET checksum = ? WHERE id = ?", rows)


def write_all_checksums(connection: Connection) -> None:
    """Write the checksums of all rows, as they are: for a catalogue that has none."""
    write_image_checksums(connection)
    for table in CHECKED:
        rows = [row[:-1] for row in ask(connection, table.query)]
        update = f"UPDATE {table.name} SET checksum = ? WHERE {table.condition}"
        _write(connection, update, rows, key=table.keys)
    _write_region_checksums(connection)


def write_state(connection: Connection, commits: int, *, seals: bool) -> None:
    """Write the number of a commit and its checksum, which this account `seals` or does not."""
    checksum = read_checksum(lambda query: ask(connection, query), commits)
    execute(connection, "DELETE FROM state")
    execute(
        connection,
        "INSERT INTO state (id, commits, checksum, seal) VALUES (1, ?, ?, ?)",
        [(commits, checksum, seal(checksum) if seals else NO_SEAL)],
    )


def _write(
    connection: Connection, statement: str, rows: Sequence[Sequence[Any]], *, key: int = 1
) -> None:
    execute(connection, statement, [(row_checksum(row), *row[:key]) for row in rows])


def _write_region_checksums(connection: Connection) -> None:
    query = "SELECT id, image_id, x0, y0, x1, y1 FROM regions WHERE id > ? ORDER BY id LIMIT ?"
    last = 0
    while found := list(ask(connection, query, (last, REGIONS_AT_A_TIME))):
        rows = np.array([tuple(row) for row in found], np.int64)
        values = zip(region_checksums(rows).tolist(), rows[:, 0].tolist(), strict=True)
        execute(connection, "UPDATE regions SET checksum = ? WHERE id = ?", list(values))
        last = int(rows[-1, 0])
