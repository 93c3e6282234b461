"""KeypointIndex: which images share keypoints that lie alike, whatever their size and turn."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, IdArray, one_blas_thread
from indexer.features.local import SIDE_PX, LocalFeatures
from retrieval.duplicates.keypoint_hash import KeypointHash, Signatures

QUERY_POINTS = 96  # the largest: a picture that is pasted small keeps only those
POSTINGS = 20_000  # that a query reads, the rarest cells first: common keypoints tell little
MAX_DISTANCE = 16  # of two signatures: four deviations below that of unrelated ones, 32
# The bins of Lowe 2004, section 7.3.
DEGREES = 30.0
OCTAVES = 1.0
PLACE = 0.25  # of the side at which images are searched for keypoints
MIN_VOTES = 3
BATCH = 64  # images that are coded while no other thread may use the BLAS

T = TypeVar("T", bound=np.generic)
_ANGLES = round(360 / DEGREES)
_SCALES, _PLACES = 32, 128  # bins of an axis, with room on both sides


class Votes(NamedTuple):
    """Images (N,) and how many keypoints of a query lie alike in each (N,), the most first."""

    images: IdArray
    counts: IdArray


class KeypointIndex:
    """An inverted file of the keypoints of images (Sivic and Zisserman 2003).

    Each image keeps about 12 KB in memory.
    """

    def __init__(self, hashing: KeypointHash, images: Iterable[tuple[int, LocalFeatures]]) -> None:
        self._hashing = hashing
        cells, signatures, points, owners = [], [], [], []
        remaining = iter(images)
        while batch := list(itertools.islice(remaining, BATCH)):
            with one_blas_thread():
                codes = [hashing.encode(features) for _, features in batch]
            for (image_id, features), (own_cells, own_signatures) in zip(batch, codes, strict=True):
                cells.append(own_cells.astype(np.int32))
                signatures.append(own_signatures)
                points.append(_frames(features).astype(np.float16))
                owners.append(np.full(len(features), image_id, np.int64))
        joined = np.concatenate(cells) if cells else np.empty(0, np.int32)
        order = np.argsort(joined, kind="stable")
        self._starts = np.searchsorted(joined[order], np.arange((1 << hashing.bits) + 1))
        self._signatures = _take(signatures, order, np.empty(0, np.uint64))
        self._points = _take(points, order, np.empty((0, 4), np.float16))
        self._owners = _take(owners, order, np.empty(0, np.int64))

    def vote(self, features: LocalFeatures, most: int) -> Votes:
        """Return the images in which at least `MIN_VOTES` keypoints of an image lie as in it.

        These are at most `most`. A keypoint votes for where the centre of its image would be, how
        large and how turned, if each keypoint with a near signature were the same (Lowe 2004).
        """
        query = largest_keypoints(features, QUERY_POINTS)
        rows, keypoints = self._by_image(*self._similar(query))
        images = self._owners[rows]
        images, counts = _count_votes(images, self._poses(query, rows, keypoints), keypoints)
        enough = counts >= MIN_VOTES
        images, counts = images[enough], counts[enough]
        best = np.lexsort((images, -counts))[:most]
        return Votes(images[best], counts[best])

    def _similar(self, query: LocalFeatures) -> tuple[IdArray, IdArray]:
        """Return rows (M,) of keypoints that look like one of a query's, and which one (M,)."""
        cells, signatures = self._hashing.encode_query(query)
        keypoints = np.repeat(np.arange(len(query)), cells.shape[1])
        starts = self._starts[cells.ravel()]
        counts = self._starts[cells.ravel() + 1] - starts
        rarest = np.argsort(counts, kind="stable")
        taken = rarest[np.cumsum(counts[rarest]) <= POSTINGS]
        counts = counts[taken]
        rows = np.repeat(starts[taken] - (np.cumsum(counts) - counts), counts)
        rows += np.arange(len(rows))
        keypoints = np.repeat(keypoints[taken], counts)
        near = _distances(self._signatures[rows], signatures[keypoints]) <= MAX_DISTANCE
        return rows[near], keypoints[near]

    def _by_image(self, rows: IdArray, keypoints: IdArray) -> tuple[IdArray, IdArray]:
        """Return the pairs of images that have enough of them, image by image.

        Most images have one or two pairs, by chance.
        """
        order = np.argsort(self._owners[rows], kind="stable")
        counts = np.diff(_runs(self._owners[rows[order]]))
        several = order[np.repeat(counts >= MIN_VOTES, counts)]
        return rows[several], keypoints[several]

    def _poses(self, query: LocalFeatures, rows: IdArray, keypoints: IdArray) -> FloatArray:
        """Return the turn, the scale and the centre x, y (M, 4) that each pair implies, in bins."""
        source = _frames(query)[keypoints]
        target = self._points[rows].astype(np.float32)
        turns = target[:, 3] - source[:, 3]
        octaves = target[:, 2] - source[:, 2]
        scales, angles = np.exp2(octaves), np.radians(turns)
        x, y = (np.array(query.size) / (2 * query.unit_px) - source[:, :2]).T
        across = scales * (np.cos(angles) * x - np.sin(angles) * y)
        down = scales * (np.sin(angles) * x + np.cos(angles) * y)
        places = (target[:, :2].T + np.stack([across, down])) / (PLACE * SIDE_PX)
        poses: FloatArray = np.stack([turns / DEGREES, octaves / OCTAVES, *places], axis=1)
        return poses


def largest_keypoints(features: LocalFeatures, count: int) -> LocalFeatures:
    """Return the keypoints that are found at the coarsest scales, the largest first."""
    rows = np.argsort(-features.points[:, 2], kind="stable")[:count]
    return LocalFeatures(features.points[rows], features.descriptors[rows], features.size)


def _frames(features: LocalFeatures) -> FloatArray:
    """Return x, y, the logarithm of the size, and the angle (N, 4) at the working size."""
    found: FloatArray = features.points.copy()
    found[:, :2] /= features.unit_px
    found[:, 2] = np.log2(found[:, 2] / features.unit_px)
    return found


def _count_votes(images: IdArray, poses: FloatArray, keypoints: IdArray) -> tuple[IdArray, IdArray]:
    """Return images (N,) and how many different keypoints (N,) of a query vote for one pose.

    The images (M,) of the pairs ascend. The bins are laid twice, half a bin apart: a pose near the
    edge of a bin is well inside the other one.
    """
    starts = _runs(images)
    places = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    votes = [
        _number(places, poses + shift, keypoints, half) for half, shift in ((0, 0.0), (1, 0.5))
    ]
    bins = _distinct(np.concatenate(votes)) // QUERY_POINTS
    firsts = _runs(bins)
    own = bins[firsts[:-1]] // (2 * _ANGLES * _SCALES * _PLACES**2)
    best = np.zeros(len(starts) - 1, np.int64)
    np.maximum.at(best, own, np.diff(firsts))
    return images[starts[:-1]], best


def _runs(numbers: IdArray) -> IdArray:
    """Return where runs of the same number (M,) begin, and M."""
    inner = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
    return np.concatenate([np.zeros(min(1, len(numbers)), np.int64), inner, [len(numbers)]])


def _distinct(numbers: IdArray) -> IdArray:
    """Return numbers (M,) sorted, each once."""
    ordered = np.sort(numbers)
    return ordered[_runs(ordered)[:-1]]


def _number(places: IdArray, poses: FloatArray, keypoints: IdArray, half: int) -> IdArray:
    """Return one number (M,) for the image, the half, the bin of the pose and the keypoint."""
    bins = np.floor(poses).astype(np.int64)
    number = (places * 2 + half) * _ANGLES + bins[:, 0] % _ANGLES
    for axis, size in ((1, _SCALES), (2, _PLACES), (3, _PLACES)):
        number = number * size + np.clip(bins[:, axis] + size // 2, 0, size - 1)
    found: IdArray = number * QUERY_POINTS + keypoints
    return found


def _distances(some: Signatures, others: Signatures) -> npt.NDArray[np.uint8]:
    """Return in how many bits signatures (M,) differ."""
    found: npt.NDArray[np.uint8] = np.bitwise_count(some ^ others)
    return found


def _take(parts: list[npt.NDArray[T]], order: IdArray, empty: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return the rows of all parts in this order; the parts are let go of."""
    joined = np.concatenate(parts) if parts else empty
    parts.clear()
    return joined[order]
