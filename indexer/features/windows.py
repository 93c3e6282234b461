"""Windows: which boxes of an image are described, and boxes as pixels or normalised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from indexer.arrays import Boxes
from indexer.features.regions import Region


@dataclass(frozen=True)
class WindowLayout:
    """Evenly spaced windows of several sizes and shapes, the whole image first.

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


def receptive_fields(boxes: Boxes, cells_wide: int, cells_high: int) -> Boxes:
    """Return windows (N, 4) of a map grown by half a cell on every side, within the image.

    A cell responds to pixels well beyond its own square, so the window of cells that fits an object
    best is smaller than the object.
    """
    margin = 0.5 / np.array([cells_wide, cells_high, cells_wide, cells_high], np.float32)
    grown: Boxes = np.clip(boxes + margin * np.array([-1, -1, 1, 1], np.float32), 0, 1)
    return grown.astype(np.float32)


def to_pixels(
    boxes: Boxes, width: int | npt.NDArray[np.int64], height: int | npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return boxes (N, 4) in pixels of the upright original, inside it and at least one pixel each.

    `width` and `height` are those of one image, or (N,) those of each box's image.
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
    """Return regions of the upright original as normalised boxes (N, 4)."""
    pixels = np.array([region.as_tuple() for region in regions], np.float32).reshape(-1, 4)
    boxes: Boxes = (pixels / np.array([width, height, width, height])).astype(np.float32)
    return boxes
