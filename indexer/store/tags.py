"""Concepts that a store was taught, and the tags that images have of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import func, select

from indexer.errors import ConceptError, UnknownConceptError
from indexer.store.catalog.concept_rows import remove_concept, set_concept, set_tags
from indexer.store.catalog.tables import ConceptRow, TagRow
from indexer.store.reader import StoreReader


def read_concepts(store: StoreReader, names: Collection[str] = ()) -> dict[str, str]:
    """Return concepts by name, as JSON: these, in their order, or all, sorted.

    Raises `UnknownConceptError`, naming those there are.
    """
    store.catalog.require_intact("tags", "concepts")
    query = select(ConceptRow.name, ConceptRow.json).order_by(ConceptRow.name)
    with store.catalog.session() as session:
        known = {row.name: row.json for row in session.execute(query)}
    for name in names:
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "there are none yet"
            raise UnknownConceptError(
                f"The store has no tag {name!r}; {there}. Teach it with: cbir teach {name!r} "
                "--positive PHOTOS"
            )
    return {name: known[name] for name in names} if names else known


def save_concept(store: StoreReader, name: str, json: str) -> None:
    """Keep a concept in place of the one of that name, whose tags go.

    Only for who holds the writer's lock, see `Store.writing`, as all that changes a store.
    """
    with store.catalog.transaction() as change:
        set_concept(change.connection, name, json)


def delete_concept(store: StoreReader, name: str) -> None:
    """Delete a concept and its tags; raises `UnknownConceptError`."""
    read_concepts(store, [name])
    with store.catalog.transaction() as change:
        remove_concept(change.connection, name)


def rename_concept(store: StoreReader, name: str, new_name: str, json: str) -> None:
    """Give a concept another name, under which it is `json`; its images keep the tag.

    Raises `UnknownConceptError`, and `ConceptError` where there is one of that name.
    """
    if new_name in read_concepts(store):
        raise ConceptError(
            f"There is a tag {new_name!r} already; remove it first, or choose another name."
        )
    tags = _images_tagged(store, name)
    with store.catalog.transaction() as change:
        remove_concept(change.connection, name)
        set_concept(change.connection, new_name, json)
        set_tags(change.connection, new_name, tags)


def _images_tagged(store: StoreReader, name: str) -> dict[int, float]:
    """Return the images that have a concept as a tag, by id, with their probabilities."""
    read_concepts(store, [name])
    query = (
        select(TagRow.image_id, TagRow.probability)
        .join(ConceptRow, TagRow.concept_id == ConceptRow.id)
        .where(ConceptRow.name == name)
    )
    with store.catalog.session() as session:
        return {row.image_id: row.probability for row in session.execute(query)}


def replace_tags(store: StoreReader, tags: Mapping[str, Mapping[int, float]]) -> None:
    """Make each of these concepts a tag of these images, and of no others, all at once.

    `tags` are probabilities by concept and image id.
    """
    with store.catalog.transaction() as change:
        for name, probabilities in tags.items():
            set_tags(change.connection, name, probabilities)


def count_tags(store: StoreReader) -> dict[str, int]:
    """Return how many images have each concept as a tag, by name, sorted."""
    store.catalog.require_intact("tags", "concepts")
    query = (
        select(ConceptRow.name, func.count(TagRow.image_id))
        .join_from(ConceptRow, TagRow, TagRow.concept_id == ConceptRow.id, isouter=True)
        .group_by(ConceptRow.name)
        .order_by(ConceptRow.name)
    )
    with store.catalog.session() as session:
        return {row.name: row[1] for row in session.execute(query)}


def read_tags(store: StoreReader) -> dict[str, dict[int, float]]:
    """Return the images that have each concept as a tag, by id, with their probabilities."""
    store.catalog.require_intact("tags", "concepts")
    tags: dict[str, dict[int, float]] = {name: {} for name in read_concepts(store)}
    query = select(ConceptRow.name, TagRow.image_id, TagRow.probability).join(
        TagRow, TagRow.concept_id == ConceptRow.id
    )
    with store.catalog.session() as session:
        for name, image_id, probability in session.execute(query):
            tags[name][image_id] = probability
    return tags


def tags_of(store: StoreReader, image_id: int) -> dict[str, float]:
    """Return the tags of an image with their probabilities, the most probable first."""
    store.catalog.require_intact("tags", "concepts")
    query = (
        select(ConceptRow.name, TagRow.probability)
        .join_from(TagRow, ConceptRow, TagRow.concept_id == ConceptRow.id)
        .where(TagRow.image_id == image_id)
        .order_by(TagRow.probability.desc(), ConceptRow.name)
    )
    with store.catalog.session() as session:
        return {row.name: row.probability for row in session.execute(query)}
