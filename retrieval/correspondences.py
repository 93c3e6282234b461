"""Correspondences: the keypoints of a query that were found again in one image of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexer.features.local import SIDE_PX
from retrieval.collection import Collection
from retrieval.geometry import GeometricMatch, QueryKeypoints
from retrieval.query import Query
from retrieval.query_image import crop, load_query
from retrieval.rerank.keypoint_expansion import SEEN_IN, expand
from retrieval.transform import Points


@dataclass(frozen=True)
class Correspondences:
    """What geometry says of a query and an image of the store.

    `match` is in pixels of the original image. `shares` (N, 4) are the same points x, y in the
    query's whole picture and x, y in the image, as shares of their widths and heights: with a box,
    those in the query lie inside it.
    """

    match: GeometricMatch
    shares: Points


def find_correspondences(
    collection: Collection, query: Query, image_id: int, *, proved: Sequence[int] = ()
) -> Correspondences | None:
    """Return the keypoints that a query and an image share, as verifying finds them, if any.

    Where they prove nothing, and a box was drawn, keypoints of `proved` hits are added to the
    query's, as re-ranking does. None, too, where the file of the image cannot be read. Raises
    `CbirError` where the query's picture cannot be.
    """
    return collection.at_last_commit(lambda now: _find(now, query, image_id, proved))


def _find(
    collection: Collection, query: Query, image_id: int, proved: Sequence[int]
) -> Correspondences | None:
    [image] = collection.local_features([image_id])
    if image is None:
        return None
    pixels, box = load_query(collection, query, SIDE_PX)
    asked = pixels if box is None else crop(pixels, box)
    keypoints = QueryKeypoints.of(asked, is_picture=query.box is None)
    match = keypoints.find_match(image)
    if proved and box is not None and not (match and match.is_proof):
        helped = _expand(collection, keypoints, proved).find_match(image)
        match = helped if helped and helped.is_proof else match
    if match is None:
        return None
    corner = (0, 0) if box is None else (box.x0, box.y0)
    height, width = pixels.shape[:2]
    in_query = (match.points[:, :2] + corner) / (width, height)
    in_image = match.points[:, 2:] / image.size
    return Correspondences(match, np.clip(np.hstack([in_query, in_image]), 0.0, 1.0))


def _expand(
    collection: Collection, keypoints: QueryKeypoints, proved: Sequence[int]
) -> QueryKeypoints:
    """Return a query's keypoints with those of the first images that they prove."""
    seen = []
    for image in collection.local_features(proved):
        match = keypoints.find_match(image) if image is not None else None
        if match and match.is_proof:
            seen.append((match, image))
    first = seen[: SEEN_IN + 1]  # one of them may be the query's own image, which adds nothing
    return expand(keypoints, [match for match, _ in first], [image for _, image in first])
