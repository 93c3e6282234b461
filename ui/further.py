"""Further images, features and words of a query, as all shells take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from indexer.choices import Scope, TapKind
from indexer.errors import InvalidQueryError
from indexer.features.spec import FeatureSpec
from retrieval.query import Query

UNLIKE = 0.5  # what an image counts that hits are to be unlike; see benchmarks/further.py
SHARED = ("feature", "search", "max_pixels", "damaged", "oversize")  # by all images of a kind

Weighted = tuple[Mapping[str, Any], float]
"""An image, as fields of a `Query`, and its weight: below 0 where hits are to be unlike it."""


@dataclass(frozen=True)
class FurtherFeature:
    """A feature that ranks by itself.

    `search` None is that of the query where the store has such vectors, and whole images elsewhere.
    """

    feature: TapKind
    search: Scope | None = None
    weight: float = 1.0


def with_further(
    spec: FeatureSpec,
    query: Query,
    *,
    images: Sequence[Weighted] = (),
    features: Sequence[FurtherFeature] = (),
    words: Sequence[tuple[str, float]] = (),
) -> Query:
    """Return a query with further ones: `images` count in the ranking of each of its features.

    A feature that the query has already adds nothing. Raises `InvalidQueryError` for what cannot
    be asked together.
    """
    if query.text is not None and (images or features):
        raise InvalidQueryError(
            "Further images and several features go with an image, not with a word; a word may be "
            "further to an image."
        )
    further = [*_of_kind(query, images), *_by_features(spec, query, images, features)]
    further += [(Query.for_store(spec, text=word), weight) for word, weight in words]
    return replace(query, also=tuple(further)) if further else query


def _of_kind(query: Query, images: Sequence[Weighted]) -> list[tuple[Query, float]]:
    """Return queries by images, of the kind of a query that they are added to."""
    shared = {name: getattr(query, name) for name in SHARED}
    return [(Query(**source, **shared), weight) for source, weight in images]


def _by_features(
    spec: FeatureSpec,
    query: Query,
    images: Sequence[Weighted],
    features: Sequence[FurtherFeature],
) -> list[tuple[Query, float]]:
    """Return a query, with what is added to it, by each further feature."""
    found: dict[object, tuple[Query, float]] = {}
    for one in features:
        has_kind = spec.find_kind(one.feature, query.search) is not None
        other = replace(
            query,
            feature=one.feature,
            search=one.search or (query.search if has_kind else "image"),
            verify=False,
            rerank=False,
            min_confidence=0.0,
        )
        if other.kind != query.kind and other.kind not in found:
            added = tuple(_of_kind(other, images))
            found[other.kind] = (replace(other, also=added), one.weight)
    return [*found.values()]
