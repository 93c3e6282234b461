"""How many lists of an IVF index in Milvus a search has to look into."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace

import numpy as np

from indexer.arrays import FloatArray, IdArray
from indexer.choices import IndexType
from indexer.progress import Progress
from indexer.store.vectors.image_matches import best_matches, rank_rows
from indexer.store.vectors.index_types import ACCURACY, RECALL_AT
from indexer.store.vectors.ivf_calibration import make_questions, probe_steps
from indexer.store.vectors.milvus_collection import LISTS, MilvusCollection
from indexer.store.vectors.milvus_index import NONE, MilvusIndex

QUESTIONS = 128


def find_nprobe(
    collection: MilvusCollection, name: str, index_type: IndexType, progress: Progress
) -> tuple[int, float] | None:
    """Return the least `nprobe` that reaches the recall aimed at, and the recall that it reaches.

    The index is that of the collection `name`, which holds the same rows as `collection`. None for
    an exact index.
    """
    if index_type == "exact":
        return None
    # What was inserted has been counted: no question waits for the next time tick.
    collection = replace(collection, opened_at=-math.inf)
    questions = make_questions(MilvusIndex(collection).sample(QUESTIONS)[:QUESTIONS])
    truth = _nearest(collection, questions, progress)
    reached: dict[int, float] = {}

    def reaches(nprobe: int) -> bool:
        tried = replace(collection, name=name, index_type=index_type, nprobe=nprobe)
        found = MilvusIndex(tried).search(questions, RECALL_AT)
        hits = sum(len(np.intersect1d(f.ids, t)) for f, t in zip(found, truth, strict=True))
        reached[nprobe] = hits / max(1, sum(map(len, truth)))
        return reached[nprobe] >= ACCURACY[index_type].recall

    steps = probe_steps(LISTS)
    nprobe = steps[min(bisect_left(steps, True, key=reaches), len(steps) - 1)]
    return nprobe, reached[nprobe]


def _nearest(
    collection: MilvusCollection, questions: FloatArray, progress: Progress
) -> list[IdArray]:
    """Return the ids truly nearest to each question (Q, D)."""
    best = [NONE] * len(questions)
    done = 0
    for page in collection.pages():
        best = [
            best_matches([match, rank_rows(question, page.ids, page.vectors)], RECALL_AT)
            for question, match in zip(questions, best, strict=True)
        ]
        done += len(page.ids)
        progress("measuring the recall of the index", done, collection.rows)
    return [match.ids for match in best]
