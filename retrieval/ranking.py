"""Ranking: query vectors in, hits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from indexer.arrays import FloatArray, IdArray, cosines
from indexer.choices import Verdict
from indexer.store.records import ImageInfo
from indexer.store.vectors.image_matches import ImageMatches
from indexer.store.vectors.index import VectorIndex
from retrieval.boxes import VOTERS, vote_boxes
from retrieval.collection import Collection
from retrieval.confidence import CONFIDENT, PROVED
from retrieval.describe import QUARTER_TURNS, describe_turns
from retrieval.query import Hit, Query
from retrieval.rerank.close_up import CloseUp
from retrieval.rerank.geometric import GeometricVerification
from retrieval.rerank.query_expansion import QueryExpansion
from retrieval.rerank.step import Candidate, Question, RerankStep

VOTED = 50  # hits whose windows vote for the box
GLOBAL_WEIGHT = 0.5  # of the whole image's score, where the query is a whole image too
VERIFY_STEPS: tuple[RerankStep, ...] = (GeometricVerification(),)
RERANK_STEPS: tuple[RerankStep, ...] = (
    GeometricVerification(),
    QueryExpansion(),
    CloseUp(),
    GeometricVerification(),
)


def rank(
    collection: Collection, queries: Sequence[Query], vectors: Sequence[FloatArray]
) -> list[list[Hit]]:
    """Return the hits of queries, each with its vectors (T, D), best first, ties by image id.

    The queries differ in what is asked for only, not in how it is searched. Of the vectors of a
    query, its turns, the one that is most like an image counts.

    Raises `StoreError` where the store has no vectors of the kind asked for.
    """
    first = queries[0]
    find = _rank_regions if first.search == "region" else _rank_images
    turned = find(collection, first, np.concatenate(vectors), _to_ids(first.allowed))
    turns = len(vectors[0])
    found = [_best_turns(turned[i : i + turns]) for i in range(0, len(turned), turns)]
    if first.verify or first.rerank:
        steps = RERANK_STEPS if first.rerank else VERIFY_STEPS
        found = [
            _apply(steps, collection, *_with_whole_matches(collection, query, rows, candidates))
            for query, rows, candidates in zip(queries, vectors, found, strict=True)
        ]
    return _to_hits(collection, queries, [candidates[: first.k] for candidates in found])


def _best_turns(found: Sequence[list[Candidate]]) -> list[Candidate]:
    """Return what was found by the turns of a query, each image once, with its best score."""
    if len(found) == 1:
        return found[0]
    best: dict[int, Candidate] = {}
    for candidate in chain.from_iterable(found):
        known = best.setdefault(candidate.image_id, candidate)
        if candidate.score > known.score:
            best[candidate.image_id] = candidate
    return sorted(best.values(), key=lambda c: (-c.score, c.image_id))


def _with_whole_matches(
    collection: Collection, query: Query, vectors: FloatArray, candidates: list[Candidate]
) -> tuple[Question, list[Candidate]]:
    """Return a query of these vectors (T, D) for the steps, and its candidates.

    Where a whole picture is searched by regions, the images that are most like it as a whole are
    candidates, too: a picture of the same thing may have no region in which it comes first.
    """
    if query.search == "image" or query.box is not None:
        return Question(query, vectors[0]), candidates
    like = replace(query, search="image", verify=False, rerank=False)
    index = collection.index(collection.store.find_kind(query.feature, "image"))
    found = index.search(describe_turns(collection, like), query.candidates, _to_ids(query.allowed))
    also = frozenset(image_id for ids, _ in found for image_id in ids.tolist())
    missing = np.array(sorted(also - {c.image_id for c in candidates}), np.int64)
    if len(missing):
        regions = collection.index(collection.store.find_kind(query.feature, "region"))
        more = regions.search_images(vectors, len(missing), missing, GLOBAL_WEIGHT)
        candidates = candidates + _best_turns([_best_windows(collection, m) for m in more])
    return Question(query, vectors[0], also), candidates


def _apply(
    steps: Sequence[RerankStep],
    collection: Collection,
    question: Question,
    candidates: list[Candidate],
) -> list[Candidate]:
    for step in steps:
        question, candidates = step.apply(collection, question, candidates)
    return candidates


def _depth(query: Query, index: VectorIndex) -> int:
    """Return how many images are to be found."""
    k = query.k or max(1, len(index))
    return max(k, query.candidates) if query.verify or query.rerank else k


def _rank_images(
    collection: Collection, query: Query, vectors: FloatArray, allowed: IdArray | None
) -> list[list[Candidate]]:
    index = collection.index(collection.store.find_kind(query.feature, "image"))
    found = index.search(vectors, _depth(query, index), allowed)
    return [
        [Candidate(i, score, None) for i, score in zip(ids.tolist(), scores.tolist(), strict=True)]
        for ids, scores in found
    ]


def _rank_regions(
    collection: Collection, query: Query, vectors: FloatArray, allowed: IdArray | None
) -> list[list[Candidate]]:
    index = collection.index(collection.store.find_kind(query.feature, "region"))
    weight = GLOBAL_WEIGHT if query.box is None else 0.0
    found = index.search_images(vectors, _depth(query, index), allowed, weight)
    return [
        _vote(collection, index, vector, matches)
        for vector, matches in zip(vectors, found, strict=True)
    ]


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


def _to_hits(
    collection: Collection, queries: Sequence[Query], found: Sequence[Sequence[Candidate]]
) -> list[list[Hit]]:
    infos = collection.store.image_infos({c.image_id for candidates in found for c in candidates})
    kind = collection.store.find_kind(queries[0].feature, queries[0].search)
    whole = kind.scope == "region" and queries[0].box is None
    chance = collection.chance_scores(kind, GLOBAL_WEIGHT if whole else None)
    allowed = queries[0].allowed
    images = len(allowed) if allowed is not None else collection.image_count
    tries = images * (QUARTER_TURNS if queries[0].turns else 1)
    answers = []
    for query, candidates in zip(queries, found, strict=True):
        scores = [candidate.score for candidate in candidates]
        confidences = chance.confidences(scores, tries) if chance else [None] * len(scores)
        hits = [
            _to_hit(query, candidate, infos[candidate.image_id], confidence)
            for candidate, confidence in zip(candidates, confidences, strict=True)
            if candidate.image_id in infos
        ]
        kept = [hit for hit in hits if (hit.confidence or 0.0) >= query.min_confidence]
        answers.append([replace(hit, rank=rank) for rank, hit in enumerate(kept, 1)])
    return answers


def _to_hit(query: Query, candidate: Candidate, info: ImageInfo, confidence: float | None) -> Hit:
    match = candidate.match if candidate.is_proved else None
    if candidate.is_proved:
        confidence = max(confidence or 0.0, PROVED)
    return Hit(
        rank=1,
        image_id=candidate.image_id,
        path=info.path,
        score=min(candidate.score, 1.0),
        region=candidate.region,
        quad=match.quad if match else None,
        inliers=match.inliers if match else None,
        mirrored=match is not None and match.mirrored,
        confidence=confidence,
        verdict=_judge(query, candidate, info, confidence),
    )


def _judge(
    query: Query, candidate: Candidate, info: ImageInfo, confidence: float | None
) -> Verdict | None:
    if candidate.is_proved:
        whole = query.box is None and (
            candidate.is_own
            or (candidate.match is not None and candidate.match.fills(info.width, info.height))
        )
        return "same picture" if whole else "same object"
    if confidence is None:
        return None
    return "similar" if confidence >= CONFIDENT else "weak"


def _to_ids(allowed: frozenset[int] | None) -> IdArray | None:
    return None if allowed is None else np.array(sorted(allowed), np.int64)
