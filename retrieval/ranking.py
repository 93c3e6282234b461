"""Ranking: query vectors in, hits out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from indexer.choices import Verdict
from indexer.errors import CbirError
from indexer.image_set import ImageSet
from indexer.images.page_paths import find_page
from indexer.memory import trim
from indexer.sources.access import read_file
from indexer.store.records import ImageInfo
from retrieval.candidates import find_candidates
from retrieval.collection import Collection
from retrieval.confidence import CONFIDENT, PROVED
from retrieval.describe import QUARTER_TURNS, QueryVectors
from retrieval.query import Hit, Query
from retrieval.rerank.close_up import CloseUp
from retrieval.rerank.geometric import GeometricVerification
from retrieval.rerank.keypoint_expansion import KeypointExpansion
from retrieval.rerank.query_expansion import QueryExpansion
from retrieval.rerank.step import Candidate, Question, RerankStep

VERIFY_STEPS: tuple[RerankStep, ...] = (GeometricVerification(),)
RERANK_STEPS: tuple[RerankStep, ...] = (
    GeometricVerification(),
    KeypointExpansion(),
    GeometricVerification(),
    QueryExpansion(),
    CloseUp(),
    GeometricVerification(),
)


def rank(
    collection: Collection,
    queries: Sequence[Query],
    vectors: Sequence[QueryVectors],
    *,
    own_first: bool = False,
    require_wanted: Callable[[], object] = lambda: None,
) -> list[list[Hit]]:
    """Return the hits of queries, each with its vectors, best first, ties by image id.

    The queries differ in what is asked for only, not in how it is searched. With `own_first`, and
    where hits are verified, the images that are the very file that was asked with come before all
    others. `require_wanted` is called before each step; what it raises ends the ranking.

    Raises `StoreError` where the store has no vectors of the kind asked for.
    """
    found = find_candidates(collection, queries, vectors)
    first = queries[0]
    steps = RERANK_STEPS if first.rerank else VERIFY_STEPS if first.verify else ()
    if steps or own_first:
        found = [
            _apply(
                steps,
                collection,
                *_with_own(collection, query, own, candidates),
                require_wanted,
            )
            for query, own, candidates in zip(queries, vectors, found, strict=True)
        ]
    if steps:
        trim()
    return _to_hits(collection, queries, [candidates[: first.k] for candidates in found])


def _with_own(
    collection: Collection, query: Query, vectors: QueryVectors, candidates: list[Candidate]
) -> tuple[Question, list[Candidate]]:
    """Return a query for the steps, and candidates with the query's own images in front."""
    own = _own_images(collection, query)
    missing = own - {candidate.image_id for candidate in candidates}
    if missing:
        alone = replace(query, allowed=ImageSet.of(missing), k=None)
        [found] = find_candidates(collection, [alone], [vectors])
        candidates = candidates + found
    if own:
        mine = [replace(c, is_own=True) for c in candidates if c.image_id in own]
        candidates = mine + [c for c in candidates if c.image_id not in own]
    return Question(query, vectors.own[0], own), candidates


def _own_images(collection: Collection, query: Query) -> frozenset[int]:
    """Return the images that are the query's own: the same file, or a copy of it."""
    if query.text is not None or query.vector is not None:
        return frozenset()
    own = {info.id for info in _copies(collection, query)}
    return frozenset(i for i in own if query.allowed is None or i in query.allowed)


def _copies(collection: Collection, query: Query) -> list[ImageInfo]:
    """Return the images that have the very bytes of a query's file."""
    if query.image_id is not None:
        return collection.copies(query.image_id)
    if query.path is None:
        return collection.same_files(query.data or b"")
    file, page = find_page(query.path)
    try:
        return collection.same_files(read_file(file), page)
    except (OSError, CbirError):  # gone since it was described
        return []


def copies_of_blank(collection: Collection, query: Query) -> list[Hit]:
    """Return the hits of a whole picture without content: the images that have its very bytes."""
    if query.box is not None:
        return []
    found = [
        info
        for info in _copies(collection, query)
        if query.allowed is None or info.id in query.allowed
    ]
    hits = [
        Hit(rank, info.id, info.path, 1.0, confidence=PROVED, verdict="same picture")
        for rank, info in enumerate(found[: query.k], 1)
    ]
    return with_annotations(collection, hits)


def _apply(
    steps: Sequence[RerankStep],
    collection: Collection,
    question: Question,
    candidates: list[Candidate],
    require_wanted: Callable[[], object],
) -> list[Candidate]:
    for step in steps:
        require_wanted()
        question, candidates = step.apply(collection, question, candidates)
    return candidates


def _to_hits(
    collection: Collection, queries: Sequence[Query], found: Sequence[Sequence[Candidate]]
) -> list[list[Hit]]:
    wanted = {candidate.image_id for candidates in found for candidate in candidates}
    infos = collection.store.image_infos(wanted)
    if len(infos) < len(wanted):
        collection.require_changed()
    kind = collection.store.find_kind(queries[0].feature, queries[0].search)
    counts_whole = queries[0].counts_whole
    whole = collection.store.find_kind(queries[0].feature, "image") if counts_whole else None
    # What chance brings to the scores of images says nothing about those of a word, or about ranks.
    told = queries[0].text is None and not queries[0].fused
    chance = collection.chance_scores(kind, whole) if told else None
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
    return [with_annotations(collection, hits) for hits in answers]


def with_annotations(collection: Collection, hits: Sequence[Hit]) -> list[Hit]:
    """Return hits with what fields of the user's own say of their images."""
    said = collection.store.reader.annotations([hit.image_id for hit in hits])
    return (
        [replace(hit, annotations=said.get(hit.image_id, {})) for hit in hits] if said else [*hits]
    )


def _to_hit(query: Query, candidate: Candidate, info: ImageInfo, confidence: float | None) -> Hit:
    match = candidate.match if candidate.is_proved else None
    if candidate.is_proved:
        confidence = PROVED
    return Hit(
        rank=1,
        image_id=candidate.image_id,
        path=info.path,
        score=min(candidate.score, 1.0),
        region=candidate.region,
        quad=match.quad if match else None,
        inliers=match.inliers if match else None,
        mirrored=match is not None and match.mirrored,
        inverted=match is not None and match.inverted,
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
    return "similar" if confidence >= CONFIDENT[query.search] else "weak"
