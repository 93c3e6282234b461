"""QueryExpansion: the query averaged with its nearest regions, and compared again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from indexer.arrays import FloatArray, unit_vector
from retrieval.collection import Collection
from retrieval.rerank.step import Candidate, Question, best_rows

NEIGHBOURS = 5
AGREEMENT = 0.1
POOL = 10  # times the candidates: images whose stored vectors are compared again


class QueryExpansion:
    """Re-ranks by the stored region vectors, compared with the expanded query.

    The query is expanded by the best candidates' regions, those that agree with one another; far
    down, the order of the search stays.
    """

    def apply(
        self, collection: Collection, question: Question, candidates: list[Candidate]
    ) -> tuple[Question, list[Candidate]]:
        size = POOL * question.count
        pool, tail = candidates[:size], candidates[size:]
        stored = [collection.space_rows(c.image_id) for c in pool]
        vectors = [rows for _, rows in stored]
        scores, best = best_rows(vectors, question.own)
        neighbours = [v[r] for v, r in zip(vectors, best, strict=True)]
        expanded = expand(question.expanded, scores, neighbours)
        scores, best = best_rows(vectors, expanded)
        ids = [int(region_ids[row]) for (region_ids, _), row in zip(stored, best, strict=True)]
        boxes = collection.store.regions(ids)
        ranked = [
            Candidate(pool[i].image_id, float(scores[i]), boxes[ids[i]])
            for i in np.argsort(-scores, kind="stable")
            if ids[i] in boxes  # else removed since the vectors were opened
        ]
        return replace(question, expanded=expanded), ranked + tail


def expand(own: FloatArray, scores: FloatArray, vectors: Sequence[FloatArray]) -> FloatArray:
    """Return the query (E,) averaged with its best neighbours, those that agree with one another.

    Average query expansion (Chum et al. 2007). A neighbour whose mean cosine with the others is
    under `AGREEMENT` is left out, so a query with one true match does not drift away from it.
    """
    order = np.argsort(-scores, kind="stable")[:NEIGHBOURS]
    if len(order) < 2:
        return own
    neighbours = np.stack([vectors[i] for i in order])
    similarity = np.einsum("ik,jk->ij", neighbours, neighbours)
    mean = (similarity.sum(axis=1) - 1) / (len(order) - 1)
    agreeing = neighbours[mean >= AGREEMENT]
    return unit_vector(own + agreeing.sum(axis=0)) if len(agreeing) else own
