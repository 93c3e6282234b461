"""RerankStep: what a re-ranking step is given, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from indexer.arrays import FloatArray, IdArray, cosines
from indexer.features.regions import Region
from retrieval.collection import Collection


@dataclass(frozen=True)
class Candidate:
    """An image that may be a hit, its score and the matched box."""

    image_id: int
    score: float
    region: Region | None


@dataclass(frozen=True)
class Question:
    """The query as the steps see it, in the collection's own space.

    `own` (E,) is its vector, `expanded` (E,) the same with what the steps so far added to it;
    `count` is how many of the first candidates are to be re-ranked.
    """

    own: FloatArray
    expanded: FloatArray
    count: int


class RerankStep(Protocol):
    """A step of re-ranking: it may change the order, the scores and boxes, and the question."""

    def apply(
        self, collection: Collection, question: Question, candidates: list[Candidate]
    ) -> tuple[Question, list[Candidate]]: ...


def best_rows(sets: Sequence[FloatArray], vector: FloatArray) -> tuple[FloatArray, IdArray]:
    """Return for each set of vectors (R, E) the best score with `vector` (E,), and its row."""
    if not sets:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    scores = cosines(np.concatenate(sets), vector)
    starts = np.cumsum([0, *(len(s) for s in sets)])
    rows = np.array([scores[a:b].argmax() for a, b in pairwise(starts.tolist())], np.int64)
    return scores[starts[:-1] + rows], rows
