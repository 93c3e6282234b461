"""Correspondences: the keypoints of a query that were found again in one image of the store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from indexer.features.local import SIDE_PX
from retrieval.collection import Collection
from retrieval.geometry import GeometricMatch, QueryKeypoints
from retrieval.query import Query
from retrieval.query_image import crop, load_query
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
    collection: Collection, query: Query, image_id: int
) -> Correspondences | None:
    """Return the keypoints that a query and an image share, as verifying finds them, if any.

    None, too, where the file of the image cannot be read. Raises `CbirError` where the query's
    picture cannot be.
    """
    return collection.at_last_commit(lambda now: _find(now, query, image_id))


def _find(collection: Collection, query: Query, image_id: int) -> Correspondences | None:
    [image] = collection.local_features([image_id])
    if image is None:
        return None
    pixels, box = load_query(collection, query, SIDE_PX)
    asked = pixels if box is None else crop(pixels, box)
    match = QueryKeypoints.of(asked, is_picture=query.box is None).find_match(image)
    if match is None:
        return None
    corner = (0, 0) if box is None else (box.x0, box.y0)
    height, width = pixels.shape[:2]
    in_query = (match.points[:, :2] + corner) / (width, height)
    in_image = match.points[:, 2:] / image.size
    return Correspondences(match, np.clip(np.hstack([in_query, in_image]), 0.0, 1.0))
