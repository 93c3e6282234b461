"""Writing what fields of the user's own say of images, inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select

from indexer.store.catalog.questions import parts_of
from indexer.store.catalog.row_checksums import row_checksum
from indexer.store.catalog.tables import AnnotationRow, FieldRow

Value = tuple[str, float | None]
"""A text, and the number that it is, if any."""
Annotation = tuple[int, int, str, float | None]
"""The ids of an image and a field, and the value."""


def set_annotations(connection: Connection, name: str, values: Mapping[int, Value | None]) -> None:
    """Let a field, which is made if it is new, say this of images by id; None says nothing."""
    field_id = _field_id(connection, name)
    for part in parts_of([*values]):
        connection.execute(
            delete(AnnotationRow).where(
                AnnotationRow.field_id == field_id, AnnotationRow.image_id.in_(part)
            )
        )
    add_annotations(connection, [(i, field_id, *v) for i, v in values.items() if v is not None])


def annotations_in(connection: Connection, image_ids: Sequence[int]) -> list[Annotation]:
    """Return what is said of images."""
    columns = (AnnotationRow.image_id, AnnotationRow.field_id, AnnotationRow.text)
    found: list[Annotation] = []
    for part in parts_of(image_ids):
        query = select(*columns, AnnotationRow.number).where(AnnotationRow.image_id.in_(part))
        found += [(i, field, text, number) for i, field, text, number in connection.execute(query)]
    return found


def forget_annotations(connection: Connection, image_ids: Sequence[int]) -> None:
    """Forget what is said of images."""
    for part in parts_of(image_ids):
        connection.execute(delete(AnnotationRow).where(AnnotationRow.image_id.in_(part)))


def remove_field(connection: Connection, name: str) -> None:
    """Remove a field, and all that it says."""
    ids = select(FieldRow.id).where(FieldRow.name == name)
    connection.execute(delete(AnnotationRow).where(AnnotationRow.field_id.in_(ids)))
    connection.execute(delete(FieldRow).where(FieldRow.name == name))


def _field_id(connection: Connection, name: str) -> int:
    query = select(FieldRow.id).where(FieldRow.name == name)
    found = connection.execute(query).scalar()
    if found is None:
        last = connection.execute(select(FieldRow.id).order_by(FieldRow.id.desc())).scalar() or 0
        found = last + 1
        checksum = row_checksum((found, name))
        connection.execute(insert(FieldRow).values(id=found, name=name, checksum=checksum))
    return found


def add_annotations(connection: Connection, rows: Sequence[Annotation]) -> None:
    """Add what is said of images."""
    values = [
        {
            "image_id": image_id,
            "field_id": field_id,
            "text": text,
            "number": number,
            "checksum": row_checksum((image_id, field_id, text, number)),
        }
        for image_id, field_id, text, number in rows
    ]
    if values:
        connection.execute(insert(AnnotationRow), values)
