"""Windows: which boxes of an image are described, and how conv maps are pooled in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from indexer.features.pooling import FloatArray, cube_root
from indexer.features.regions import Region

Scheme = Literal["grid", "sliding", "none"]
SCHEMES: tuple[Scheme, ...] = ("grid", "sliding", "none")
Boxes = npt.NDArray[np.float32]
"""Boxes (N, 4) as x0, y0, x1, y1 in shares of the image's width and height."""


@dataclass(frozen=True)
class WindowLayout:
    """Windows of several sizes and shapes standing uniformly, the whole image first.

    A window's side is `scale` times the side of a square of the image's area; `aspects` are its
    width over its height; neighbours overlap by at least `overlap` of their length.
    """

    scales: tuple[float, ...]
    aspects: tuple[float, ...] = (1.0,)
    overlap: float = 0.45

    def boxes(self, width: int, height: int) -> Boxes:
        """Return the windows for an image of this shape."""
        return _boxes(self, width, height)


@lru_cache(maxsize=4096)
def _boxes(layout: WindowLayout, width: int, height: int) -> Boxes:
    side = math.sqrt(width * height)
    boxes = [(0.0, 0.0, 1.0, 1.0)]
    for scale in layout.scales:
        for aspect in layout.aspects:
            w = min(1.0, scale * side * math.sqrt(aspect) / width)
            h = min(1.0, scale * side / math.sqrt(aspect) / height)
            boxes += [
                (x, y, x + w, y + h)
                for y in _starts(h, layout.overlap)
                for x in _starts(w, layout.overlap)
            ]
    unique = dict.fromkeys(tuple(round(float(v), 6) for v in box) for box in boxes)
    result: Boxes = np.minimum(np.array(list(unique), np.float32), np.float32(1))
    return result


def _starts(length: float, overlap: float) -> npt.NDArray[np.float64]:
    steps = math.ceil((1 - length) / (length * (1 - overlap)) - 1e-6)
    return np.linspace(0.0, 1.0 - length, steps + 1)


def grow_to_sight(boxes: Boxes, cells_wide: int, cells_high: int) -> Boxes:
    """Return what windows on a map see: half a cell more on every side, within the image.

    A cell answers to pixels well beyond its own square, so that a window of cells which fits an
    object best is smaller than the object.
    """
    return _grown(np.asarray(boxes, np.float32).tobytes(), cells_wide, cells_high)


@lru_cache(maxsize=256)
def _grown(box_bytes: bytes, cells_wide: int, cells_high: int) -> Boxes:
    boxes: Boxes = np.frombuffer(box_bytes, np.float32).reshape(-1, 4)
    margin = 0.5 / np.array([cells_wide, cells_high, cells_wide, cells_high], np.float32)
    grown: Boxes = np.clip(boxes + margin * np.array([-1, -1, 1, 1], np.float32), 0, 1)
    grown = grown.astype(np.float32)
    grown.flags.writeable = False  # it is shared
    return grown


def to_pixels(
    boxes: Boxes, width: int | npt.NDArray[np.int64], height: int | npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return boxes (N, 4) in pixels of the upright original, each at least one pixel, inside it.

    `width` and `height` are of one image, or (N,) of the image of each box.
    """
    size = np.stack([width, height, width, height], axis=-1)
    pixels: npt.NDArray[np.int64] = np.clip(np.rint(boxes * size), 0, size).astype(np.int64)
    pixels[:, :2] = np.minimum(pixels[:, :2], size[..., :2] - 1)
    pixels[:, 2:] = np.maximum(pixels[:, 2:], pixels[:, :2] + 1)
    return pixels


def to_regions(boxes: Boxes, width: int, height: int) -> list[Region]:
    """Return boxes as regions of the upright original, see `to_pixels`."""
    return [Region(*box) for box in to_pixels(boxes, width, height).tolist()]


def to_boxes(regions: list[Region], width: int, height: int) -> Boxes:
    """Return regions in shares of the image's sides."""
    pixels = np.array([region.as_tuple() for region in regions], np.float32).reshape(-1, 4)
    shares: Boxes = (pixels / np.array([width, height, width, height])).astype(np.float32)
    return shares


def coverage(boxes: Boxes, h: int, w: int) -> FloatArray:
    """Return (N, h * w): the share of each box that each cell of an h x w map covers.

    Rows sum to 1, so that `coverage @ cells` averages a map over every box, parts of cells
    counted by their area: what an integral image gives, as one product of matrices.
    """
    return _coverage(np.asarray(boxes, np.float32).tobytes(), h, w)


@lru_cache(maxsize=256)
def _coverage(box_bytes: bytes, h: int, w: int) -> FloatArray:
    boxes: Boxes = np.frombuffer(box_bytes, np.float32).reshape(-1, 4)
    across = _overlaps(boxes[:, 0], boxes[:, 2], w)
    down = _overlaps(boxes[:, 1], boxes[:, 3], h)
    weights = (down[:, :, None] * across[:, None, :]).reshape(len(boxes), h * w)
    result: FloatArray = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    result.flags.writeable = False  # it is shared
    return result


def _overlaps(low: FloatArray, high: FloatArray, cells: int) -> npt.NDArray[np.float64]:
    edges = np.arange(cells + 1) / cells
    starts = np.maximum(low[:, None].astype(np.float64), edges[:-1])
    ends = np.minimum(high[:, None].astype(np.float64), edges[1:])
    shared: npt.NDArray[np.float64] = ends - starts
    # Edges in float32 touch the next cell by 1e-7, which a cube root would make visible.
    shared[shared < 1e-6] = 0
    empty = shared.sum(axis=1) == 0
    shared[empty, np.minimum((low[empty] * cells).astype(int), cells - 1)] = 1
    return shared


def pool_boxes(maps: FloatArray, boxes: Boxes) -> FloatArray:
    """Return the generalised mean, p = 3, of the map (C, h, w) in every box: (N, C)."""
    channels, h, w = maps.shape
    cells = np.maximum(maps.reshape(channels, h * w), 0)
    cubes = cells * cells
    cubes *= cells
    return cube_root(coverage(boxes, h, w) @ cubes.T)
