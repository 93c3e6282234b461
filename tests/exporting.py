"""Exported folders, changed as somebody might who makes their checksums fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from indexer.merge import merge_stores, merging
from indexer.run import IndexReport
from indexer.store.store import Store


@contextmanager
def merged(place: Path, *sources: Path) -> Iterator[tuple[Store, IndexReport]]:
    """Merge sources into the store at `place`."""
    with merging(place, sources) as (whole, parts):
        yield whole, merge_stores(whole, parts)


def change_manifest(export: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of an export; its seal stays as it was."""
    file = export / "export.json"
    values = json.loads(file.read_text("utf-8"))
    change(values)
    file.write_text(json.dumps(values), "utf-8")


def forge(export: Path) -> None:
    """Let the manifest of an export name the checksums that its files have."""

    def rename(values: dict[str, Any]) -> None:
        for name in values["files"]:
            data = (export / name).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            values["files"][name] = {"bytes": len(data), "sha256": digest}

    change_manifest(export, rename)


def change_table(file: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a Parquet file, and its checksum."""
    pq.write_table(change(pq.read_table(file)), file)
    forge(file.parent)


def change_column(file: Path, name: str, change: Callable[[list[Any]], list[Any]]) -> None:
    """Change a column of a Parquet file, which keeps its type, and its checksum."""

    def changed(table: pa.Table) -> pa.Table:
        place, field = table.schema.get_field_index(name), table.schema.field(name)
        column = pa.array(change(table.column(name).to_pylist()), field.type)
        return table.set_column(place, field, column)

    change_table(file, changed)


def change_array(file: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change a file of NumPy, and its checksum."""
    np.save(file, change(np.load(file)))
    forge(file.parent)
