"""What fields of the user's own, such as titles or inventory numbers, say of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from indexer.errors import AnnotationError
from indexer.store.catalog.annotation_rows import remove_field, set_annotations
from indexer.store.catalog.tables import AnnotationRow, FieldRow
from indexer.store.filter_queries import FIELDS
from indexer.store.filter_values import MOST, read_number
from indexer.store.reader import StoreReader

MAX_FIELDS = 200
MAX_NAME = 100  # characters
MAX_TEXT = 10_000


def read_fields(store: StoreReader, *, with_values: bool = False) -> dict[str, int]:
    """Return the fields of a store by name, in the order in which they came, with their ids.

    Raises `StoreCorruptError` where they are damaged, or, `with_values`, what they say is.
    """
    store.catalog.require_intact("fields", *(("annotations",) if with_values else ()))
    with store.catalog.session() as session:
        rows = session.execute(select(FieldRow.name, FieldRow.id).order_by(FieldRow.id))
        return {row.name: row.id for row in rows}


def read_annotations(store: StoreReader) -> dict[str, dict[int, str]]:
    """Return all that fields say, by name and by the id of the image."""
    names = {field_id: name for name, field_id in read_fields(store, with_values=True).items()}
    found: dict[str, dict[int, str]] = {name: {} for name in names.values()}
    columns = (AnnotationRow.image_id, AnnotationRow.field_id, AnnotationRow.text)
    with store.catalog.session() as session:
        for image_id, field_id, text in session.execute(select(*columns)):
            found[names[field_id]][image_id] = text
    return found


def annotate(store: StoreReader, table: Mapping[str, Mapping[int, str]]) -> None:
    """Let fields say this of images, by name and id, all at once; an empty text says nothing.

    What they say of other images stays. Only for who holds the writer's lock, see `Store.writing`.
    Raises `AnnotationError` for names that fields cannot have, and for texts that are too long.
    """
    known = {name.casefold(): name for name in read_fields(store)}
    require_names([*known.values(), *(n for n in table if n.casefold() not in known)])
    for name, values in table.items():
        if any(len(text) > MAX_TEXT for text in values.values()):
            raise AnnotationError(f"A text of {name} has more than {MAX_TEXT:,} characters.")
        if not all(is_unicode(text) for text in values.values()):
            raise AnnotationError(f"A text of {name} is not valid Unicode.")
    with store.catalog.transaction() as change:
        for name, values in table.items():
            rows = {i: (text, to_number(text)) if text else None for i, text in values.items()}
            set_annotations(change.connection, known.get(name.casefold(), name), rows)


def delete_field(store: StoreReader, name: str) -> None:
    """Delete a field and all that it says; raises `AnnotationError` where there is none."""
    known = {own.casefold(): own for own in read_fields(store)}
    if name.casefold() not in known:
        there = f"there are {', '.join(known.values())}" if known else "there are none yet"
        raise AnnotationError(f"The store has no field {name!r}; {there}.")
    with store.catalog.transaction() as change:
        remove_field(change.connection, known[name.casefold()])


def require_names(names: Sequence[str]) -> None:
    """Raise `AnnotationError` unless these can be the fields of a store."""
    for name in names:
        if name.casefold() in FIELDS:
            raise AnnotationError(
                f"{name} is what cbir itself knows of photos. Give the column another name."
            )
        if not name.strip() or name != name.strip() or not name.isprintable():
            raise AnnotationError(f"{name!r} cannot be the name of a field.")
        if len(name) > MAX_NAME:
            raise AnnotationError(f"The name {name[:MAX_NAME]!r}… is too long.")
    if len({name.casefold() for name in names}) < len(names):
        raise AnnotationError("Two columns have the same name.")
    if len(names) > MAX_FIELDS:
        raise AnnotationError(f"A store has {MAX_FIELDS} fields at most, not {len(names)}.")


def is_unicode(text: str) -> bool:
    """Whether a text has no halves of surrogate pairs, which no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_number(text: str) -> float | None:
    """Return the number that a text is, None where it is none, or too large to be exact."""
    number = read_number(text.strip())
    return number if number is not None and abs(number) <= MOST else None
