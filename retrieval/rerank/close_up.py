"""CloseUp: the first candidates forwarded again round their best region, in finer windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from indexer.features.regions import Region
from retrieval.collection import Collection
from retrieval.picture import Picture
from retrieval.rerank.step import Candidate, Question, best_rows
from retrieval.zoom import describe_zoomed

EXAMINED = 40  # candidates that are forwarded again


class CloseUp:
    """Re-ranks by fine windows round the best region of each of the first candidates.

    They are compared with the expanded query; without one, nothing changes: what is like a query
    in detail need not be of its kind. Candidates that are proved stay ahead, and those whose files
    are missing keep their place. Boxes stay as they are: windows that voted fit an object better
    than the best fine window.
    """

    def apply(
        self, collection: Collection, question: Question, candidates: list[Candidate]
    ) -> tuple[Question, list[Candidate]]:
        if question.expanded is None:
            return question, candidates
        start = sum(candidate.is_proved for candidate in candidates)
        first = candidates[start : start + EXAMINED]
        seen, pictures, regions = _with_pictures(collection, first)
        if not seen:
            return question, candidates
        vector = question.expanded
        zoomed = describe_zoomed(collection.extractor, pictures, regions)
        fine, _ = best_rows([collection.to_space(windows.vectors) for windows in zoomed], vector)
        stored = [collection.space_rows(first[place].image_id)[1] for place in seen]
        coarse, _ = best_rows(stored, vector)
        order = order_again(len(first), dict(zip(seen, fine + coarse, strict=True)))
        ranked = [first[place] for place in order]
        return question, candidates[:start] + ranked + candidates[start + EXAMINED :]


def order_again(count: int, scores: Mapping[int, float]) -> list[int]:
    """Return `count` places in a better order: those that have a score by that, best first.

    The others keep their places.
    """
    order = list(range(count))
    ranked = sorted(scores, key=lambda place: (-scores[place], place))
    for place, better in zip(sorted(scores), ranked, strict=True):
        order[place] = better
    return order


def _with_pictures(
    collection: Collection, candidates: Sequence[Candidate]
) -> tuple[list[int], list[Picture], list[Region]]:
    """Return which candidates can be zoomed in on, their pictures and their regions."""
    wanted = [
        (place, candidate, candidate.region)
        for place, candidate in enumerate(candidates)
        if candidate.region is not None
    ]
    loaded = collection.pictures([candidate.image_id for _, candidate, _ in wanted])
    found = [
        (place, picture, region)
        for (place, _, region), picture in zip(wanted, loaded, strict=True)
        if picture is not None
    ]
    places, pictures, regions = zip(*found, strict=True) if found else ((), (), ())
    return list(places), list(pictures), list(regions)
