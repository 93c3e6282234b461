"""Queries as the JSON that the HTTP API takes."""

from __future__ import annotations

from typing import Any

from indexer.errors import InvalidQueryError
from retrieval.query import Query

FIELDS = (  # that go unchanged
    *("k", "context", "feature", "search", "turns", "verify", "rerank", "candidates"),
    *("min_confidence", "damaged", "oversize"),
)
Sent = list[tuple[str, Query]]
"""Parts of a form, each with the query whose file it has."""


def as_request(query: Query) -> tuple[dict[str, Any], Sent]:
    """Return the JSON of a query, and the files to be sent with it.

    Raises `InvalidQueryError` for a query without a number of hits, and for further queries that
    the API cannot say: it has images that count in the ranking of each feature, words, and features
    of the query's own image.
    """
    if query.k is None:
        raise InvalidQueryError("A server needs to know how many hits at most: give the query k.")
    sent: Sent = [("image", query)] if _is_file(query) else []
    asked = {name: getattr(query, name) for name in FIELDS}
    asked |= {} if sent else _source(query)
    if query.box is not None:
        asked["box"] = list(query.box.as_tuple())
    if query.allowed is not None:
        asked["allowed"] = list(query.allowed)
    return asked | _further(query, sent), sent


def _further(query: Query, sent: Sent) -> dict[str, Any]:
    """Return what is asked by further queries; their files are added to `sent`."""
    asked: dict[str, list[dict[str, Any]]] = {}
    for other, weight in query.also:
        if other.text is not None:
            name, value = "also_text", _word(other, weight)
        elif other.kind == query.kind:
            name, value = ("also" if weight > 0 else "unlike"), _image(other, sent)
        else:
            name, value = "also_features", _feature(query, other)
        asked.setdefault(name, []).append(value | {"weight": abs(weight)})
    return dict(asked)


def _word(other: Query, weight: float) -> dict[str, Any]:
    if weight < 0 or other.also:
        raise InvalidQueryError(
            "A server takes further words with weights above 0 alone, and without further queries."
        )
    return {"text": other.text}


def _image(other: Query, sent: Sent) -> dict[str, Any]:
    asked = _source(other)
    if _is_file(other):
        asked["file"] = sum(part == "further" for part, _ in sent)
        sent.append(("further", other))
    if other.box is not None:
        asked["box"] = list(other.box.as_tuple())
    return asked | {"context": other.context}


def _feature(query: Query, other: Query) -> dict[str, Any]:
    if _asked_with(other) != _asked_with(query):
        raise InvalidQueryError(
            "A server compares the same images by each feature: give a further feature the query's "
            "own image, box and further images."
        )
    return {"feature": other.feature, "search": other.search}


def _asked_with(query: Query) -> list[object]:
    """Return what the vectors of a query are made of, whatever the feature."""
    parts = [(query, 1.0), *query.added]
    return [
        (one.path, one.data, one.image_id, one.text, one.vector, one.box, one.context, weight)
        for one, weight in parts
    ]


def _is_file(query: Query) -> bool:
    return query.path is not None or query.data is not None


def _source(query: Query) -> dict[str, Any]:
    source = {"image_id": query.image_id, "text": query.text, "vector": query.vector}
    return {name: value for name, value in source.items() if value is not None}
