"""QueryExpansion: the query averaged with its nearest regions, and compared again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from indexer.arrays import unit_vector
from retrieval.collection import Collection
from retrieval.query import POOL
from retrieval.rerank.step import Candidate, Question, best_rows

NEIGHBOURS = 10


class QueryExpansion:
    """Re-ranks by the stored region vectors, compared with the query and its proved hits.

    Average query expansion (Chum et al. 2007) by hits that geometry proved: without one, other than
    the query's own image, nothing changes.
    """

    def apply(
        self, collection: Collection, question: Question, candidates: list[Candidate]
    ) -> tuple[Question, list[Candidate]]:
        pool, tail = candidates[:POOL], candidates[POOL:]
        proved = [place for place, c in enumerate(pool) if c.is_proved and not c.is_own]
        proved = proved[:NEIGHBOURS]
        if not proved:
            return question, candidates
        stored = [collection.space_rows(c.image_id) for c in pool]
        vectors = [rows for _, rows in stored]
        [own] = collection.to_space(question.vector[None])
        _, best = best_rows([vectors[i] for i in proved], own)
        neighbours = [vectors[i][row] for i, row in zip(proved, best, strict=True)]
        expanded = unit_vector(own + np.sum(neighbours, axis=0))
        scores, _ = best_rows(vectors, expanded)
        places = sorted(
            range(len(pool)), key=lambda place: (not pool[place].is_proved, -scores[place], place)
        )
        return replace(question, expanded=expanded), [pool[place] for place in places] + tail
