"""Geometry: the correspondences of two images, and the transform that explains them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from indexer.arrays import BoolArray, FloatArray, IdArray, Pixels
from indexer.features.local import LENGTH, LocalFeatures, find_local_features
from indexer.features.regions import Region
from retrieval.query import Quad
from retrieval.transform import (
    TOLERANCE_PX,
    Points,
    Transform,
    fit_affine,
    fit_homography,
    outline,
    project,
)

RATIO = 0.85  # of the distances to the nearest and the second nearest descriptor
MAX_PAIRS = 200
# One correspondence predicts the others: their places to within a few pixels and a share of the
# distance, as far as sizes and angles of keypoints are to be trusted.
BASE_PX = 4.0
SLACK = 0.25
OCTAVES = 0.7
DEGREES = 25.0
HOMOGRAPHY_INLIERS = 10  # four correspondences fix one: fewer than this can bend it at will
FREE_INLIERS = 3  # correspondences that fix an affine transform prove nothing
EVIDENCE = 2.0
INLIER_RATIO = 0.15  # text, tables and staves repeat themselves: few of their many pairs agree
MISSED = 5.0  # keypoints that were expected beyond an edge and not found: by chance once in 150
COPY_TOLERANCE = 0.05  # of the diagonal: how far a copy's corners lie from those of the picture
COPY_SHARE = 0.3  # of its keypoints that are found again


@dataclass(frozen=True)
class GeometricMatch:
    """What the correspondences of a query and an image say.

    `inliers` is how many distinct ones agree with `transform`; `spread` is the share of the query
    that they cover, `share` that of the query's keypoints. `tentative` is how many keypoints of the
    image were paired with one of the query, whether they agree or not. `points` (inliers', 4) are
    the inliers' places x, y in the query and x, y in the image. `quad` is the outline of the query
    in pixels of the image, or of the part of a whole picture that the image shows.
    """

    inliers: int
    tentative: int
    share: float
    spread: float
    transform: Transform
    points: Points
    quad: Quad
    mirrored: bool = False
    inverted: bool = False

    @property
    def is_proof(self) -> bool:
        """Whether so many correspondences, so far apart, are no accident.

        Those beyond the ones that fix the transform count, the less the closer together they are:
        keypoints in one corner see the same few pixels. They must also be a fair share of all that
        were paired: of many pairs, some agree by accident.
        """
        if self.inliers < INLIER_RATIO * self.tentative:
            return False
        return bool((self.inliers - FREE_INLIERS) * self.spread**0.25 >= EVIDENCE)

    def fills(self, width: int, height: int) -> bool:
        """Whether query and image, of this size, are one picture: corners lie on corners.

        Much of what the query shows must be in the image, too: another photo of the same thing,
        taken from the same place, is not the same picture.
        """
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
        gaps = np.linalg.norm(np.array(self.quad)[:, None] - corners, axis=2).min(axis=0)
        near = gaps.max() <= COPY_TOLERANCE * math.hypot(width, height)
        return bool(near) and self.share >= COPY_SHARE

    def box_in(self, width: int, height: int) -> Region | None:
        """Return the box round `quad` inside an image of this size; None if it is outside."""
        x0, y0 = (max(0, math.floor(min(p[i] for p in self.quad) + 0.5)) for i in (0, 1))
        x1 = min(width, math.floor(max(p[0] for p in self.quad) + 0.5))
        y1 = min(height, math.floor(max(p[1] for p in self.quad) + 0.5))
        return Region(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


@dataclass(frozen=True)
class QueryKeypoints:
    """The keypoints of a query, of its mirror image and of its negative.

    `is_picture` says that the query is a whole picture, of which an image may show a part; a box is
    drawn round one thing.
    """

    plain: LocalFeatures
    mirrored: LocalFeatures
    inverted: LocalFeatures
    is_picture: bool

    @classmethod
    def of(cls, pixels: Pixels, *, is_picture: bool) -> QueryKeypoints:
        """Find the keypoints of a query, upright RGB pixels (H, W, 3)."""
        return cls.from_features(find_local_features(pixels), is_picture=is_picture)

    @classmethod
    def from_features(cls, found: LocalFeatures, *, is_picture: bool) -> QueryKeypoints:
        """Return the keypoints of a query, of which the plain ones are given."""
        return cls(found, found.mirrored(), found.inverted(), is_picture)

    def find_match(
        self, image: LocalFeatures, *, inverted: bool = True, mirrored: bool = True
    ) -> GeometricMatch | None:
        """Return how the query lies in the image; where that proves nothing, its other forms."""
        match = find_match(self.plain, image, is_picture=self.is_picture)
        if match and match.is_proof:
            return match
        if inverted:
            negative = find_match(self.inverted, image, is_picture=self.is_picture)
            if negative and negative.is_proof:
                return replace(negative, inverted=True)
        if mirrored:
            turned = find_match(self.mirrored, image, is_picture=self.is_picture)
            if turned and turned.is_proof:
                return mirror_query(turned, self.plain.size)
        return match


def find_match(
    query: LocalFeatures, image: LocalFeatures, *, is_picture: bool = False
) -> GeometricMatch | None:
    """Return how the query lies in the image; None where no transform explains enough.

    Nearest neighbours that pass the ratio test (Lowe 2004) vote, each for the similarity transform
    that it implies (Philbin et al. 2007); an affine transform, and a homography if it explains
    more, are then fitted to the largest group by MAGSAC++ (Barath et al. 2020). A transform that
    mirrors or stretches more than an object seen at an angle is not accepted. `is_picture` is that
    of `QueryKeypoints`.
    """
    if min(len(query), len(image)) < FREE_INLIERS + 1:
        return None
    q, i, tentative = _pair(query, image)
    if len(q) > FREE_INLIERS:
        agreeing = _vote(query.points[q], image.points[i], image.unit_px)
        q, i = q[agreeing], i[agreeing]
    if len(q) <= FREE_INLIERS:
        return None
    source = query.points[q, :2].astype(np.float64)
    target = image.points[i, :2].astype(np.float64)
    found = fit_affine(source, target, image.unit_px)
    if found is None:
        return None
    transform, inside = found
    units = query.unit_px, image.unit_px
    count = _count_distinct(source[inside], target[inside], units)
    if count <= FREE_INLIERS:  # MAGSAC++ weighs errors: even no inlier may have the least of them
        return None
    if count >= HOMOGRAPHY_INLIERS:
        bent = fit_homography(source, target, image.unit_px, query.size)
        if bent is not None:
            more = _count_distinct(source[bent[1]], target[bent[1]], units)
            if more > count:
                (transform, inside), count = bent, more
    part = (0.0, 0.0, float(query.size[0]), float(query.size[1]))
    if is_picture:
        part = _shown_part(query, image, transform, q[inside])
    return GeometricMatch(
        inliers=count,
        tentative=tentative,
        share=count / len(query),
        spread=_area(source[inside]) / (query.size[0] * query.size[1]),
        transform=transform,
        points=np.hstack([source[inside], target[inside]]),
        quad=outline(transform, part),
    )


def mirror_query(match: GeometricMatch, size: tuple[int, int]) -> GeometricMatch:
    """Return a match of a mirrored query, of (width, height) `size`, in the query's own pixels."""
    flip = np.array([[-1, 0, size[0]], [0, 1, 0], [0, 0, 1]], float)
    points = match.points.copy()
    points[:, 0] = size[0] - points[:, 0]
    transform = match.transform @ flip
    quad = tuple(match.quad[corner] for corner in (1, 0, 3, 2))
    return replace(match, transform=transform, points=points, quad=quad, mirrored=True)


def shift_match(match: GeometricMatch, x: int, y: int) -> GeometricMatch:
    """Return a match in a crop of an image, whose corner is at x, y, in the image's own pixels."""
    shift = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], float)
    points = match.points + np.array([0, 0, x, y])
    quad = tuple((px + x, py + y) for px, py in match.quad)
    return replace(match, transform=shift @ match.transform, points=points, quad=quad)


def _pair(query: LocalFeatures, image: LocalFeatures) -> tuple[IdArray, IdArray, int]:
    """Return the rows of tentative correspondences: each keypoint of the query with its nearest.

    They are the `MAX_PAIRS` nearest; the last number is how many keypoints of the image all have.
    """
    products = query.exact @ image.exact.T
    rows = np.arange(len(query))
    nearest = products.argmax(axis=1)
    first = products[rows, nearest]
    products[rows, nearest] = -1
    second = products.max(axis=1)
    # Of vectors of one length, the squared distance is twice what the product lacks to the square.
    kept = np.flatnonzero(LENGTH**2 - first < RATIO**2 * (LENGTH**2 - second))
    tentative = len(np.unique(nearest[kept]))
    if len(kept) > MAX_PAIRS:
        kept = np.sort(kept[np.argsort(-first[kept], kind="stable")[:MAX_PAIRS]])
    return kept, nearest[kept], tentative


def _vote(source: FloatArray, target: FloatArray, unit_px: float) -> BoolArray:
    """Return which correspondences (N, 4), (N, 4) agree with the one that most agree with."""
    octaves = np.log2(target[:, 2] / source[:, 2])
    turns = np.radians(target[:, 3] - source[:, 3])
    scales = 2.0**octaves
    x, y = (source[None, :, axis] - source[:, None, axis] for axis in (0, 1))
    cosines, sines = (scales * np.cos(turns))[:, None], (scales * np.sin(turns))[:, None]
    seen_x, seen_y = (target[None, :, axis] - target[:, None, axis] for axis in (0, 1))
    errors = np.hypot(cosines * x - sines * y - seen_x, sines * x + cosines * y - seen_y)
    agree = errors <= BASE_PX * unit_px + SLACK * np.hypot(seen_x, seen_y)
    agree &= np.abs(octaves[None] - octaves[:, None]) < OCTAVES
    difference = np.abs(turns[None] - turns[:, None]) % (2 * np.pi)
    agree &= np.minimum(difference, 2 * np.pi - difference) < np.radians(DEGREES)
    best: BoolArray = agree[agree.sum(axis=1).argmax()]
    return best


def _shown_part(
    query: LocalFeatures, image: LocalFeatures, transform: Transform, inliers: IdArray
) -> tuple[float, float, float, float]:
    """Return the part x0, y0, x1, y1 of the query that the image shows.

    It is all of the query, unless beyond the outermost inliers on one side many keypoints would lie
    in the image, too, and none was found. How many to expect is told by the share that was found
    between the inliers, among keypoints as strong as half of them. Such a side is moved in to where
    the first would have been expected.
    """
    points = query.points[:, :2].astype(np.float64)
    seen = project(transform, points)
    strong = np.arange(len(points)) <= np.median(inliers)
    visible = ((seen >= 0) & (seen < image.size)).all(axis=1) & strong
    low, high = points[inliers].min(axis=0), points[inliers].max(axis=0)
    between = ((points >= low) & (points <= high)).all(axis=1) & visible
    found = strong[inliers].sum() / max(1, between.sum())
    part = [0.0, 0.0, float(query.size[0]), float(query.size[1])]
    for axis in (0, 1):
        places = points[visible, axis]
        for side, beyond in (
            (axis, np.sort(low[axis] - places[places < low[axis]])),
            (axis + 2, np.sort(places[places > high[axis]] - high[axis])),
        ):
            if found * len(beyond) >= MISSED:
                gap = float(beyond[min(len(beyond) - 1, int(1 / found))])
                part[side] = low[axis] - gap if side == axis else high[axis] + gap
    return part[0], part[1], part[2], part[3]


def _count_distinct(source: Points, target: Points, units: tuple[float, float]) -> int:
    """Return how many correspondences are not the same place again, on either side."""
    cells = (
        np.unique(np.round(points / (TOLERANCE_PX * unit)), axis=0)
        for points, unit in zip((source, target), units, strict=True)
    )
    return min(len(found) for found in cells)


def _area(points: Points) -> float:
    """Return the area of the convex hull of points (N, 2)."""
    if len(points) < 3:
        return 0.0
    return float(cv2.contourArea(cv2.convexHull(points.astype(np.float32))))
