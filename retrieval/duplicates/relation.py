"""Relations: two images that are the same picture, or of which one is a part of the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from indexer.features.local import LocalFeatures
from retrieval.duplicates.agreement import agreement
from retrieval.duplicates.keypoint_index import largest_keypoints
from retrieval.geometry import GeometricMatch, find_match, mirror_query
from retrieval.picture import Picture
from retrieval.query import Quad
from retrieval.transform import Transform, outline, project

Kind = Literal["picture", "part"]
KINDS: tuple[Kind, ...] = ("picture", "part")

GRID = 32  # points on a side that tell how much of one image lies in another
COVERED = 0.95  # of an image that lies in another: a keypoint is placed to within a few percent
# Planted copies (`benchmarks.planted`) agree in 0.995 and more of their area. Of pasted pictures,
# which are small, 98 in 100 do in 0.96. Frames of a burst, and pictures that another one was pasted
# into, mostly agree in less than 0.98.
SAME = 0.99
PART = 0.96
HINTS = 96  # keypoints, the largest: where they do not lie alike, nothing else is compared
FEW = 32  # keypoints: a picture with fewer is also compared in its eight positions


@dataclass(frozen=True)
class Relation:
    """What two images have in common.

    `first` and `second` are image ids. Of two that are the same `picture`, the first is the smaller
    id; else the first shows a `part` of the second, at `quad`: four corners x, y in pixels of the
    second. `turned` is by how many degrees, in quarters, the first must be turned clockwise, after
    it was `mirrored`, to lie as the second does. `agreement` is the share of the first that is the
    same in the second.
    """

    kind: Kind
    first: int
    second: int
    agreement: float
    turned: int = 0
    mirrored: bool = False
    quad: Quad | None = None

    @property
    def pair(self) -> tuple[int, int]:
        """The two images."""
        return self.first, self.second

    def reversed(self) -> Relation:
        """Return how the second of two that are the same picture is related to the first."""
        turned = self.turned if self.mirrored else -self.turned % 360
        return replace(self, first=self.second, second=self.first, turned=turned)


@dataclass(frozen=True)
class Compared:
    """An image to be compared: its id, its keypoints, and its picture, which is loaded if needed.

    `picture` returns None where the file is missing or damaged.
    """

    image_id: int
    features: LocalFeatures
    picture: Callable[[], Picture | None]


class MissingPictureError(LookupError):
    """A picture that is needed to compare two images cannot be read."""

    def __init__(self, image_id: int) -> None:
        super().__init__(image_id)
        self.image_id = image_id


def relate(one: Compared, other: Compared, *, mirrored: Sequence[bool]) -> Relation | None:
    """Return how two images are related, None if they are not.

    Keypoints prove where one lies in the other (see `find_match`), mirrored or not, as asked; the
    pixels must agree there: another photo of the same thing is no copy. Raises
    `MissingPictureError` where the pixels decide and cannot be read.
    """
    for is_mirrored in mirrored:
        for first, second in ((one, other), (other, one)):
            match = _find_proof(first.features, second.features, is_mirrored=is_mirrored)
            found = _judge(first, second, match) if match else None
            if found is not None:
                return found
    return None


def relate_plain(one: Compared, other: Compared) -> Relation | None:
    """Return how images with few keypoints are the same picture, in one of eight positions.

    None if they are not. Raises `MissingPictureError`.
    """
    best: tuple[float, Transform] | None = None
    for transform in _positions(one.features.size, other.features.size):
        share = _agreement(one, other, transform)
        if best is None or share > best[0]:
            best = share, transform
    if best is None or best[0] < SAME:
        return None
    return _same_picture(one, other, best[1], best[0])


def _find_proof(
    query: LocalFeatures, image: LocalFeatures, *, is_mirrored: bool
) -> GeometricMatch | None:
    form = query.mirrored() if is_mirrored else query
    hint = find_match(largest_keypoints(form, HINTS), image)
    if hint is None:
        return None
    match = find_match(form, image)
    if match is None or not match.is_proof:
        return None
    return mirror_query(match, query.size) if is_mirrored else match


def _judge(first: Compared, second: Compared, match: GeometricMatch) -> Relation | None:
    """Return the relation of two images that share keypoints, None where the pixels differ."""
    back = _inverse(match.transform)
    covers = (
        _covered(match.transform, first.features.size, second.features.size) >= COVERED,
        _covered(back, second.features.size, first.features.size) >= COVERED,
    )
    if not any(covers):
        return None
    part, whole, transform = first, second, match.transform
    if not covers[0]:
        part, whole, transform = second, first, back
    share = _agreement(part, whole, transform)
    if all(covers) and share >= SAME:
        return _same_picture(part, whole, transform, share)
    if share < PART:
        return None
    turned, mirrored = _pose(transform)
    width, height = part.features.size
    quad = outline(transform, (0.0, 0.0, float(width), float(height)))
    return Relation("part", part.image_id, whole.image_id, share, turned, mirrored, quad)


def _same_picture(one: Compared, other: Compared, transform: Transform, share: float) -> Relation:
    if one.image_id > other.image_id:
        one, other, transform = other, one, _inverse(transform)
    return Relation("picture", one.image_id, other.image_id, share, *_pose(transform))


def _agreement(part: Compared, whole: Compared, transform: Transform) -> float:
    return agreement(_picture(part), _picture(whole), transform)


def _picture(image: Compared) -> Picture:
    picture = image.picture()
    if picture is None:
        raise MissingPictureError(image.image_id)
    return picture


def _inverse(transform: Transform) -> Transform:
    return np.asarray(np.linalg.inv(transform), np.float64)


def _covered(transform: Transform, size: tuple[int, int], other: tuple[int, int]) -> float:
    """Return the share of an image of (width, height) `size` that lies in one of size `other`."""
    axis = (np.arange(GRID) + 0.5) / GRID
    points = np.stack(np.meshgrid(axis * size[0], axis * size[1]), axis=-1).reshape(-1, 2)
    places = project(transform, points)
    return float(((places >= 0) & (places <= other)).all(axis=1).mean())


def _pose(transform: Transform) -> tuple[int, bool]:
    """Return the turn in quarters, as degrees clockwise, and whether it was mirrored before."""
    linear = transform[:2, :2]
    mirrored = bool(np.linalg.det(linear) < 0)
    across = -linear[:, 0] if mirrored else linear[:, 0]
    angle = math.degrees(math.atan2(across[1], across[0]))
    return round(angle / 90) * 90 % 360, mirrored


def _positions(size: tuple[int, int], other: tuple[int, int]) -> list[Transform]:
    """Return the transforms that lay an image on another in the eight positions."""
    width, height = size
    centre = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    found = []
    for turn in range(4):
        cosine, sine = round(math.cos(turn * math.pi / 2)), round(math.sin(turn * math.pi / 2))
        for flip in (1, -1):
            linear = np.array([[flip * cosine, -sine, 0.5], [flip * sine, cosine, 0.5], [0, 0, 1]])
            unit = linear @ centre @ np.diag([1 / width, 1 / height, 1])
            found.append(np.diag([other[0], other[1], 1]) @ unit)
    return found
