"""Transforms from a query to an image: fitted to correspondences, and applied to points."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from indexer.arrays import BoolArray
from retrieval.query import Quad

Transform = npt.NDArray[np.float64]
"""A homography (3, 3) from pixels of the query to pixels of the image."""
Points = npt.NDArray[np.float64]

TOLERANCE_PX = 3.0  # of an inlier, in pixels of the working size
MAX_STRETCH = 3.0  # of a plausible transform: no object is seen that obliquely
MAGSAC: Any = {"method": cv2.USAC_MAGSAC, "maxIters": 500, "confidence": 0.999}


def fit_affine(
    source: Points, target: Points, unit_px: float
) -> tuple[Transform, BoolArray] | None:
    """Return an affine transform from points (N, 2) to others, and which are inliers (N,).

    `unit_px` is how many pixels of the image are one of the working size. None where there is none
    that is plausible.
    """
    affine, inside = cv2.estimateAffine2D(
        source[:, None],
        target[:, None],
        ransacReprojThreshold=TOLERANCE_PX * unit_px,
        **MAGSAC,
    )
    if affine is None or not np.isfinite(affine).all():
        return None
    longest, shortest = np.linalg.svd(affine[:, :2], compute_uv=False)
    if np.linalg.det(affine[:, :2]) <= 0 or longest > MAX_STRETCH * shortest:
        return None
    return np.vstack([affine, [0, 0, 1]]), inside.ravel() > 0


def fit_homography(
    source: Points, target: Points, unit_px: float, size: tuple[int, int]
) -> tuple[Transform, BoolArray] | None:
    """Return a homography in the same way, plausible for a query of (width, height) `size`."""
    transform, inside = cv2.findHomography(
        source[:, None],
        target[:, None],
        ransacReprojThreshold=TOLERANCE_PX * unit_px,
        **MAGSAC,
    )
    if not np.size(transform):  # None where there is no homography
        return None
    bent = np.asarray(transform, np.float64)
    plausible = _is_plausible(outline(bent, (0, 0, *size)))
    return (bent, inside.ravel() > 0) if plausible else None


def _is_plausible(outline: Quad) -> bool:
    """Whether an outline is convex, not mirrored, and not seen too obliquely."""
    quad = np.array(outline, np.float64)
    sides = np.roll(quad, -1, axis=0) - quad
    following = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0]
    if not np.isfinite(quad).all() or (turns <= 0).any():
        return False
    lengths = np.hypot(*sides.T)
    opposite = np.roll(lengths, 2)
    return bool((lengths <= MAX_STRETCH * opposite).all())


def outline(transform: Transform, box: tuple[float, float, float, float]) -> Quad:
    """Return the corners of a box x0, y0, x1, y1, transformed."""
    x0, y0, x1, y1 = box
    flat = project(transform, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float))
    return tuple((float(x), float(y)) for x, y in flat)


def project(transform: Transform, points: Points) -> Points:
    """Return points (N, 2), transformed."""
    places = np.hstack([points, np.ones((len(points), 1))]) @ transform.T
    with np.errstate(divide="ignore", invalid="ignore"):
        flat: Points = places[:, :2] / places[:, 2:]
    return flat
