"""CloseUp: the first candidates forwarded again round their best region, in finer windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from indexer.arrays import FloatArray, cosines
from indexer.features.regions import Region
from retrieval.boxes import anchor_boxes
from retrieval.collection import Collection
from retrieval.picture import Picture
from retrieval.rerank.step import Candidate, Question, best_rows
from retrieval.zoom import crop_size, describe_zoomed

EXAMINED = 40  # candidates that are forwarded again
LOCATED = 10  # hits whose boxes are refined


class CloseUp:
    """Re-ranks by fine windows round the best region of each of the first candidates.

    The query is expanded once more by what is found there. The very first get their boxes refined
    by crops of other sizes and shapes. Candidates whose files are missing keep their place.
    """

    def apply(
        self, collection: Collection, question: Question, candidates: list[Candidate]
    ) -> tuple[Question, list[Candidate]]:
        first, tail = candidates[:EXAMINED], candidates[EXAMINED:]
        [own] = collection.to_space(question.vector[None])
        vector = own if question.expanded is None else question.expanded
        seen, pictures, regions = _with_pictures(collection, first)
        if not seen:
            return question, candidates
        zoomed = describe_zoomed(collection.extractor, pictures, regions)
        fine = [collection.to_space(windows.vectors) for windows in zoomed]
        scores, rows = best_rows(fine, vector)
        stored = [collection.space_rows(first[i].image_id)[1] for i in seen]
        coarse, _ = best_rows(stored, vector)
        order = order_again(
            [c.is_proved for c in first], dict(zip(seen, scores + coarse, strict=True))
        )
        ranked = list(first)
        for place, i in enumerate(seen):
            if not first[i].is_proved:
                ranked[i] = replace(first[i], region=zoomed[place].regions[rows[place]])
        ranked = [ranked[i] for i in order]
        return question, _refine_boxes(collection, vector, ranked) + tail


def order_again(proved: Sequence[bool], scores: Mapping[int, float]) -> list[int]:
    """Return the places of candidates in a better order: those with a score, by that, best first.

    Candidates that are `proved`, and those without a score, keep their places.
    """
    free = sorted(place for place in scores if not proved[place])
    order = list(range(len(proved)))
    ranked = sorted(free, key=lambda place: (-scores[place], place))
    for place, better in zip(free, ranked, strict=True):
        order[place] = better
    return order


def _with_pictures(
    collection: Collection, candidates: Sequence[Candidate | None]
) -> tuple[list[int], list[Picture], list[Region]]:
    """Return which candidates can be zoomed in on, their pictures and their regions."""
    wanted = [
        (place, candidate, candidate.region)
        for place, candidate in enumerate(candidates)
        if candidate is not None and candidate.region is not None
    ]
    loaded = collection.pictures([candidate.image_id for _, candidate, _ in wanted])
    found = [
        (place, picture, region)
        for (place, _, region), picture in zip(wanted, loaded, strict=True)
        if picture is not None
    ]
    places, pictures, regions = zip(*found, strict=True) if found else ((), (), ())
    return list(places), list(pictures), list(regions)


def _refine_boxes(
    collection: Collection, vector: FloatArray, ranked: list[Candidate]
) -> list[Candidate]:
    """Give the first candidates the best of their anchor boxes; their order stays."""
    unproved = [None if c.is_proved else c for c in ranked[:LOCATED]]
    places, pictures, regions = _with_pictures(collection, unproved)
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
