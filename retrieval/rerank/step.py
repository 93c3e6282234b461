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
from retrieval.geometry import GeometricMatch, QueryKeypoints
from retrieval.query import Query


@dataclass(frozen=True)
class Candidate:
    """An image that may be a hit, its score and the matched box.

    `match` is what geometric verification found, None where it found nothing or did not look;
    `forms` is how many forms of the query it looked for. `is_own` says that the image is the very
    file that was asked with.
    """

    image_id: int
    score: float
    region: Region | None
    match: GeometricMatch | None = None
    forms: int = 0
    is_own: bool = False

    @property
    def is_proved(self) -> bool:
        """Whether the image is known to show what was asked for."""
        return self.is_own or (self.match is not None and self.match.is_proof)


@dataclass(frozen=True)
class Question:
    """The query as the steps see it.

    `vector` (D,) is its vector, and `own` are the images that are the very file that was asked
    with, or copies of it. What steps have learned so far is added: its `keypoints`, and
    `expanded` (E,), the vector in the collection's own space with the vectors of hits added to it.
    """

    query: Query
    vector: FloatArray
    own: frozenset[int] = frozenset()
    keypoints: QueryKeypoints | None = None
    expanded: FloatArray | None = None


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
