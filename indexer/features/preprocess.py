"""What enters the network: images at its input sizes, and the windows in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from indexer.arrays import Boxes, Pixels
from indexer.features.backbones import Backbone
from indexer.features.spec import MAX_ELONGATION


@dataclass(frozen=True)
class NetworkInput:
    """An image ready for the network, `pixels` (H, W, 3), and the windows `boxes` (R, 4) in it."""

    pixels: Pixels
    boxes: Boxes


def crop(pixels: Pixels, box: Boxes) -> Pixels:
    """Cut a normalised box (4,) out of an image (H, W, 3); at least one pixel."""
    h, w = pixels.shape[:2]
    x0, y0 = min(int(box[0] * w), w - 1), min(int(box[1] * h), h - 1)
    x1, y1 = max(x0 + 1, math.ceil(box[2] * w)), max(y0 + 1, math.ceil(box[3] * h))
    return pixels[y0:y1, x0:x1]


def input_size(width: int, height: int, size_px: int, backbone: Backbone) -> tuple[int, int]:
    """Return the (width, height) at which an image enters the network.

    The area is about `size_px`², the aspect ratio is kept to within half a multiple of the
    backbone's `multiple_px`, and both sides are at least its smallest input.
    """
    ratio = min(max(width / height, 1 / MAX_ELONGATION), MAX_ELONGATION)
    multiple = backbone.multiple_px
    least = math.ceil(backbone.min_size_px / multiple) * multiple
    sides = (size_px * math.sqrt(ratio), size_px / math.sqrt(ratio))
    w, h = (max(least, round(side / multiple) * multiple) for side in sides)
    return w, h
