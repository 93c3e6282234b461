"""Writing concepts, and the tags that images have of them, inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from indexer.store.catalog.row_checksums import row_checksum
from indexer.store.catalog.tables import ConceptRow, TagRow


def set_concept(connection: Connection, name: str, json: str) -> None:
    """Add a concept, or replace the one of that name, whose tags go."""
    remove_concept(connection, name)
    last = connection.execute(select(ConceptRow.id).order_by(ConceptRow.id.desc())).scalar() or 0
    row = (last + 1, name, json)
    values = dict(zip(("id", "name", "json"), row, strict=True))
    connection.execute(insert(ConceptRow).values(**values, checksum=row_checksum(row)))


def remove_concept(connection: Connection, name: str) -> None:
    """Remove a concept, if there is one of that name, and its tags."""
    set_tags(connection, name, {})
    connection.execute(delete(ConceptRow).where(ConceptRow.name == name))


def set_tags(connection: Connection, name: str, probabilities: Mapping[int, float]) -> None:
    """Make a concept a tag of these images by id, and of no others."""
    query = select(ConceptRow.id).where(ConceptRow.name == name)
    concept_id = connection.execute(query).scalar()
    connection.execute(delete(TagRow).where(TagRow.concept_id == concept_id))
    rows = [
        {
            "image_id": image_id,
            "concept_id": concept_id,
            "probability": probability,
            "checksum": row_checksum((image_id, concept_id, probability)),
        }
        for image_id, probability in probabilities.items()
    ]
    if rows:
        connection.execute(insert(TagRow), rows)
