"""An export as NumPy arrays, and images as lines of JSON."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from indexer.errors import ExportError
from indexer.exports.rows import ExportSource, ExportWriter, ImageRecord, Rows, Table, file_names
from indexer.store.folder import StoreFolder

IMAGES = "images.jsonl"
SUFFIXES = {"ids": ".ids.npy", "images": ".images.npy", "values": ".npy"}
IMAGES_A_STEP = 512
PART_BYTES = 16 << 20  # of an array that are read together
TAKEN_AT = "taken_at"
MOST_LINE = 64 << 20  # bytes of an image: two hundred fields of ten thousand characters
_START_BYTES = 10  # before the header: what it is, and the header's length
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([^']{1,20})', 'fortran_order': (True|False), "
    rb"'shape': \(([\d, ]{0,60})\), \} *\n",
    re.DOTALL,
)


class NumpyWriter(ExportWriter):
    """Writes arrays without knowing their length, which goes into the header at the end."""

    def __init__(self, folder: Path, columns: Sequence[str], tables: Mapping[str, Table]) -> None:
        del columns  # lines of JSON name them
        self._stack = ExitStack()
        self._images = self._stack.enter_context((folder / IMAGES).open("wb"))
        self._arrays: dict[tuple[str, str], _GrowingArray] = {}
        for name, table in tables.items():
            for part, file in file_names(name, SUFFIXES).items():
                width, dtype = _shape_of(part, table)
                opened = self._stack.enter_context((folder / file).open("wb"))
                self._arrays[name, part] = _GrowingArray(opened, width, dtype)

    def add_images(self, records: Sequence[ImageRecord]) -> None:
        """Write images, a line each."""
        for record in records:
            line = json.dumps(record, ensure_ascii=False, default=_to_json)
            self._images.write(line.encode() + b"\n")

    def add_rows(self, table: str, rows: Rows) -> None:
        """Write rows of a table."""
        for part, array in (("ids", rows.ids), ("images", rows.image_ids), ("values", rows.values)):
            self._arrays[table, part].append(array)

    def close(self) -> None:
        """Finish all files."""
        for array in self._arrays.values():
            array.finish()
        self._stack.close()


def _shape_of(part: str, table: Table) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape of a row of an array, and its type."""
    return ((table.width,), table.dtype) if part == "values" else ((), np.dtype(np.int64))


def _to_json(value: Any) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no JSON")


class _GrowingArray:
    """A `.npy` file that rows are appended to; NumPy leaves room in its header for their number."""

    def __init__(self, file: BinaryIO, width: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._file, self._width, self._dtype = file, width, dtype
        self._rows = 0
        self._write_header()

    def append(self, array: npt.NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(array, self._dtype).tobytes())
        self._rows += len(array)

    def finish(self) -> None:
        self._file.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._rows, *self._width),
        }
        np.lib.format.write_array_header_1_0(self._file, header)


class NumpySource(ExportSource):
    """Reads the files, a few rows at a time; nothing in them is ever unpickled."""

    def __init__(self, folder: StoreFolder, columns: Sequence[str]) -> None:
        del columns  # lines of JSON name them
        self._folder = folder

    def images(self) -> Iterator[list[ImageRecord]]:
        """Yield all images, some at a time."""
        with self._folder.read(IMAGES) as file:
            lines = iter(lambda: file.readline(MOST_LINE), b"")
            while part := list(islice(lines, IMAGES_A_STEP)):
                yield [_parse(line) for line in part]

    def rows(self, name: str, table: Table) -> Iterator[Rows]:
        """Yield all rows of a table, some at a time."""
        with ExitStack() as stack:
            parts = []
            for part, file in file_names(name, SUFFIXES).items():
                width, dtype = _shape_of(part, table)
                stream = stack.enter_context(self._folder.read(file))
                size = self._folder.size_of(file)
                _read_header(stream, file, size, (table.rows, *width), dtype)
                parts.append((stream, width, dtype))
            step = max(1, PART_BYTES // (16 + table.width * table.dtype.itemsize))
            for start in range(0, table.rows, step):
                count = min(step, table.rows - start)
                yield Rows(*(_read_rows(*part, count) for part in parts))


def _parse(line: bytes) -> ImageRecord:
    """Return the image that a line is."""
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise TypeError("no object")
        if record.get(TAKEN_AT) is not None:
            record[TAKEN_AT] = dt.datetime.fromisoformat(record[TAKEN_AT])
    except (ValueError, TypeError, RecursionError) as error:
        raise ExportError(f"a line of {IMAGES} is no image ({error})") from error
    return record


def _read_header(
    stream: BinaryIO, name: str, size: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    """Read the header of an array, and raise `ExportError` unless the array is the wanted one.

    NumPy's own way to read it evaluates it as Python.
    """
    start = stream.read(_START_BYTES)
    found = _HEADER.fullmatch(start + stream.read(int.from_bytes(start[-2:], "little")))
    if found is None:
        raise ExportError(f"{name} is no array as NumPy writes it, or it is one of objects")
    wanted = (np.lib.format.dtype_to_descr(dtype), "False", ", ".join(map(str, shape)))
    descr, order, text = (part.decode("latin-1").rstrip(",") for part in found.groups())
    if (descr, order, text) != wanted:
        raise ExportError(
            f"{name} is an array of {descr} of the shape {text}{_order(order)}, not of {wanted[0]} "
            f"of the shape {wanted[2]}"
        )
    wanted_size = stream.tell() + math.prod(shape) * dtype.itemsize
    if size != wanted_size:
        raise ExportError(f"{name} has {size:,} bytes, not {wanted_size:,}")


def _order(is_fortran: str) -> str:
    return " in Fortran's order" if is_fortran == "True" else ""


def _read_rows(
    stream: BinaryIO, width: tuple[int, ...], dtype: np.dtype[Any], count: int
) -> npt.NDArray[Any]:
    row_bytes = math.prod(width) * dtype.itemsize
    data = stream.read(count * row_bytes)
    if len(data) != count * row_bytes:
        raise ExportError("a file became shorter while it was read")
    return np.frombuffer(data, dtype).reshape(count, *width)
