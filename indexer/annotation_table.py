"""Tables of annotations: CSV files with a row for each photo, joined to a store by path."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from indexer.errors import AnnotationError
from indexer.images.page_paths import page_of
from indexer.store.annotations import annotate, require_names
from indexer.store.store import Store

PATH_NAMES = ("path", "file", "filename", "image")
DELIMITERS = (",", ";", "\t", "|")
MAX_CELL = 1_000_000  # characters; more is a quote that was never closed


@dataclass(frozen=True)
class AnnotationTable:
    """Rows (line, path, values) of a table, in the order of `fields`; `folder` is where it is."""

    folder: Path
    fields: tuple[str, ...]
    rows: list[tuple[int, str, tuple[str, ...]]]


@dataclass
class AnnotationReport:
    """What a table did: its `fields`, the `images` annotated, and (line, path) that are no photo.

    `repeated` counts rows of photos that have a later row, which counts. `ambiguous` are (line,
    path) that name photos in several folders, of which the first was taken.
    """

    fields: list[str]
    images: int = 0
    unknown: list[tuple[int, str]] = field(default_factory=list)
    repeated: int = 0
    ambiguous: list[tuple[int, str]] = field(default_factory=list)


def read_table(
    file: Path, *, path_column: str | None = None, only: Sequence[str] = ()
) -> AnnotationTable:
    """Read a CSV file in UTF-8, whose first line names its columns.

    The paths are in `path_column`, or in a column of that or a similar name, else in the first.
    All other columns are fields, or `only` these. Raises `AnnotationError`, naming the line.
    """
    csv.field_size_limit(MAX_CELL)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return _read(file, stream, path_column, only)
    except OSError as error:
        raise AnnotationError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{file} is not in UTF-8; save it as CSV in UTF-8.") from error


def _read(
    file: Path, stream: IO[str], path_column: str | None, only: Sequence[str]
) -> AnnotationTable:
    start = stream.readline()
    stream.seek(0)
    reader = csv.reader(stream, delimiter=max(DELIMITERS, key=start.count), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        place = _place_of_paths(file, header, path_column)
        chosen = _chosen(file, header, place, only)
        rows = [
            (reader.line_num, row[place], tuple(row[i].strip() for i in chosen))
            for row in _rows(file, reader, len(header))
        ]
    except csv.Error as error:
        raise AnnotationError(f"{file}, line {reader.line_num}: {error}.") from error
    fields = tuple(header[i] for i in chosen)
    require_names(fields)
    return AnnotationTable(Path(os.path.abspath(file)).parent, fields, rows)


def _place_of_paths(file: Path, header: Sequence[str], wanted: str | None) -> int:
    names = [name.casefold() for name in header]
    if len(header) < 2:
        raise AnnotationError(
            f"{file} has no columns: its first line names them, such as path,title,year"
        )
    if wanted is not None:
        if wanted.casefold() not in names:
            raise AnnotationError(
                f"{file} has no column {wanted!r}; there are {', '.join(header)}."
            )
        return names.index(wanted.casefold())
    return next((names.index(name) for name in PATH_NAMES if name in names), 0)


def _chosen(file: Path, header: Sequence[str], place: int, only: Sequence[str]) -> list[int]:
    others = {name.casefold(): i for i, name in enumerate(header) if i != place}
    for name in only:
        if name.casefold() not in others:
            raise AnnotationError(f"{file} has no column {name!r}; there are {', '.join(header)}.")
    if only:
        return [others[name.casefold()] for name in only]
    return [i for i in range(len(header)) if i != place]


def _rows(file: Path, reader: Iterator[list[str]], columns: int) -> Iterator[list[str]]:
    for number, row in enumerate(reader, 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != columns:
            raise AnnotationError(
                f"{file}, row {number} has {len(row)} cells, the first one {columns}."
            )
        yield row


def apply_table(store: Store, table: AnnotationTable) -> AnnotationReport:
    """Let the fields of a store say what the rows of a table do; empty cells say nothing.

    A path is absolute, or below a folder of photos or that of the table; all pages of a file are
    meant, unless the path names one. Raises `AnnotationError`, and `StoreLockedError`.
    """
    report = AnnotationReport(list(table.fields))
    found = _Paths(store)
    values: dict[int, tuple[str, ...]] = {}
    for line, path, cells in table.rows:
        ids, *others = found.at(path, table.folder) or [[]]
        if not ids:
            report.unknown.append((line, path))
        if others:
            report.ambiguous.append((line, path))
        report.repeated += any(i in values for i in ids)
        values |= dict.fromkeys(ids, cells)
    report.images = len(values)
    with store.writing():
        annotate(
            store,
            {
                name: {image_id: cells[place] for image_id, cells in values.items()}
                for place, name in enumerate(table.fields)
            },
        )
    return report


class _Paths:
    """The images of a store by their paths."""

    def __init__(self, store: Store) -> None:
        self._roots = [(i, str(root).rstrip("/")) for i, root in store.roots().items()]
        self._ids: dict[tuple[int, str], list[int]] = {}
        for (root_id, path), known in store.known_files().items():
            for name in {path, page_of(path)[0]}:
                self._ids.setdefault((root_id, name), []).append(known.id)

    def at(self, path: str, folder: Path) -> list[list[int]]:
        """Return the ids of the images at a path, for each folder where there are any."""
        path = path.strip()
        is_absolute = path.startswith("/") or "://" in path or Path(path).is_absolute()
        absolute = path if is_absolute else f"{folder}/{path}"
        below = [
            (i, absolute[len(root) + 1 :]) for i, root in self._roots if _is_in(absolute, root)
        ]
        if not is_absolute:
            below += [(root_id, path) for root_id, _ in self._roots]
        found = [self._ids.get((root_id, _tidy(name)), []) for root_id, name in below]
        return [ids for i, ids in enumerate(found) if ids and ids not in found[:i]]


def _is_in(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _tidy(path: str) -> str:
    """Return a path below a folder without `.` and `..`, with slashes."""
    return os.path.normpath(path.replace("\\", "/")) if path else path
