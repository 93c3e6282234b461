"""Describing queries: each query's views are forwarded and joined to one vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from indexer.arrays import FloatArray, Pixels, unit_vector
from indexer.errors import (
    BlankQueryError,
    CbirError,
    DegenerateFeatureError,
    InvalidQueryError,
    StoreChangedError,
)
from indexer.features.engines.protocols import Activations
from indexer.features.extractor import FeatureExtractor
from indexer.features.preprocess import NetworkInput
from indexer.features.regions import Region
from indexer.features.windows import to_boxes
from indexer.images.ground import is_blank
from retrieval.collection import Collection
from retrieval.known_vector import NOTHING, known_vector
from retrieval.picture import DECODERS
from retrieval.query import Query
from retrieval.query_image import crop, load_query

# A query is compared with regions as described at these multiples of the network's native size: an
# object's scale in the query and in the photo is unknown, so a small and a large view both count.
QUERY_SCALES = (0.71, 1.0)
SLIDING_QUERY_SCALES = (0.8, 1.0)  # of the size at which the windows entered
QUARTER_TURNS = 4  # in which a query with `turns` is described
TIGHTENED = -0.1  # a box is also described without its margin: people draw it with room to spare


@dataclass(frozen=True)
class QueryVectors:
    """What a query is compared by: the vectors (T, D) of its turns, the first of it as it is.

    `own` are of the kind that is searched; `whole` are those of the whole image, where the query
    is a whole picture that is searched by regions. `others` are those of the further queries of
    other kinds, see `Query.fused`.
    """

    own: FloatArray
    whole: FloatArray | None = None
    others: tuple[QueryVectors, ...] = ()


def describe_query(collection: Collection, query: Query) -> FloatArray:
    """Return the vector (D,) of a query; raises what `SearchEngine.search` does."""
    [[found]] = _describe(collection, [[replace(query, turns=False)]])
    if isinstance(found, CbirError):
        raise found
    vector: FloatArray = found[0]
    return vector


def describe_queries(
    collection: Collection, queries: Sequence[Query]
) -> list[QueryVectors | CbirError]:
    """Return the vectors of each query, or why it has none; they are forwarded together.

    With `turns`, there are three more, of its quarter turns. The vectors of further queries of the
    same kind are added to a query's own by their weights; those of other kinds are beside it.
    """
    asked = [part for query in queries for part in _parts(query, turns=query.turns)]
    found = iter(_describe_each(collection, asked))
    return [_collect(query, found) for query in queries]


def _parts(query: Query, *, turns: bool) -> list[Query]:
    """Return what is described for a query: itself, what is added to it, and its other kinds."""
    turned = turns and query.text is None and query.vector is None
    own = [replace(part, turns=turned) for part in (query, *(other for other, _ in query.added))]
    return own + [part for other, _ in query.fused for part in _parts(other, turns=turns)]


def _collect(query: Query, found: Iterator[QueryVectors | CbirError]) -> QueryVectors | CbirError:
    """Return the vectors of a query, made of those of its parts, in their order."""
    own = _combine(next(found), [(next(found), weight) for _, weight in query.added])
    others = [_collect(other, found) for other, _ in query.fused]
    failed = next((other for other in others if isinstance(other, CbirError)), None)
    if isinstance(own, CbirError):
        return own
    if failed is not None:
        return _of_another(failed)
    return replace(own, others=tuple(o for o in others if not isinstance(o, CbirError)))


def _of_another(error: CbirError) -> CbirError:
    """Return the error of a further query: a blank one has no copies to be found."""
    return InvalidQueryError(str(error)) if isinstance(error, BlankQueryError) else error


def _describe_each(
    collection: Collection, queries: Sequence[Query]
) -> list[QueryVectors | CbirError]:
    ways = [[query, _as_whole(query)] if query.counts_whole else [query] for query in queries]
    answers: list[QueryVectors | CbirError] = []
    for found in _describe(collection, ways):
        good = [vectors for vectors in found if not isinstance(vectors, CbirError)]
        failed = [vectors for vectors in found if isinstance(vectors, CbirError)]
        whole = good[1] if len(good) > 1 else None
        answers.append(failed[0] if failed else QueryVectors(good[0], whole))
    return answers


def _as_whole(query: Query) -> Query:
    return replace(query, search="image", rerank=False, also=())


def _combine(
    first: QueryVectors | CbirError, others: Sequence[tuple[QueryVectors | CbirError, float]]
) -> QueryVectors | CbirError:
    """Return the weighted sum of vectors, at unit length, turn by turn."""
    if isinstance(first, CbirError) or not others:
        return first
    own, whole = first.own, first.whole
    for other, weight in others:
        if isinstance(other, CbirError):
            return _of_another(other)
        own = own + np.float32(weight) * other.own
        if whole is not None and other.whole is not None:
            whole = whole + np.float32(weight) * other.whole
    try:
        return QueryVectors(_unit_rows(own), None if whole is None else _unit_rows(whole))
    except DegenerateFeatureError:
        return InvalidQueryError("The images cancel each other out: nothing is left to ask with.")


_Views = list[NetworkInput] | tuple[FloatArray]
"""The views of a query, turned one way, or the vector that it has already."""


def _unit_rows(rows: FloatArray) -> FloatArray:
    return np.stack([unit_vector(row) for row in rows])


def _describe(
    collection: Collection, queries: Sequence[Sequence[Query]]
) -> list[list[FloatArray | CbirError]]:
    """Return the vectors (T, D) of queries, each asked in several ways."""

    def try_views(ways: Sequence[Query]) -> list[list[_Views]] | CbirError:
        try:
            return _views_of_ways(collection, ways)
        except StoreChangedError:
            raise
        except CbirError as error:
            return error

    if len(queries) == 1:
        described = [try_views(queries[0])]
    else:
        with ThreadPoolExecutor(DECODERS, "decode") as threads:
            described = list(threads.map(try_views, queries))
    return _forward(collection, queries, described)


def _forward(
    collection: Collection,
    queries: Sequence[Sequence[Query]],
    views: Sequence[list[list[_Views]] | CbirError],
) -> list[list[FloatArray | CbirError]]:
    """Forward all views of all queries together, and join those of each turn."""
    flat = [
        (query, view)
        for ways, described in zip(queries, views, strict=True)
        if isinstance(described, list)
        for query, turns in zip(ways, described, strict=True)
        for own in turns
        if isinstance(own, list)
        for view in own
    ]
    vectors = iter(_describe_views(collection.extractor, flat) if flat else ())
    return [
        [described]
        if isinstance(described, CbirError)
        else [
            _stack(
                [
                    own[0] if isinstance(own, tuple) else _join([next(vectors) for _ in own])
                    for own in turns
                ]
            )
            for turns in described
        ]
        for described in views
    ]


def _stack(vectors: Sequence[FloatArray | CbirError]) -> FloatArray | CbirError:
    """Return vectors (D,) as rows, or the first error among them."""
    good: list[FloatArray] = []
    for vector in vectors:
        if isinstance(vector, CbirError):
            return vector
        good.append(vector)
    return np.stack(good)


def _describe_views(
    extractor: FeatureExtractor, views: Sequence[tuple[Query, NetworkInput]]
) -> list[FloatArray | CbirError]:
    """Return the vector (D,) of each view, or why it has none."""

    def describe(place: int, activations: Activations) -> FloatArray | CbirError:
        query, view = views[place]
        try:
            if query.search == "region" and query.feature == "conv":
                vector: FloatArray = extractor.region_vectors(activations, view.boxes)[0]
                return vector
            return extractor.image_vector(query.feature, activations)
        except CbirError as error:
            return error

    return extractor.inference.run([view.pixels for _, view in views], describe)


def _join(vectors: Sequence[FloatArray | CbirError]) -> FloatArray | CbirError:
    """Return the one vector (D,) of a query's views."""
    rows = _stack(vectors)
    if isinstance(rows, CbirError):
        return rows
    try:
        return unit_vector(np.sum(rows, axis=0)) if len(rows) > 1 else rows[0]
    except CbirError as error:
        return error


def _views_of_ways(collection: Collection, ways: Sequence[Query]) -> list[list[_Views]]:
    """Return the views of a query that is asked in several ways: by way, by turn."""
    stored = known_vector(collection, ways[0])
    if stored and not ways[0].turns:
        return [[stored]]
    turns = [_load_content(collection, ways[0])]
    while ways[0].turns and len(turns) < QUARTER_TURNS:
        turns.append(_turn(*turns[-1]))
    if stored:
        return [[stored, *(_views(collection, ways[0], *turned) for turned in turns[1:])]]
    return [[_views(collection, query, *turned) for turned in turns] for query in ways]


def _load_content(collection: Collection, query: Query) -> tuple[Pixels, Region | None]:
    """Do what `load_query` does; raises `BlankQueryError` for a whole picture without content."""
    pixels, box = load_query(collection, query)
    if box is None and is_blank(pixels):
        raise BlankQueryError(NOTHING)
    return pixels, box


def _turn(pixels: Pixels, box: Region | None) -> tuple[Pixels, Region | None]:
    """Return an image and a box in it, both turned clockwise by a quarter."""
    height = len(pixels)
    turned = np.ascontiguousarray(np.rot90(pixels, -1))
    if box is None:
        return turned, None
    return turned, Region(height - box.y1, box.x0, height - box.y0, box.x1)


def _views(
    collection: Collection, query: Query, pixels: Pixels, box: Region | None
) -> list[NetworkInput]:
    """Return what the network is shown of a query, of these upright pixels and this box in them.

    For a search of regions by conv features it is a crop at several scales. A box is also described
    in its place, in the grid scheme, as the windows of the store are; and as a crop without its
    margin, in the sliding scheme.
    """
    height, width = pixels.shape[:2]
    spec, extractor = collection.spec, collection.extractor
    cropped = pixels if box is None else crop(pixels, box)
    if query.search == "image" or query.feature == "fc":
        return [extractor.view(cropped, spec.size_px)]
    backbone = extractor.backbone
    if spec.regions == "sliding":
        sizes = [spec.crop_px * scale for scale in SLIDING_QUERY_SCALES]
    else:
        sizes = [backbone.native_size_px * scale for scale in QUERY_SCALES]
    views = [extractor.view(cropped, max(backbone.min_size_px, round(size))) for size in sizes]
    if box is not None and spec.regions == "sliding":
        tight = crop(pixels, box.padded(TIGHTENED, width, height))
        views.append(extractor.view(tight, spec.crop_px))
    if box is not None and spec.regions == "grid":
        views.append(extractor.view(pixels, spec.size_px, to_boxes([box], width, height)))
    return views
