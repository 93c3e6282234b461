"""CloseUp: the first candidates forwarded again round their best region, in finer windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from indexer.arrays import FloatArray, cosines
from indexer.features.regions import Region
from retrieval.boxes import anchor_boxes
from retrieval.collection import Collection
from retrieval.picture import Picture
from retrieval.rerank.query_expansion import expand
from retrieval.rerank.step import Candidate, Question, best_rows
from retrieval.zoom import crop_size, describe_zoomed

LOCATED = 20  # hits whose boxes are refined


class CloseUp:
    """Re-ranks by fine windows round the best region of each of the first candidates.

    The query is expanded once more by what is found there. The very first get their boxes refined
    by crops of other sizes and shapes. Candidates whose files are missing keep their place.
    """

    def apply(
        self, collection: Collection, question: Question, candidates: list[Candidate]
    ) -> tuple[Question, list[Candidate]]:
        first, tail = candidates[: question.count], candidates[question.count :]
        seen, pictures, regions = _with_pictures(collection, first)
        if not seen:
            return question, candidates
        zoomed = describe_zoomed(collection.extractor, pictures, regions)
        fine = [collection.to_space(windows.vectors) for windows in zoomed]
        scores, rows = best_rows(fine, question.expanded)
        neighbours = [v[r] for v, r in zip(fine, rows, strict=True)]
        question = replace(question, expanded=expand(question.own, scores, neighbours))
        scores, rows = best_rows(fine, question.expanded)
        stored = [collection.space_rows(first[i].image_id)[1] for i in seen]
        coarse, _ = best_rows(stored, question.expanded)
        ranked = list(first)
        for place, i in enumerate(seen):
            score = float((scores[place] + coarse[place]) / 2)
            box = zoomed[place].regions[rows[place]]
            ranked[i] = Candidate(first[i].image_id, score, box)
        ranked.sort(key=lambda c: (-c.score, c.image_id))
        return question, _refine_boxes(collection, question.expanded, ranked) + tail


def _with_pictures(
    collection: Collection, candidates: list[Candidate]
) -> tuple[list[int], list[Picture], list[Region]]:
    """Return which candidates can be zoomed in on, their pictures and their regions."""
    loaded = collection.pictures([candidate.image_id for candidate in candidates])
    found = [
        (place, picture, candidate.region)
        for place, (candidate, picture) in enumerate(zip(candidates, loaded, strict=True))
        if picture is not None and candidate.region is not None
    ]
    places, pictures, regions = zip(*found, strict=True) if found else ((), (), ())
    return list(places), list(pictures), list(regions)


def _refine_boxes(
    collection: Collection, vector: FloatArray, ranked: list[Candidate]
) -> list[Candidate]:
    """Give the first candidates the best of their anchor boxes; their order stays."""
    places, pictures, regions = _with_pictures(collection, ranked[:LOCATED])
    anchors = [
        (place, picture, box)
        for place, picture, region in zip(places, pictures, regions, strict=True)
        for box in anchor_boxes(region, *picture.size)
    ]
    if not anchors:
        return ranked
    extractor = collection.extractor
    size_px = crop_size(extractor)
    views = [extractor.view(picture.crop(box), size_px) for _, picture, box in anchors]
    scores = cosines(collection.to_space(np.vstack(extractor.describe_views(views))), vector)
    refined = list(ranked)
    best: dict[int, float] = {}
    for (place, _, box), score in zip(anchors, scores.tolist(), strict=True):
        if score > best.get(place, -2):
            best[place] = score
            refined[place] = replace(ranked[place], region=box)
    return refined
