"""Local features: keypoints of an image with their descriptors, for geometric verification."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, Pixels
from indexer.images.resize import resize_pixels

SIDE_PX = 400  # of a square of the area at which an image is searched for keypoints
MAX_POINTS = 500  # the strongest of them are kept
CONTRAST = 0.02  # half of what SIFT asks for by default: objects on plain ground have few keypoints
LENGTH = 255  # of a descriptor


@dataclass(frozen=True)
class LocalFeatures:
    """Keypoints of an image, the strongest first.

    `points` (N, 4) float32 are x, y and size in pixels of the image, of (width, height) `size`, and
    the angle in degrees. `descriptors` (N, 128) uint8 are RootSIFT (Arandjelović and Zisserman
    2012) at length 255, rounded.
    """

    points: FloatArray
    descriptors: npt.NDArray[np.uint8]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.points)

    @property
    def unit_px(self) -> float:
        """How many pixels of the image are one of those at which it was searched."""
        return math.sqrt(self.size[0] * self.size[1]) / SIDE_PX

    @property
    def exact(self) -> FloatArray:
        """The descriptors (N, 128) as float32.

        Their inner products are whole numbers below 2^24, which float32 holds exactly: however a
        matrix product adds them up, the result is the same to the bit.
        """
        return self.descriptors.astype(np.float32)

    def mirrored(self) -> LocalFeatures:
        """Return the features of the mirror image (left and right exchanged), without a look at it.

        A mirrored keypoint points the other way across; in its own frame, in which the descriptor's
        4 x 4 cells of 8 directions lie, up and down are exchanged (Ma et al. 2010, MIFT).
        """
        points = self.points.copy()
        points[:, 0] = self.size[0] - points[:, 0]
        points[:, 3] = (180 - points[:, 3]) % 360
        cells = self.descriptors.reshape(-1, 4, 4, 8)[:, ::-1]
        turned = np.ascontiguousarray(cells[..., -np.arange(8) % 8]).reshape(-1, 128)
        return LocalFeatures(points, turned, self.size)

    def inverted(self) -> LocalFeatures:
        """Return the features of the negative (light and dark exchanged), without a look at it.

        All gradients turn round, and the keypoint with them; in its own frame, that exchanges up
        and down, and left and right.
        """
        points = self.points.copy()
        points[:, 3] = (points[:, 3] + 180) % 360
        cells = self.descriptors.reshape(-1, 4, 4, 8)[:, ::-1, ::-1]
        return LocalFeatures(points, np.ascontiguousarray(cells).reshape(-1, 128), self.size)


def find_local_features(pixels: Pixels, size: tuple[int, int] | None = None) -> LocalFeatures:
    """Return the SIFT keypoints (Lowe 2004) of an upright RGB image (H, W, 3).

    `size` is the (width, height) of the image in whose pixels the points are wanted, where `pixels`
    are fewer or more. An image without structure has no keypoints.
    """
    height, width = pixels.shape[:2]
    size = size or (width, height)
    scale = SIDE_PX / math.sqrt(width * height)
    working = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.cvtColor(resize_pixels(pixels, working), cv2.COLOR_RGB2GRAY)
    detector = cv2.SIFT.create(nfeatures=MAX_POINTS, contrastThreshold=CONTRAST)
    keypoints, described = detector.detectAndCompute(grey, None)
    if described is None or not len(keypoints):
        empty = np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8)
        return LocalFeatures(*empty, size)
    strongest = np.argsort([-k.response for k in keypoints], kind="stable")[:MAX_POINTS]
    across, down = size[0] / working[0], size[1] / working[1]
    points = [
        (k.pt[0] * across, k.pt[1] * down, k.size * across, k.angle)
        for k in (keypoints[i] for i in strongest)
    ]
    return LocalFeatures(np.array(points, np.float32), _root(described[strongest]), size)


def _root(described: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return SIFT descriptors (N, 128) as RootSIFT: the roots of their shares of the sum."""
    shares = described / np.maximum(described.sum(axis=1, keepdims=True), 1e-12)
    roots: npt.NDArray[np.uint8] = np.rint(np.sqrt(shares) * LENGTH).astype(np.uint8)
    return roots
