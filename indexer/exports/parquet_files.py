"""An export as Parquet files, which pandas, DuckDB, Polars and Spark read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from indexer.errors import ExportError
from indexer.exports.records import COLUMNS, TAGS
from indexer.exports.rows import (
    REGIONS,
    ExportSource,
    ExportWriter,
    ImageRecord,
    Rows,
    Table,
    file_names,
)
from indexer.store.folder import StoreFolder

IMAGES = "images.parquet"
GROUP_BYTES = 16 << 20  # of the rows that are written, or read, together
MOST_GROUP_BYTES = 1 << 30
IMAGES_A_STEP = 512
BOX = ("x0", "y0", "x1", "y1")
_TYPES = {int: pa.int64(), str: pa.string(), dt.datetime: pa.timestamp("us")}
_FAULTS = (pa.ArrowException, OSError, ValueError, TypeError, KeyError)


def parquet_name(table: str) -> str:
    """Return the file of a table of rows."""
    return file_names(table, {"": ".parquet"})[""]


def image_schema(columns: Sequence[str]) -> pa.Schema:
    """Return the columns of images, with those of the user's fields."""
    own = [(name, _TYPES[column.type]) for name, column in COLUMNS.items()]
    texts = [(name, pa.string()) for name in columns]
    return pa.schema([*own, *texts, (TAGS, pa.map_(pa.string(), pa.float64()))])


def row_schema(name: str, table: Table) -> pa.Schema:
    """Return the columns of a table of rows: its ids, and a box or a vector."""
    if name == REGIONS:
        return pa.schema([(n, pa.int64()) for n in ("region_id", "image_id", *BOX)])
    vector = pa.list_(pa.field("element", pa.float16()), table.width)
    return pa.schema([("id", pa.int64()), ("image_id", pa.int64()), ("vector", vector)])


class ParquetWriter(ExportWriter):
    """Writes the files in row groups of about 16 MB."""

    def __init__(self, folder: Path, columns: Sequence[str], tables: Mapping[str, Table]) -> None:
        self._schemas = {name: row_schema(name, table) for name, table in tables.items()}
        self._images = pq.ParquetWriter(folder / IMAGES, image_schema(columns), compression="zstd")
        self._files = {
            name: pq.ParquetWriter(
                folder / parquet_name(name),
                schema,
                compression="zstd" if name == REGIONS else "none",
                use_dictionary=False,
            )
            for name, schema in self._schemas.items()
        }
        self._held: dict[str, list[Rows]] = {name: [] for name in tables}

    def add_images(self, records: Sequence[ImageRecord]) -> None:
        """Write images."""
        rows = [record | {TAGS: list(record[TAGS].items())} for record in records]
        self._images.write_table(pa.Table.from_pylist(rows, self._images.schema))

    def add_rows(self, table: str, rows: Rows) -> None:
        """Write rows of a table, once there are enough for a row group."""
        held = self._held[table]
        held.append(rows)
        if sum(part.byte_count for part in held) >= GROUP_BYTES:
            self._flush(table)

    def close(self) -> None:
        """Finish all files."""
        for table in self._files:
            self._flush(table)
        for file in (self._images, *self._files.values()):
            file.close()

    def _flush(self, table: str) -> None:
        if self._held[table]:
            rows = Rows.join(self._held[table])
            self._held[table].clear()
            self._files[table].write_table(_to_table(rows, self._schemas[table]))


def _to_table(rows: Rows, schema: pa.Schema) -> pa.Table:
    values: list[Any]
    if pa.types.is_fixed_size_list(schema.types[-1]):
        flat = pa.array(np.ascontiguousarray(rows.values).reshape(-1))
        values = [pa.FixedSizeListArray.from_arrays(flat, type=schema.types[-1])]
    else:
        values = [pa.array(rows.values[:, i]) for i in range(rows.values.shape[1])]
    return pa.table([pa.array(rows.ids), pa.array(rows.image_ids), *values], schema=schema)


class ParquetSource(ExportSource):
    """Reads the files, a few rows at a time."""

    def __init__(self, folder: StoreFolder, columns: Sequence[str]) -> None:
        self._folder = folder
        self._columns = columns

    def images(self) -> Iterator[list[ImageRecord]]:
        """Yield all images, some at a time."""
        for batch in self._batches(IMAGES, image_schema(self._columns), IMAGES_A_STEP):
            with _explaining(IMAGES):
                records = batch.to_pylist()
                for record in records:
                    record[TAGS] = dict(record[TAGS])
            yield records

    def rows(self, name: str, table: Table) -> Iterator[Rows]:
        """Yield all rows of a table, some at a time."""
        file = parquet_name(name)
        step = max(1, GROUP_BYTES // (16 + table.width * table.dtype.itemsize))
        for batch in self._batches(file, row_schema(name, table), step):
            if any(_nulls(column) for column in batch.columns):
                raise ExportError(f"{file} has empty cells")
            ids, image_ids, *values = (_to_numpy(column) for column in batch.columns)
            shape = (batch.num_rows, table.width)
            joined = values[0] if name != REGIONS else np.column_stack(values)
            yield Rows(ids, image_ids, joined.reshape(shape))

    def _batches(self, name: str, schema: pa.Schema, step: int) -> Iterator[pa.RecordBatch]:
        with self._folder.read(name) as stream:
            with _explaining(name):
                # Else all that was read stays in memory until the file is closed.
                file = pq.ParquetFile(stream, pre_buffer=False)
                _require_schema(name, file.schema_arrow, schema)
                _require_bounded(name, file.metadata)
                batches = file.iter_batches(step)
            while True:
                with _explaining(name):
                    batch = next(batches, None)
                if batch is None:
                    return
                yield batch


def _nulls(column: pa.Array) -> int:
    inner = column.flatten().null_count if pa.types.is_fixed_size_list(column.type) else 0
    return int(column.null_count + inner)


def _to_numpy(column: pa.Array) -> Any:
    is_list = pa.types.is_fixed_size_list(column.type)
    return (column.flatten() if is_list else column).to_numpy(zero_copy_only=False)


def _require_schema(name: str, found: pa.Schema, wanted: pa.Schema) -> None:
    if found.names != wanted.names:
        raise ExportError(
            f"{name} has the columns {', '.join(found.names)}, not {', '.join(wanted.names)}"
        )
    for own, other in zip(found, wanted, strict=True):
        if not own.type.equals(other.type):
            raise ExportError(f"the column {own.name} of {name} is {own.type}, not {other.type}")


def _require_bounded(name: str, metadata: pq.FileMetaData) -> None:
    """Raise `ExportError` for row groups that are too large to be read."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    if any(group.total_byte_size > MOST_GROUP_BYTES for group in groups):
        raise ExportError(f"{name} has row groups of more than {MOST_GROUP_BYTES >> 20} MiB")


@contextmanager
def _explaining(name: str) -> Iterator[None]:
    """Raise `ExportError` for what Arrow says about a damaged file."""
    try:
        yield
    except _FAULTS as error:
        raise ExportError(f"{name} cannot be read ({str(error).strip('. ')})") from error
