"""Scoring: hits held against a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from indexer.features.regions import Region
from retrieval.evaluation.manifest import Manifest, ManifestQuery
from retrieval.evaluation.metrics import average_precision_at, bootstrap_interval
from retrieval.query import Hit

TOP = 10  # hits of a query whose boxes are held against the true ones
GROUP = 4  # images of a group of UKBench, among which the N-S score counts
GOOD_IOU = 0.5


@dataclass(frozen=True)
class QueryScore:
    """What became of one query, junk and repeated entries taken out.

    `ranks` are those of the positives found, from 1, best first; `top` are the first ten database
    entries with their hits. `ious` and `pointed` are, of the positives among these that have true
    boxes, the best IoU with one, and whether the centre of the hit's box lies in one.
    """

    query: ManifestQuery
    answered: bool
    ranks: Mapping[str, int]
    top: tuple[tuple[str, Hit], ...]
    ious: tuple[float, ...]
    pointed: tuple[bool, ...]

    @property
    def average_precision(self) -> float:
        """The finite sum: see `average_precision`."""
        return average_precision_at(self.ranks.values(), len(self.query.positives))

    @property
    def first_right_rank(self) -> int | None:
        """The rank of the first positive; None if none was found."""
        return next(iter(self.ranks.values()), None)

    def count_within(self, rank: int) -> int:
        """Return how many positives are found up to this rank."""
        return sum(r <= rank for r in self.ranks.values())

    def as_dict(self) -> dict[str, str | int | float | bool | None]:
        """Return the figures of the query."""
        return {
            "id": self.query.id,
            "average_precision": round(self.average_precision, 6),
            "first_right_rank": self.first_right_rank,
            "positives": len(self.query.positives),
            "found": len(self.ranks),
            "answered": self.answered,
        }


@dataclass(frozen=True)
class Scores:
    """The scores of a manifest's queries, without those that have no positives (`left_out`)."""

    manifest: Manifest
    queries: tuple[QueryScore, ...]
    left_out: tuple[str, ...]

    def as_dict(self) -> dict[str, str | int | float | None]:
        """Return the means over the queries; one that was not answered counts as 0.

        `located` is how many positives among the first ten have both a box and true boxes; the
        three figures of boxes are means over these, None if there are none.
        """
        asked = self.queries
        precisions = [q.average_precision for q in asked]
        low, high = bootstrap_interval(precisions) if precisions else (None, None)
        ious = [value for q in asked for value in q.ious]
        return {
            "name": self.manifest.name,
            "queries": len(asked),
            "unanswered": sum(not q.answered for q in asked),
            "mAP": _mean(precisions),
            "precision@10": _mean([q.count_within(TOP) / TOP for q in asked]),
            "recall@10": _mean([q.count_within(TOP) / len(q.query.positives) for q in asked]),
            "hit@1": _mean([float(q.count_within(1) > 0) for q in asked]),
            "located": len(ious),
            "box_iou": _mean(ious),
            "box_iou>=0.5": _mean([value >= GOOD_IOU for value in ious]),
            "pointing": _mean([value for q in asked for value in q.pointed]),
            "hit@10": _mean([float(q.count_within(TOP) > 0) for q in asked]),
            "N-S": _mean([q.count_within(GROUP) for q in asked]),
            "mAP_low": None if low is None else round(low, 4),
            "mAP_high": None if high is None else round(high, 4),
            "without_positives": len(self.left_out),
            "protocol": self.manifest.protocol,
        }

    def worst(self, count: int) -> list[QueryScore]:
        """Return the queries of the lowest average precision below 1, lowest first."""
        failures = [q for q in self.queries if q.average_precision < 1]
        return sorted(failures, key=lambda q: q.average_precision)[:count]


def score_answers(manifest: Manifest, answers: Mapping[str, Sequence[Hit]]) -> Scores:
    """Score the ranked hits of every query, by query id; one without an answer counts as 0."""
    return score_protocols([manifest], answers.items())[0]


def score_protocols(
    manifests: Sequence[Manifest], answers: Iterable[tuple[str, Sequence[Hit] | None]]
) -> list[Scores]:
    """Score the same answers, (query id, ranked hits or None) each, against several manifests.

    Answers are taken one at a time, and of each only its first hits are kept.
    """
    scored: list[dict[str, QueryScore]] = [{} for _ in manifests]
    asked = [{query.id: query for query in manifest.queries} for manifest in manifests]
    for query_id, hits in answers:
        for manifest, queries, found in zip(manifests, asked, scored, strict=True):
            if hits is not None and query_id in queries:
                found[query_id] = score_query(manifest, queries[query_id], hits)
    return [_gather(m, found) for m, found in zip(manifests, scored, strict=True)]


def score_query(manifest: Manifest, query: ManifestQuery, hits: Sequence[Hit]) -> QueryScore:
    """Score the ranked hits of a query; what is not in the database is taken out first."""
    ranked: dict[str, Hit] = {}
    for hit in hits:
        entry = manifest.find_entry(hit.path)
        if entry is not None and entry not in query.junk:
            ranked.setdefault(entry, hit)
    ranks = {e: rank for rank, e in enumerate(ranked, 1) if e in query.positives}
    top = tuple(ranked.items())[:TOP]
    truths = manifest.boxes if query.boxes is None else query.boxes
    located = [
        (hit.region, truths[entry])
        for entry, hit in top
        if entry in query.positives and hit.region is not None and entry in truths
    ]
    ious = tuple(max(box.iou(truth) for truth in true) for box, true in located)
    pointed = tuple(_points_into(box, true) for box, true in located)
    return QueryScore(query, True, ranks, top, ious, pointed)


def _points_into(box: Region, truths: Sequence[Region]) -> bool:
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return any(t.x0 <= x < t.x1 and t.y0 <= y < t.y1 for t in truths)


def _gather(manifest: Manifest, found: Mapping[str, QueryScore]) -> Scores:
    scores = [
        found.get(query.id) or QueryScore(query, False, {}, (), (), ())
        for query in manifest.queries
        if query.positives
    ]
    return Scores(manifest, tuple(scores), tuple(q.id for q in manifest.queries if not q.positives))


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
