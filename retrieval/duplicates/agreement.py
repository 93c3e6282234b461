"""Agreement: how alike the pixels of two pictures are, once one is laid on the other."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray
from retrieval.picture import Picture
from retrieval.transform import Transform

SIDE = 64  # of a square of the area at which pictures are compared
WINDOW = 7  # pixels on a side
# Half of C2 of Wang et al. 2004 for 8 bits: a variance, or covariance, this small is noise.
NOISE = (0.03 * 255) ** 2 / 2
ALIKE = 0.5  # of a structure of 1
TEXTURED = 0.5  # of what has contrast in either picture must have it in both


def agreement(picture: Picture, other: Picture, transform: Transform) -> float:
    """Return the share of a picture that is the same as what lies at its place in another.

    At each place the structure of the grey values around it is compared (SSIM, Wang et al. 2004,
    equation 10), so brightness, contrast and colours do not matter. Places that are plain in either
    tell nothing; where these are most of what has contrast in the other, nothing is the same.
    `transform` leads from pixels of the image to those of the other. What lies outside the other is
    left out.
    """
    width, height = picture.size
    scale = SIDE / math.sqrt(width * height)
    size = max(WINDOW, round(width * scale)), max(WINDOW, round(height * scale))
    seen = _shrunk(other, _step(transform, picture, size))
    back = np.linalg.inv(_grid_to_pixels(other.size, (seen.shape[1], seen.shape[0])))
    matrix = back @ transform @ _grid_to_pixels(picture.size, size)
    own, laid = _grey(picture, size), _lay(seen, matrix, size)
    inside = _lay(np.ones_like(seen), matrix, size, outside=0) > 0.99
    structure, least, most = _structure(own, laid)
    both, either = inside & (least >= NOISE), inside & (most >= NOISE)
    if not both.any() or both.sum() < TEXTURED * either.sum():
        return 0.0
    return float((structure[both] >= ALIKE).mean())


def _lay(
    seen: FloatArray, matrix: Transform, size: tuple[int, int], outside: float | None = None
) -> FloatArray:
    """Return values (h, w) at the places of a grid, beyond the edge `outside` or the last ones."""
    laid = cv2.warpPerspective(
        seen,
        matrix,
        size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT,
        borderValue=0 if outside is None else outside,
    )
    return np.asarray(laid, np.float32)


def _grey(picture: Picture, size: tuple[int, int]) -> FloatArray:
    grey = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY)
    shrunk = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.float32)


def _step(transform: Transform, picture: Picture, size: tuple[int, int]) -> float:
    """Return how many pixels of the other image one of the grid covers, along a side."""
    pixel = math.sqrt(picture.size[0] * picture.size[1] / (size[0] * size[1]))
    return pixel * math.sqrt(abs(float(np.linalg.det(transform[:2, :2]))))


def _shrunk(picture: Picture, step: float) -> FloatArray:
    """Return the grey values of a picture at `step` pixels of its image a pixel, or finer."""
    height, width = picture.pixels.shape[:2]
    size = tuple(
        max(1, min(kept, round(full / step)))
        for kept, full in zip((width, height), picture.size, strict=True)
    )
    return _grey(picture, (size[0], size[1]))


def _grid_to_pixels(full: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the matrix from pixels of a grid, counted at their centres, to those of the image."""
    x, y = full[0] / size[0], full[1] / size[1]
    return np.array([[x, 0, x / 2], [0, y, y / 2], [0, 0, 1]])


def _structure(some: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the structure term of SSIM at each pixel (h, w), the lesser and greater variance."""

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(cv2.blur(values, (WINDOW, WINDOW)), np.float32)

    means = mean(some), mean(other)
    covariance = mean(some * other) - means[0] * means[1]
    first, second = (
        np.maximum(mean(values * values) - own * own, 0)
        for values, own in zip((some, other), means, strict=True)
    )
    structure = np.asarray((covariance + NOISE) / (np.sqrt(first * second) + NOISE), np.float32)
    return structure, np.minimum(first, second), np.maximum(first, second)
