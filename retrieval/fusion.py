"""Reciprocal rank fusion: one ranking of images from several, of which no scores are compared.

Cormack, Clarke and Buettcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual
rank learning methods", equation 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from retrieval.query import Hit
from retrieval.rerank.step import Candidate

RANK_CONSTANT = 60  # k of the paper: how little a first place counts for more than the next ones
DEPTH = 1000  # images of each ranking, as in the runs of TREC that the paper fuses


def fuse(rankings: Sequence[Sequence[Candidate]], weights: Sequence[float]) -> list[Candidate]:
    """Return the images of several rankings, each once, best first, ties by image id.

    An image's score is the sum of weight / (60 + rank), with ranks from 1, over the rankings that
    have it, as a share of what the first place in all of them would give: 1 is the most. Its box is
    that of the first ranking that has one.
    """
    most = sum(weights) / (RANK_CONSTANT + 1)
    found: dict[int, Candidate] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for rank, candidate in enumerate(ranking, 1):
            gain = weight / (RANK_CONSTANT + rank) / most
            known = found.get(candidate.image_id)
            if known is None:
                found[candidate.image_id] = replace(candidate, score=gain)
            else:
                found[candidate.image_id] = replace(
                    known, score=known.score + gain, region=known.region or candidate.region
                )
    return sorted(found.values(), key=lambda c: (-c.score, c.image_id))


def fuse_hits(rankings: Sequence[Sequence[Hit]]) -> list[Hit]:
    """Return the images of several rankings as hits, each once, best first, ties by image id.

    The score is that of `fuse` with equal weights, which says nothing of chance or proof: hits have
    no confidence and no verdict. The box, or the outline, is that of the first ranking with one.
    """
    first: dict[int, Hit] = {}
    for hit in (hit for ranking in rankings for hit in ranking):
        known = first.get(hit.image_id)
        if known is None or (known.region is None and hit.region is not None):
            first[hit.image_id] = hit
    candidates = [
        [Candidate(hit.image_id, hit.score, None) for hit in ranking] for ranking in rankings
    ]
    fused = fuse(candidates, [1.0] * len(rankings))
    return [
        replace(first[one.image_id], rank=rank, score=one.score, confidence=None, verdict=None)
        for rank, one in enumerate(fused, 1)
    ]
