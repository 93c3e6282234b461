"""Images as records of an export: the columns that other programs see, and back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexer.errors import ExportError
from indexer.exports.rows import ImageRecord
from indexer.images.facts import ImageFacts
from indexer.images.page_paths import page_of
from indexer.sources.place import Place, is_plain_name
from indexer.store.annotations import is_unicode
from indexer.store.catalog.paths import from_stored, to_stored
from indexer.store.records import Entry, FileState

HASH_BYTES = (0, 32)  # none where the file could not be read
MOST_INT64 = 2**63 - 1
MOST_SIDE = 2**31 - 1


@dataclass(frozen=True)
class Column:
    """A column of images: its type, and whether a cell may be empty."""

    type: type
    optional: bool = False


COLUMNS: dict[str, Column] = {
    "id": Column(int),
    "root_id": Column(int),
    "root": Column(str),
    "path": Column(str),  # below the root, with slashes
    "place": Column(str),  # the absolute path, or the URL
    "content_hash": Column(str),  # SHA-256 in hex
    "size_bytes": Column(int),
    "mtime_ns": Column(int),
    "ctime_ns": Column(int, optional=True),
    "inode": Column(int, optional=True),
    "pages": Column(int, optional=True),
    "state": Column(str),  # ok, blank or failed
    "reason": Column(str, optional=True),
    "width": Column(int, optional=True),
    "height": Column(int, optional=True),
    "format": Column(str, optional=True),
    "taken_at": Column(dt.datetime, optional=True),
    "camera": Column(str, optional=True),
    "warnings": Column(str, optional=True),  # a line each
}
TAGS = "tags"  # probabilities by the names of the concepts


def column_names(fields: Sequence[str]) -> dict[str, str]:
    """Return the columns of fields of the user's own, by field: their names where those are free.

    Letters are compared in any case, as SQL does.
    """
    taken = {*COLUMNS, TAGS, *(field.casefold() for field in fields)}
    columns = {}
    for field in fields:
        name = field
        if field.casefold() in (*COLUMNS, TAGS):
            name = f"{field}_field"
            while name.casefold() in taken:
                name += "_"
            taken.add(name.casefold())
        columns[field] = name
    return columns


def to_record(
    image_id: int,
    entry: Entry,
    root: Place,
    fields: Mapping[str, str | None],
    tags: Mapping[str, float],
) -> ImageRecord:
    """Return the record of an image; `fields` by column, None where they say nothing."""
    file = entry.file
    return {
        "id": image_id,
        "root_id": file.root_id,
        "root": to_stored(str(root)),
        "path": to_stored(file.path),
        "place": to_stored(str(root / file.path)),
        "content_hash": file.content_hash.hex(),
        **entry.columns(),
        "warnings": to_stored("\n".join(entry.warnings)) or None,
        **fields,
        TAGS: dict(tags),
    }


def to_entry(record: ImageRecord, columns: Sequence[str], roots: Mapping[int, int]) -> Entry:
    """Return the entry of a record, without features, as another store commits it.

    `columns` are those of the user's fields, and `roots` the ids of roots there by those here.
    Raises `ExportError` for values that no store has.
    """
    for name, column in COLUMNS.items():
        _check(record, name, column)
    for name in columns:
        _check(record, name, Column(str, optional=True))
    _check_tags(record)
    state, reason, path = record["state"], record["reason"], from_stored(record["path"])
    _require(record, "root_id", record["root_id"] in roots)
    _require(record, "path", is_plain_name(page_of(path)[0]))
    _require(record, "state", state in ("ok", "blank", "failed"))
    _require(record, "reason", bool(reason) == (state == "failed"))
    facts = _facts(record)
    _require(record, "width", facts is not None or state == "failed")
    file = FileState(
        roots[record["root_id"]],
        path,
        record["size_bytes"],
        record["mtime_ns"],
        _hash(record),
        record["ctime_ns"],
        record["inode"],
    )
    return Entry(
        file,
        facts,
        reason=reason or None,
        pages=record["pages"],
        is_blank=state == "blank",
        warnings=tuple(from_stored(record["warnings"]).split("\n")) if record["warnings"] else (),
    )


def _check(record: ImageRecord, name: str, column: Column) -> None:
    value = record.get(name)
    good = column.optional if value is None else type(value) is column.type
    if good and isinstance(value, int):
        good = -MOST_INT64 <= value <= MOST_INT64
    if good and isinstance(value, str):
        good = is_unicode(value)
    if good and isinstance(value, dt.datetime):
        good = value.tzinfo is None
    _require(record, name, good)


def _check_tags(record: ImageRecord) -> None:
    tags = record.get(TAGS)
    good = isinstance(tags, dict) and all(
        isinstance(name, str) and type(p) is float and 0 <= p <= 1 for name, p in tags.items()
    )
    _require(record, TAGS, good)


def _facts(record: ImageRecord) -> ImageFacts | None:
    width, height = record["width"], record["height"]
    if width is None and height is None:
        return None
    for name, side in (("width", width), ("height", height)):
        _require(record, name, side is not None and 0 < side <= MOST_SIDE)
    return ImageFacts(width, height, record["format"], record["taken_at"], record["camera"])


def _hash(record: ImageRecord) -> bytes:
    try:
        found = bytes.fromhex(record["content_hash"])
    except ValueError:
        found = b"?"
    _require(record, "content_hash", len(found) in HASH_BYTES)
    return found


def _require(record: ImageRecord, name: str, good: bool) -> None:
    if not good:
        value: Any = record.get(name)
        raise ExportError(f"image {record.get('id')!r} has {value!r} for {name}")
