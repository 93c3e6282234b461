"""Concepts as the pages keep them in the store: taught by labels, listed, renamed and removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from indexer.store.store import Store
from indexer.store.tags import delete_concept
from retrieval.concepts import Concept
from retrieval.examples import ExamplePaths
from retrieval.query import Query
from retrieval.tagging import Tagging, known_concepts, rename, tag_images, teach
from ui.printable import printable
from ui.shown import Shown

CONCEPT_BYTES = 1_000  # about what Python takes for one in the list


def list_concepts(shown: Shown) -> list[dict[str, Any]]:
    """Return the concepts of the store by name: how many images have the tag, and how it is known.

    Raises `StoreCorruptError` for one that cannot be read.
    """

    def read() -> list[dict[str, Any]]:
        counts = shown.tag_counts()
        return [
            {"name": one.name, "count": counts.get(one.name, 0), "how": _how(one)}
            for one in known_concepts(shown.store)
        ]

    key = shown.as_of_now("concepts")
    return shown.kept.get(key, read, lambda found: CONCEPT_BYTES * len(found))


def _how(concept: Concept) -> str:
    return (
        f"Taught by {concept.positives:,} images that show it and {concept.negatives:,} that do "
        f"not; {100 * concept.accuracy:.0f} % of them are told right by models made without them"
    )


def teach_concept(
    shown: Shown, query: Query | None, labels: Mapping[int, bool], name: str
) -> Tagging:
    """Teach the store a concept from a query and labels, and tag the collection with it.

    A word is no example, so of a query by text only the labels count. Raises what `teach` and
    `tag_images` do.
    """
    queries = [] if query is None or query.text is not None else [query]
    feature = "conv" if query is None else query.feature
    wanted = ExamplePaths(labels=labels, queries=queries)
    with _writable(shown) as store:
        concept, _ = teach(store, name, shown.engine.collection, wanted, feature)
        [tagging] = tag_images(store, [concept.name])
    return tagging


def apply_concepts(shown: Shown) -> list[Tagging]:
    """Tag the collection with all concepts: images that were added since get their tags."""
    with _writable(shown) as store:
        return tag_images(store)


def rename_concept(shown: Shown, name: str, new_name: str) -> None:
    """Give a concept another name; raises what `rename` does."""
    with _writable(shown) as store:
        rename(store, name, new_name)


def remove_concept(shown: Shown, name: str) -> None:
    """Remove a concept and its tag from all images; raises `UnknownConceptError`."""
    with _writable(shown) as store, store.writing():
        delete_concept(store, name)


@contextmanager
def _writable(shown: Shown) -> Iterator[Store]:
    with closing(Store.open(shown.store.path)) as store:
        yield store


def images_text(count: int) -> str:
    """Return a number of images in words."""
    return "1 image" if count == 1 else f"{count:,} images"


def said_of(tagging: Tagging) -> str:
    """Return in a sentence how many images got a tag."""
    count = len(tagging.probabilities)
    if not count:
        return f"No image shows {printable(tagging.name)} by more than half. Label more of them."
    return (
        f"{images_text(count)} of the collection probably "
        f"{'shows' if count == 1 else 'show'} {printable(tagging.name)} and got it as a tag."
    )
