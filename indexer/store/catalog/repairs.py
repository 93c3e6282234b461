"""Taking damaged rows out of the catalogue, inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, update

from indexer.store.catalog.checksums import write_image_checksums
from indexer.store.catalog.decision_rows import forget_decisions_about
from indexer.store.catalog.questions import parts_of, places
from indexer.store.catalog.tables import (
    AnnotationRow,
    ConceptRow,
    FieldRow,
    ImageRow,
    RegionRow,
    TagRow,
)
from indexer.store.catalog.warning_rows import forget_warnings

# No file is like this one, so the next index run reads it again.
UNLIKE_ANY = {"size_bytes": -1, "mtime_ns": 0, "content_hash": b"", "ctime_ns": 0, "inode": 0}


def fail_images(connection: Connection, ids: Sequence[int], reason: str) -> None:
    """Make images failed ones, without regions and tags, whose files are read again."""
    forget_regions(connection, ids)
    for part in parts_of(ids):
        connection.execute(
            update(ImageRow)
            .where(ImageRow.id.in_(part))
            .values(state="failed", reason=reason, **UNLIKE_ANY)
        )
        connection.execute(delete(TagRow).where(TagRow.image_id.in_(part)))
        forget_warnings(connection, part)
        write_image_checksums(connection, f"id IN ({places(part)})", part)


def forget_images(connection: Connection, ids: Collection[int]) -> None:
    """Delete the rows of images whose vectors are gone already, and all that is said of them."""
    forget_regions(connection, ids)
    for part in parts_of([*ids]):
        connection.execute(delete(ImageRow).where(ImageRow.id.in_(part)))
        connection.execute(delete(TagRow).where(TagRow.image_id.in_(part)))
        connection.execute(delete(AnnotationRow).where(AnnotationRow.image_id.in_(part)))
    forget_decisions_about(connection, [*ids])
    forget_warnings(connection, [*ids])


def forget_regions(connection: Connection, image_ids: Collection[int]) -> None:
    """Delete the regions of images."""
    for part in parts_of([*image_ids]):
        connection.execute(delete(RegionRow).where(RegionRow.image_id.in_(part)))


def forget_concepts(connection: Connection, ids: Collection[int]) -> None:
    """Delete concepts and their tags."""
    connection.execute(delete(TagRow).where(TagRow.concept_id.in_(ids)))
    connection.execute(delete(ConceptRow).where(ConceptRow.id.in_(ids)))


def forget_fields(connection: Connection, ids: Collection[int]) -> None:
    """Delete fields and all that they say."""
    connection.execute(delete(AnnotationRow).where(AnnotationRow.field_id.in_(ids)))
    connection.execute(delete(FieldRow).where(FieldRow.id.in_(ids)))


def forget_values(connection: Connection, values: Collection[tuple[int, int]]) -> None:
    """Delete what fields say of images, by the ids of the image and the field."""
    for image_id, field_id in values:
        connection.execute(
            delete(AnnotationRow).where(
                AnnotationRow.image_id == image_id, AnnotationRow.field_id == field_id
            )
        )


def forget_tags(connection: Connection, tags: Collection[tuple[int, int]]) -> None:
    """Delete tags by the ids of the image and the concept."""
    for image_id, concept_id in tags:
        connection.execute(
            delete(TagRow).where(TagRow.image_id == image_id, TagRow.concept_id == concept_id)
        )
