"""GeometricVerification: the candidates in which the query's keypoints lie as in the query."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from indexer.arrays import one_blas_thread
from indexer.features.local import SIDE_PX, LocalFeatures
from retrieval.collection import Collection
from retrieval.geometry import GeometricMatch, QueryKeypoints
from retrieval.picture import DECODERS
from retrieval.query_image import load_crop
from retrieval.rerank.step import Candidate, Question

INVERTED = 100  # candidates that are compared with the negative of the query too
MIRRORED = 20  # the same with its mirror image: copies score high


class GeometricVerification:
    """Puts the candidates that are proved to show the query first, and boxes it in them.

    The others keep their order. Those that are proved are ordered by their scores and a bonus of at
    most 1, the share of the query's keypoints that were found; the query's own image is first.
    """

    def apply(
        self, collection: Collection, question: Question, candidates: list[Candidate]
    ) -> tuple[Question, list[Candidate]]:
        keypoints = question.keypoints or QueryKeypoints.of(
            load_crop(collection, question.query, SIDE_PX), is_picture=question.query.box is None
        )
        depth = question.query.candidates
        verified = _verify(collection, keypoints, candidates, 0, depth)
        # A whole picture has two lists, of whole images and of regions; both get their `depth`.
        are_joined = question.query.counts_whole and question.expanded is None
        if are_joined and not _settled(verified[:depth]):
            verified = _verify(collection, keypoints, verified, depth, 2 * depth)
        proved = sorted((c for c in verified if c.is_proved), key=_order)
        rest = [c for c in verified if not c.is_proved]
        return replace(question, keypoints=keypoints), proved + rest


def _verify(
    collection: Collection,
    keypoints: QueryKeypoints,
    candidates: list[Candidate],
    start: int,
    stop: int,
) -> list[Candidate]:
    """Return the candidates, with a match for those of these ranks in which the query is found."""
    places = range(start, min(stop, len(candidates)))
    unproved = [place for place in places if not _has_proof(candidates[place])]
    forms = {
        place: wanted
        for rank, place in enumerate(unproved, start)
        if (wanted := _forms_at(rank)) > candidates[place].forms
    }
    images = collection.local_features([candidates[place].image_id for place in forms])
    matches = _find_matches(keypoints, images, list(forms.values()))
    verified = list(candidates)
    for (place, count), image, match in zip(forms.items(), images, matches, strict=True):
        candidate = replace(candidates[place], forms=count)
        if match is not None and image is not None:
            candidate = _with_match(candidate, match, image.size)
        verified[place] = candidate
    return verified


def _settled(candidates: Sequence[Candidate]) -> bool:
    """Whether other images than the query's own are proved, all of them in the first half."""
    proved = [_has_proof(candidate) and not candidate.is_own for candidate in candidates]
    return any(proved) and not any(proved[len(proved) // 2 :])


def _has_proof(candidate: Candidate) -> bool:
    return candidate.match is not None and candidate.match.is_proof


def _forms_at(rank: int) -> int:
    """Return how many forms of the query a candidate is compared with, by its rank."""
    return 1 + (rank < INVERTED) + (rank < MIRRORED)


def _find_matches(
    keypoints: QueryKeypoints, images: Sequence[LocalFeatures | None], forms: Sequence[int]
) -> list[GeometricMatch | None]:
    def find(image: LocalFeatures | None, count: int) -> GeometricMatch | None:
        if image is None:
            return None
        return keypoints.find_match(image, inverted=count > 1, mirrored=count > 2)

    with one_blas_thread(), ThreadPoolExecutor(DECODERS, "verify") as threads:
        return list(threads.map(find, images, forms))


def _with_match(candidate: Candidate, match: GeometricMatch, size: tuple[int, int]) -> Candidate:
    """Return the candidate with a match; one that is proved gives it its box."""
    box = match.box_in(*size) if match.is_proof else None
    return replace(candidate, match=match, region=box or candidate.region)


def _order(candidate: Candidate) -> tuple[bool, float, int]:
    share = candidate.match.share if candidate.match else 0.0
    return not candidate.is_own, -(candidate.score + share), candidate.image_id
