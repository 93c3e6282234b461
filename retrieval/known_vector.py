"""The vectors of queries that have one already: a text, an image of the store, a given vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexer.arrays import FloatArray, unit_vector
from indexer.errors import BlankQueryError, DegenerateFeatureError, InvalidQueryError
from retrieval.class_names import require_classes, text_vector
from retrieval.collection import Collection
from retrieval.query import Query
from retrieval.query_image import unknown_image

NOTHING = "The query image shows nothing but one even colour: there is nothing to find."


def known_vector(collection: Collection, query: Query) -> tuple[FloatArray] | None:
    """Return the vector of a query that has one, None for any other.

    It is given, or that of a text, or of a whole image of the store.
    """
    if query.text is not None:
        return (text_vector(require_classes(collection.store), query.text),)
    kind = collection.store.find_kind(query.feature, query.search)
    if query.vector is not None:
        return (_given_vector(query.vector, kind.name, collection.index(kind).dimension),)
    if query.image_id is None or query.box is not None or kind.scope == "region":
        return None
    try:
        _, vectors = collection.index(kind).rows_of_image(query.image_id)
    except KeyError as error:
        if collection.info(query.image_id) is not None:
            raise BlankQueryError(NOTHING) from error
        raise unknown_image(query.image_id) from error
    return (vectors[0],)


def _given_vector(values: Sequence[float], kind: str, dimension: int) -> FloatArray:
    """Return the vector of a query at unit length; raises `InvalidQueryError`."""
    if len(values) != dimension:
        raise InvalidQueryError(
            f"The query vector has {len(values)} numbers; the {kind} vectors of this store have "
            f"{dimension}."
        )
    try:
        return unit_vector(np.array(values, np.float32))
    except DegenerateFeatureError as error:
        raise InvalidQueryError(
            "The query vector is zero, or a number in it is not finite: it has no direction."
        ) from error
