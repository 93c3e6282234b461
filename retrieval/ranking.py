"""Ranking: query vectors in, hits out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexer.arrays import FloatArray, IdArray, cosines
from indexer.store.vectors.image_matches import ImageMatches
from indexer.store.vectors.index import VectorIndex
from retrieval.boxes import VOTERS, vote_boxes
from retrieval.collection import Collection
from retrieval.query import Hit, Query
from retrieval.rerank.close_up import CloseUp
from retrieval.rerank.query_expansion import QueryExpansion
from retrieval.rerank.step import Candidate, Question, RerankStep

VOTED = 50  # hits whose windows vote for the box
GLOBAL_WEIGHT = 0.5  # of the whole image's score, where the query is a whole image too
RERANK_STEPS: tuple[RerankStep, ...] = (QueryExpansion(), CloseUp())


def rank(collection: Collection, query: Query, vectors: FloatArray) -> list[list[Hit]]:
    """Return the hits of queries (Q, D) that search as `query` does, best first, ties by image id.

    Raises `StoreError` where the store has no vectors of the kind asked for.
    """
    find = _rank_regions if query.search == "region" else _rank_images
    candidates = find(collection, query, vectors, _to_ids(query.allowed))
    return _to_hits(collection, candidates)


def _rank_images(
    collection: Collection, query: Query, vectors: FloatArray, allowed: IdArray | None
) -> list[list[Candidate]]:
    index = collection.index(collection.store.find_kind(query.feature, "image"))
    found = index.search(vectors, query.k or max(1, len(index)), allowed)
    return [
        [Candidate(i, score, None) for i, score in zip(ids.tolist(), scores.tolist(), strict=True)]
        for ids, scores in found
    ]


def _rank_regions(
    collection: Collection, query: Query, vectors: FloatArray, allowed: IdArray | None
) -> list[list[Candidate]]:
    index = collection.index(collection.store.find_kind(query.feature, "region"))
    weight = GLOBAL_WEIGHT if query.box is None else 0.0
    k = query.k or max(1, len(index))
    if query.rerank:
        k = max(k, query.candidates)
    found = index.search_images(vectors, k, allowed, weight)
    return [
        _rerank(collection, query, vector, matches)
        if query.rerank
        else _vote(collection, index, vector, matches)
        for vector, matches in zip(vectors, found, strict=True)
    ]


def _rerank(
    collection: Collection, query: Query, vector: FloatArray, matches: ImageMatches
) -> list[Candidate]:
    own = collection.to_space(vector[None])[0]
    question = Question(own, own, query.candidates)
    candidates = _best_windows(collection, matches)
    for step in RERANK_STEPS:
        question, candidates = step.apply(collection, question, candidates)
    return candidates[: query.k]


def _vote(
    collection: Collection, index: VectorIndex, vector: FloatArray, matches: ImageMatches
) -> list[Candidate]:
    """Let the best windows of each of the first images vote for its box."""
    first, rest = matches.split(VOTED)
    ids, scores = _voters(index, vector, first.image_ids)
    boxes = collection.store.boxes(ids.ravel().tolist()).reshape(*ids.shape, 4)
    there = (boxes.any(axis=2) | (ids < 0)).all(axis=1)  # else removed since they were opened
    voted = [
        Candidate(int(first.image_ids[place]), float(first.scores[place]), box)
        for place, box in zip(
            np.flatnonzero(there), vote_boxes(boxes[there], scores[there]), strict=True
        )
    ]
    return voted + _best_windows(collection, rest)


def _voters(
    index: VectorIndex, vector: FloatArray, image_ids: IdArray
) -> tuple[IdArray, FloatArray]:
    """Return the ids (N, VOTERS) and scores of each image's best windows, best first.

    Where an image has fewer, the rest are -1 and score minus infinity.
    """
    ids = np.full((len(image_ids), VOTERS), -1, np.int64)
    scores = np.full(ids.shape, -np.inf, np.float32)
    places, own_ids, vectors = index.rows_of_images(image_ids)
    own = cosines(vectors, vector)
    order = np.lexsort((-own, places))  # image by image, the nearest window first
    places = places[order]
    ranks = np.arange(len(places)) - np.searchsorted(places, places)
    near = ranks < VOTERS
    cells = (places[near], ranks[near])
    ids[cells] = own_ids[order[near]]
    scores[cells] = own[order[near]]
    return ids, scores


def _best_windows(collection: Collection, matches: ImageMatches) -> list[Candidate]:
    """Return matches with the box of the best window of each."""
    boxes = collection.store.regions(matches.ids.tolist())
    columns = (column.tolist() for column in matches)
    return [
        Candidate(image_id, score, boxes[region_id])
        for image_id, region_id, score in zip(*columns, strict=True)
        if region_id in boxes  # else removed since the vectors were opened
    ]


def _to_hits(collection: Collection, found: Sequence[Sequence[Candidate]]) -> list[list[Hit]]:
    infos = collection.store.image_infos({c.image_id for candidates in found for c in candidates})
    return [
        [
            Hit(rank, c.image_id, infos[c.image_id].path, min(c.score, 1.0), c.region)
            for rank, c in enumerate((c for c in candidates if c.image_id in infos), 1)
        ]
        for candidates in found
    ]


def _to_ids(allowed: frozenset[int] | None) -> IdArray | None:
    return None if allowed is None else np.array(sorted(allowed), np.int64)
