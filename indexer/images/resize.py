"""Resizing pixels."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from indexer.arrays import Pixels
from indexer.choices import Resampling


def resize_pixels(
    pixels: Pixels, size: tuple[int, int], resampling: Resampling = "linear"
) -> Pixels:
    """Return RGB pixels (H, W, 3) uint8 at another (width, height).

    `linear` averages where the image shrinks to less than half, so that no detail is skipped, and
    interpolates linearly elsewhere. `bicubic` is Pillow's, several times slower.
    """
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    if resampling == "bicubic":
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    shrinks = width >= 2 * size[0] or height >= 2 * size[1]
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=mode), np.uint8)
