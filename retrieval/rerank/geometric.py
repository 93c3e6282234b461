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
        # A whole picture searched by regions has as many again, from whole images.
        depth = question.query.candidates * (2 if question.query.counts_whole else 1)
        unseen = [place for place, c in enumerate(candidates[:depth]) if c.match is None]
        images = collection.local_features([candidates[place].image_id for place in unseen])
        verified = list(candidates)
        matches = _find_matches(keypoints, images)
        for place, image, match in zip(unseen, images, matches, strict=True):
            if match is not None and image is not None:
                verified[place] = _with_match(candidates[place], match, image.size)
        proved = sorted((c for c in verified if c.is_proved), key=_order)
        rest = [c for c in verified if not c.is_proved]
        return replace(question, keypoints=keypoints), proved + rest


def _find_matches(
    keypoints: QueryKeypoints, images: Sequence[LocalFeatures | None]
) -> list[GeometricMatch | None]:
    def find(place: int) -> GeometricMatch | None:
        image = images[place]
        if image is None:
            return None
        return keypoints.find_match(image, inverted=place < INVERTED, mirrored=place < MIRRORED)

    with one_blas_thread(), ThreadPoolExecutor(DECODERS, "verify") as threads:
        return list(threads.map(find, range(len(images))))


def _with_match(candidate: Candidate, match: GeometricMatch, size: tuple[int, int]) -> Candidate:
    """Return the candidate with a match; one that is proved gives it its box."""
    box = match.box_in(*size) if match.is_proof else None
    return replace(candidate, match=match, region=box or candidate.region)


def _order(candidate: Candidate) -> tuple[bool, float, int]:
    share = candidate.match.share if candidate.match else 0.0
    return not candidate.is_own, -(candidate.score + share), candidate.image_id
