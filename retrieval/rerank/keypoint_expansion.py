"""KeypointExpansion: the query's keypoints together with those of its proved hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from indexer.features.local import MAX_POINTS, LocalFeatures
from retrieval.collection import Collection
from retrieval.geometry import GeometricMatch, QueryKeypoints
from retrieval.rerank.step import Candidate, Question
from retrieval.transform import project

SEEN_IN = 5  # proved hits whose keypoints are added
ADDED = MAX_POINTS // SEEN_IN  # at most, of each: together no more than a query has of its own


class KeypointExpansion:
    """Adds the keypoints that the first proved hits have where they show the query.

    Query expansion by keypoints (Chum et al. 2007): they are brought back into the query by the
    transforms that were found. Candidates that were not proved are to be compared once more: a hit
    may show the same thing larger, sharper or in another light.

    This is for boxes only, which are drawn round one thing. Where a whole picture shows several,
    its hits may share one of them with images that have nothing else in common with it.
    """

    def apply(
        self, collection: Collection, question: Question, candidates: list[Candidate]
    ) -> tuple[Question, list[Candidate]]:
        keypoints = question.keypoints
        if keypoints is None or question.query.box is None:
            return question, candidates
        seen = [
            (candidate.image_id, candidate.match)
            for candidate in candidates
            if candidate.match is not None and candidate.match.is_proof and not candidate.is_own
        ][:SEEN_IN]
        if not seen:
            return question, candidates
        images = collection.local_features([image_id for image_id, _ in seen])
        expanded = expand(keypoints, [match for _, match in seen], images)
        return replace(question, keypoints=expanded), [
            candidate if candidate.is_proved else replace(candidate, match=None, forms=0)
            for candidate in candidates
        ]


def expand(
    keypoints: QueryKeypoints,
    matches: Sequence[GeometricMatch],
    images: Sequence[LocalFeatures | None],
) -> QueryKeypoints:
    """Return the keypoints of a query with those of images, given how it lies in each."""
    parts = [keypoints.plain] + [
        bring_back(match, image, keypoints.plain.size)
        for match, image in zip(matches, images, strict=True)
        if image is not None
    ]
    points = np.concatenate([part.points for part in parts])
    descriptors = np.concatenate([part.descriptors for part in parts])
    joined = LocalFeatures(points, descriptors, keypoints.plain.size)
    return QueryKeypoints.from_features(joined, is_picture=keypoints.is_picture)


def bring_back(match: GeometricMatch, image: LocalFeatures, size: tuple[int, int]) -> LocalFeatures:
    """Return the strongest keypoints of an image that lie in the query, in pixels of the query.

    `size` is the query's (width, height). Those of a mirror image or a negative become what they
    are in the query.
    """
    if match.inverted:
        image = image.inverted()
    transform = match.transform
    if match.mirrored:
        image = image.mirrored()
        transform = np.array([[-1, 0, image.size[0]], [0, 1, 0], [0, 0, 1]], float) @ transform
    back = np.asarray(np.linalg.inv(transform), np.float64)
    points = image.points.astype(np.float64)
    angles = np.radians(points[:, 3])
    to_tip = points[:, 2:3] * np.column_stack([np.cos(angles), np.sin(angles)])
    to_side = to_tip[:, ::-1] * [-1, 1]
    found = project(back, points[:, :2])
    along, across = (project(back, points[:, :2] + step) - found for step in (to_tip, to_side))
    areas = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
    inside = ((found >= 0) & (found <= size)).all(axis=1) & np.isfinite(areas) & (areas > 0)
    rows = np.flatnonzero(inside)[:ADDED]
    turned = np.degrees(np.arctan2(along[rows, 1], along[rows, 0])) % 360
    brought = np.column_stack([found[rows], np.sqrt(areas[rows]), turned]).astype(np.float32)
    return LocalFeatures(brought, image.descriptors[rows], size)
