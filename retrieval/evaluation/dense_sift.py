"""Dense SIFT: the handcrafted descriptor of local structure, on a grid and at several scales.

It is what bags of words and Fisher vectors are made of. Orientation maps are filtered once for each
size of the bins, and every descriptor is read from them (Lowe 2004; the flat window is that of
Vedaldi and Fulkerson 2008, VLFeat's `dsift`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from indexer.arrays import Boxes, FloatArray, Pixels
from indexer.images.resize import resize_pixels

LONG_SIDE_PX = 320  # at which images are described; smaller ones stay as they are
BIN_SIZES_PX = (4, 6, 8, 10)  # as in VLFeat's PHOW
BINS = 4  # along each side of a descriptor
ORIENTATIONS = 8
DIMENSION = BINS * BINS * ORIENTATIONS
WINDOW = 2.0  # the deviation of the Gaussian window, in bins
CLIPPED = 0.2  # no entry of a unit descriptor is larger
LEAST_CONTRAST = 0.005  # descriptors with shorter gradients than this are zero


class LocalDescriptors(NamedTuple):
    """RootSIFT descriptors (N, 128), float32, and their centres (N, 2), x and y from 0 to 1."""

    vectors: FloatArray
    centres: Boxes


def describe_densely(
    pixels: Pixels, step_px: int, bin_sizes_px: Sequence[int] = BIN_SIZES_PX
) -> LocalDescriptors:
    """Describe an RGB image (H, W, 3) at every `step_px` pixels, at each size of the bins."""
    shrink = min(1.0, LONG_SIDE_PX / max(pixels.shape[:2]))
    size = tuple(max(1, round(side * shrink)) for side in pixels.shape[1::-1])
    if shrink < 1:
        pixels = resize_pixels(pixels, (size[0], size[1]))
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.float32) / np.float32(255)
    parts = [_describe_scale(grey, bin_px, step_px) for bin_px in bin_sizes_px]
    return LocalDescriptors(
        np.concatenate([part.vectors for part in parts]),
        np.concatenate([part.centres for part in parts]),
    )


def _describe_scale(grey: FloatArray, bin_px: int, step_px: int) -> LocalDescriptors:
    """Return the descriptors with bins of one size; none where the image is smaller than they."""
    height, width = grey.shape
    span = (BINS - 1) * bin_px  # from the centre of the first bin to that of the last
    first_px = bin_px // 2
    tops = np.arange(first_px, height - span - first_px, step_px)
    lefts = np.arange(first_px, width - span - first_px, step_px)
    if not len(tops) or not len(lefts):
        return LocalDescriptors(np.empty((0, DIMENSION), np.float32), np.empty((0, 2), np.float32))
    maps = _orientation_maps(grey, bin_px)
    found = np.empty((len(tops), len(lefts), BINS, BINS, ORIENTATIONS), np.float32)
    offsets = (np.arange(BINS) - (BINS - 1) / 2) / WINDOW
    weights = np.exp(-0.5 * offsets**2).astype(np.float32)
    for row in range(BINS):
        band = weights[row] * maps[tops + row * bin_px]
        for column in range(BINS):
            found[:, :, row, column] = weights[column] * band[:, lefts + column * bin_px]
    y, x = np.meshgrid((tops + span / 2) / height, (lefts + span / 2) / width, indexing="ij")
    centres = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    return LocalDescriptors(_normalise(found.reshape(-1, DIMENSION)), centres)


def _orientation_maps(grey: FloatArray, bin_px: int) -> FloatArray:
    """Return the lengths of gradients (H, W, 8) by orientation, spread linearly over bins."""
    smooth = cv2.GaussianBlur(grey, (0, 0), bin_px / 6)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    length, angle = cv2.cartToPolar(across, down)
    length, angle = length.ravel(), angle.ravel() * np.float32(ORIENTATIONS / (2 * np.pi))
    below = angle.astype(np.int32)
    above_part = length * (angle - below)  # each gradient is shared by two orientations
    maps = np.zeros((*grey.shape, ORIENTATIONS), np.float32)
    places = np.arange(0, maps.size, ORIENTATIONS, dtype=np.int32)
    maps.reshape(-1)[places + below % ORIENTATIONS] = length - above_part
    maps.reshape(-1)[places + (below + 1) % ORIENTATIONS] = above_part
    kernel = (1 - np.abs(np.arange(1 - bin_px, bin_px)) / bin_px).astype(np.float32)
    return np.asarray(cv2.sepFilter2D(maps, cv2.CV_32F, kernel, kernel), np.float32)


def _normalise(vectors: FloatArray) -> FloatArray:
    """Return clipped unit vectors, and the root of their L1-normalised entries (RootSIFT)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.where(lengths < LEAST_CONTRAST, 0, vectors / np.maximum(lengths, 1e-12))
    vectors = np.minimum(vectors, CLIPPED)
    sums = np.maximum(vectors.sum(axis=1, keepdims=True), 1e-12)
    roots: FloatArray = np.sqrt(vectors / sums).astype(np.float32)
    return roots
