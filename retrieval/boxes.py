"""Boxes round a match: voted by windows, varied in size and shape, and perturbed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexer.arrays import FloatArray, IdArray
from indexer.features.regions import Region

VOTERS = 8
VOTE_IOU = 0.2
VOTE_SHARPNESS = 20.0
ANCHOR_SIZES = (0.75, 1.0, 1.3)
ANCHOR_ASPECTS = (0.6, 1.0, 1.6)
MIN_SIDE_PX = 8  # of a perturbed box
# Which sides move, and in which direction: each side out and in, then the whole box.
MOVES = (
    *((-1, 0, 0, 0), (1, 0, 0, 0), (0, -1, 0, 0), (0, 1, 0, 0)),
    *((0, 0, -1, 0), (0, 0, 1, 0), (0, 0, 0, -1), (0, 0, 0, 1)),
    *((-1, 0, -1, 0), (1, 0, 1, 0), (0, -1, 0, -1), (0, 1, 0, 1)),
)


def vote_box(regions: Sequence[Region], scores: FloatArray) -> Region:
    """Return the box that the best windows agree on, see `vote_boxes`."""
    near = np.argsort(-scores, kind="stable")[:VOTERS]
    boxes = np.array([regions[i].as_tuple() for i in near])
    [box] = vote_boxes(boxes[None], scores[near][None])
    return box


def vote_boxes(boxes: IdArray, scores: FloatArray) -> list[Region]:
    """Return for each object the mean, weighted by score, of the windows that agree on it.

    `boxes` (N, W, 4) and `scores` (N, W) are windows of N objects, best first. Windows stand on a
    grid, and the best of them is often only a part of the object; those beside it that score
    nearly as well cover the rest. Box voting, Gidaris and Komodakis 2015.
    """
    x0, y0, x1, y1 = boxes.transpose(2, 0, 1)  # (N, W) each
    width = np.minimum(x1, x1[:, :1]) - np.maximum(x0, x0[:, :1])
    height = np.minimum(y1, y1[:, :1]) - np.maximum(y0, y0[:, :1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    area = (x1 - x0) * (y1 - y0)
    agrees = shared > VOTE_IOU * (area + area[:, :1] - shared)
    weights = np.exp((scores - scores[:, :1]) * VOTE_SHARPNESS) * agrees
    corners = (weights[:, :, None] * boxes).sum(axis=1) / weights.sum(axis=1, keepdims=True)
    return [
        Region(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))
        for x0, y0, x1, y1 in np.rint(corners).astype(np.int64).tolist()
    ]


def anchor_boxes(box: Region, width: int, height: int) -> list[Region]:
    """Return the box, and boxes of other sizes and shapes round its centre, within the image."""
    cx, cy = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    side = ((box.x1 - box.x0) * (box.y1 - box.y0)) ** 0.5
    regions = [box]
    for size in ANCHOR_SIZES:
        for aspect in ANCHOR_ASPECTS:
            w, h = side * size * aspect**0.5, side * size / aspect**0.5
            x0, y0 = max(0, round(cx - w / 2)), max(0, round(cy - h / 2))
            x1, y1 = min(width, round(cx + w / 2)), min(height, round(cy + h / 2))
            if x1 > x0 and y1 > y0:
                regions.append(Region(x0, y0, x1, y1))
    return regions


def perturb(box: Region, step: float, width: int, height: int) -> list[Region]:
    """Return the box with each side moved out and in by `step` of its size, and itself moved."""
    dx, dy = step * (box.x1 - box.x0), step * (box.y1 - box.y0)
    boxes = []
    for x0, y0, x1, y1 in MOVES:
        left, top = max(0, round(box.x0 + x0 * dx)), max(0, round(box.y0 + y0 * dy))
        right = min(width, round(box.x1 + x1 * dx))
        bottom = min(height, round(box.y1 + y1 * dy))
        if right - left >= MIN_SIDE_PX and bottom - top >= MIN_SIDE_PX:
            boxes.append(Region(left, top, right, bottom))
    return boxes
