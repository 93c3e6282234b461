"""Binary codes of descriptors: the cell that one falls into, and a signature within it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, IdArray, one_blas_thread
from indexer.features.local import LocalFeatures

SIGNATURE_BITS = 64
SAMPLED = 100_000  # descriptors that the codes are learned from
FILL = 4  # keypoints in a cell, were all cells equally full
MIN_BITS, MAX_BITS = 6, 24  # of a cell's number
FLIPS = 3  # bits of a query's cell that are tried both ways: those that noise flips first

Signatures = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class KeypointHash:
    """Turns RootSIFT descriptors into bits: which side of a median they lie on, along each axis.

    The cell is told by the principal axes of the collection's descriptors, the signature by a
    random rotation of the first 64 of them: near descriptors share a cell, and have signatures
    that differ in few bits (Jégou, Douze and Schmid 2008, Hamming embedding).
    """

    mean: FloatArray
    axes: FloatArray  # (128, bits + 64)
    medians: FloatArray
    bits: int

    @classmethod
    def learn(cls, images: Iterable[LocalFeatures], keypoints: int) -> KeypointHash:
        """Learn the codes of a collection of so many keypoints from some of its images."""
        sample = _sample(images)
        bits = min(max(math.ceil(math.log2(max(1, keypoints) / FILL)), MIN_BITS), MAX_BITS)
        mean: FloatArray = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        with one_blas_thread():
            centred = sample - mean
            _, vectors = np.linalg.eigh(centred.T @ centred)
            principal = vectors[:, ::-1]
            random = np.random.default_rng(0).standard_normal((SIGNATURE_BITS, SIGNATURE_BITS))
            rotation, _ = np.linalg.qr(random)
            turned = principal[:, :SIGNATURE_BITS] @ rotation
            axes = np.hstack([principal[:, :bits], turned]).astype(np.float32)
            medians = np.median(centred @ axes, axis=0).astype(np.float32)
        return cls(mean, axes, medians, bits)

    def encode(self, features: LocalFeatures) -> tuple[IdArray, Signatures]:
        """Return the cells (N,) and signatures (N,) of the keypoints of an image."""
        sides = self._offsets(features) > 0
        return self._cells(sides), _pack(sides[:, self.bits :])

    def encode_query(self, features: LocalFeatures) -> tuple[IdArray, Signatures]:
        """Return the cells (N, C) to search for each keypoint, and the signatures (N,)."""
        offsets = self._offsets(features)
        sides = offsets > 0
        flips = min(FLIPS, self.bits)
        near = np.argsort(np.abs(offsets[:, : self.bits]), axis=1, kind="stable")[:, :flips]
        tried = np.arange(1 << flips)
        cells = self._cells(sides)[:, None]
        for place in range(flips):
            flipped = (tried >> place) & 1
            cells = cells ^ (np.left_shift(1, near[:, place, None]) * flipped)
        return cells, _pack(sides[:, self.bits :])

    def _offsets(self, features: LocalFeatures) -> FloatArray:
        return np.asarray((features.exact - self.mean) @ self.axes - self.medians, np.float32)

    def _cells(self, sides: npt.NDArray[np.bool_]) -> IdArray:
        weights = np.left_shift(1, np.arange(self.bits, dtype=np.int64))
        return np.asarray(sides[:, : self.bits] @ weights, np.int64)


def _sample(images: Iterable[LocalFeatures]) -> FloatArray:
    found: list[FloatArray] = []
    count = 0
    for features in images:
        found.append(features.exact)
        count += len(features)
        if count >= SAMPLED:
            break
    return np.concatenate(found)


def _pack(sides: npt.NDArray[np.bool_]) -> Signatures:
    packed: Signatures = np.packbits(sides, axis=1).view(np.uint64).ravel()
    return packed
