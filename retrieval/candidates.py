"""Candidates: the images that are most like a query, as whole images or by their regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from indexer.arrays import FloatArray, IdArray, cosines
from indexer.image_set import ImageSet
from indexer.store.vectors.image_matches import (
    ImageMatches,
    Matches,
    best_image_matches,
    best_matches,
)
from indexer.store.vectors.protocol import VectorIndex
from retrieval.boxes import VOTERS, vote_boxes
from retrieval.collection import Collection
from retrieval.describe import QueryVectors
from retrieval.fusion import DEPTH, fuse
from retrieval.query import POOL, Query
from retrieval.rerank.step import Candidate

VOTED = 50  # hits whose windows vote for the box


def find_candidates(
    collection: Collection, queries: Sequence[Query], vectors: Sequence[QueryVectors]
) -> list[list[Candidate]]:
    """Return the images that are most like each query, best first, ties by image id.

    The queries differ in what is asked for only, not in how it is searched. Of the turns of a
    query, the one that is most like an image counts. What is found by other kinds is joined by
    ranks.

    Raises `StoreError` where the store has no vectors of a kind asked for.
    """
    first = queries[0]
    if not vectors[0].others:
        return _find(collection, first, vectors)
    deep = None if first.k is None else max(first.k, first.candidates, DEPTH)
    rankings = [_find(collection, replace(first, k=deep), vectors)]
    for place, (other, _) in enumerate(first.fused):
        asked = replace(other, k=deep, allowed=first.allowed)
        rankings.append(_find(collection, asked, [v.others[place] for v in vectors]))
    weights = [1.0, *(weight for _, weight in first.fused)]
    return [fuse(of_one, weights) for of_one in zip(*rankings, strict=True)]


def _find(
    collection: Collection, query: Query, vectors: Sequence[QueryVectors]
) -> list[list[Candidate]]:
    """Return the images that are most like the vectors of each query, by the query's own kind."""
    find = _find_by_region if query.search == "region" else _find_images
    turned = find(collection, query, vectors)
    turns = len(vectors[0].own)
    return [_best_turns(turned[i : i + turns]) for i in range(0, len(turned), turns)]


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


def _find_images(
    collection: Collection, query: Query, vectors: Sequence[QueryVectors]
) -> list[list[Candidate]]:
    index = collection.index(collection.store.find_kind(query.feature, "image"))
    rows = np.concatenate([v.own for v in vectors])
    found = index.search(rows, _depth(query, index), query.allowed)
    return [
        [Candidate(i, score, None) for i, score in zip(ids.tolist(), scores.tolist(), strict=True)]
        for ids, scores in found
    ]


def _find_by_region(
    collection: Collection, query: Query, vectors: Sequence[QueryVectors]
) -> list[list[Candidate]]:
    index = collection.index(collection.store.find_kind(query.feature, "region"))
    rows, depth = np.concatenate([v.own for v in vectors]), _depth(query, index)
    found = index.search_images(rows, depth, query.allowed)
    wholes = [v.whole for v in vectors if v.whole is not None]
    if wholes:
        images = collection.index(collection.store.find_kind(query.feature, "image"))
        whole_rows = np.concatenate(wholes)
        found = [
            _join(index, images, row, whole_row, matches, whole_matches)
            for row, whole_row, matches, whole_matches in zip(
                rows,
                whole_rows,
                found,
                images.search(whole_rows, depth, query.allowed),
                strict=True,
            )
        ]
    if not (query.verify or query.rerank):
        found = [matches.split(query.k or depth)[0] for matches in found]
    return [
        _vote(collection, index, row, matches) for row, matches in zip(rows, found, strict=True)
    ]


def _join(
    regions: VectorIndex,
    images: VectorIndex,
    vector: FloatArray,
    whole: FloatArray,
    by_region: ImageMatches,
    as_whole: Matches,
) -> ImageMatches:
    """Return what is found by regions or as a whole, by the mean of both scores."""
    missing = np.setdiff1d(as_whole.ids, by_region.image_ids)
    if len(missing):
        [more] = regions.search_images(vector[None], len(missing), ImageSet(missing))
        by_region = best_image_matches([by_region, more], len(regions))
    missing = np.setdiff1d(by_region.image_ids, as_whole.ids)
    if len(missing):
        [others] = images.search(whole[None], len(missing), ImageSet(missing))
        as_whole = best_matches([as_whole, others], len(images))
    ids, places, whole_places = np.intersect1d(
        by_region.image_ids, as_whole.ids, assume_unique=True, return_indices=True
    )
    scores = (by_region.scores[places] + as_whole.scores[whole_places]) / np.float32(2)
    order = np.lexsort((ids, -scores))
    return ImageMatches(ids[order], by_region.ids[places][order], scores[order])


def _depth(query: Query, index: VectorIndex) -> int:
    """Return how many images are to be found.

    They are as many as later steps look at, so that asking for more hits does not change the first
    of them. Where whole images count too, those that are found either way are compared in both.
    """
    return max(
        query.k or max(1, len(index)),
        query.candidates if query.verify or query.rerank else 1,
        POOL if query.rerank or query.counts_whole else 1,
    )


def _vote(
    collection: Collection, index: VectorIndex, vector: FloatArray, matches: ImageMatches
) -> list[Candidate]:
    """Let the best windows of each of the first images vote for its box."""
    first, rest = matches.split(VOTED)
    ids, scores = _voters(index, vector, first.image_ids)
    boxes = collection.store.boxes(ids.ravel().tolist()).reshape(*ids.shape, 4)
    there = (boxes.any(axis=2) | (ids < 0)).all(axis=1)  # else removed since they were opened
    if not there.all():
        collection.require_changed()
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
    if len(boxes) < len(set(matches.ids.tolist())):
        collection.require_changed()
    columns = (column.tolist() for column in matches)
    return [
        Candidate(image_id, score, boxes[region_id])
        for image_id, region_id, score in zip(*columns, strict=True)
        if region_id in boxes  # else removed since the vectors were opened
    ]
