"""Scoring: hits held against a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from retrieval.evaluation.manifest import Manifest, ManifestQuery
from retrieval.evaluation.metrics import average_precision
from retrieval.query import Hit

TOP = 10  # hits of a query whose boxes are held against the true ones
GOOD_IOU = 0.5


@dataclass
class Scores:
    """Figures over queries: average precisions, and the positives among the first 10 and first.

    Of located positives in the top 10 it holds the best IoU with a true box and whether the centre
    of the hit's box lies in one.
    """

    precisions: list[float] = field(default_factory=list)
    top_shares: list[float] = field(default_factory=list)
    firsts: list[bool] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    pointed: list[bool] = field(default_factory=list)

    def as_dict(self) -> dict[str, float | None]:
        """Return mAP, precision@10, hit@1, mean IoU, its share of at least 0.5, and pointing."""
        located = bool(self.ious)
        return {
            "mAP": round(float(np.mean(self.precisions)), 4),
            "precision@10": round(float(np.mean(self.top_shares)), 4),
            "hit@1": round(float(np.mean(self.firsts)), 4),
            "box_iou": round(float(np.mean(self.ious)), 4) if located else None,
            "box_iou>=0.5": round(float(np.mean(np.array(self.ious) >= GOOD_IOU)), 4)
            if located
            else None,
            "pointing": round(float(np.mean(self.pointed)), 4) if located else None,
        }


def score_answers(manifest: Manifest, answers: Mapping[str, Sequence[Hit]]) -> Scores:
    """Score the ranked hits of every query that was answered, by query id."""
    scores = Scores()
    for query in manifest.queries:
        if query.id in answers:
            _score_query(manifest, query, answers[query.id], scores)
    return scores


def _score_query(
    manifest: Manifest, query: ManifestQuery, hits: Sequence[Hit], scores: Scores
) -> None:
    database = set(manifest.database)
    ranked: list[tuple[str, Hit]] = []
    for hit in hits:
        if not hit.path.is_relative_to(manifest.folder):
            continue
        entry = hit.path.relative_to(manifest.folder).as_posix()
        if entry in database and entry not in query.junk:
            ranked.append((entry, hit))
    relevant = [entry in query.positives for entry, _ in ranked]
    scores.precisions.append(average_precision(relevant, len(query.positives)))
    scores.top_shares.append(sum(relevant[:TOP]) / TOP)
    scores.firsts.append(any(relevant[:1]))
    for entry, hit in ranked[:TOP]:
        truths = (manifest.boxes if query.boxes is None else query.boxes).get(entry)
        if entry in query.positives and hit.region is not None and truths:
            box = hit.region
            scores.ious.append(max(box.iou(truth) for truth in truths))
            x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
            scores.pointed.append(any(t.x0 <= x < t.x1 and t.y0 <= y < t.y1 for t in truths))
