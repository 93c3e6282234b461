"""Catalog: what a search asks of the catalogue, and the records that it answers with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from indexer.arrays import IdArray


class ImageFields(NamedTuple):
    """What the catalogue says about an image; `path` is relative to `root`, see `RootRow`."""

    id: int
    root: str
    path: str
    width: int | None
    height: int | None
    taken_at: dt.datetime | None
    camera: str | None


@dataclass(frozen=True)
class SegmentEntry:
    """A live segment of vectors, see `SegmentRow`."""

    id: int
    kind: str
    rows: int
    dimension: int


@dataclass(frozen=True)
class IvfEntry:
    """The live IVF index of a kind, see `IvfRow`."""

    id: int
    kind: str
    index_type: str
    rows: int
    trained_rows: int
    nprobe: int
    recall: float


@dataclass(frozen=True)
class KindEntries:
    """The live files of one kind of vectors, in order, and the images that are removed (N,)."""

    segments: list[SegmentEntry]
    ivf: IvfEntry | None
    removed: IdArray


class Catalog(Protocol):
    """Answers the questions of a search; threads may ask at once.

    Each answer is that of one moment. Anything wrong with the catalogue raises `StoreError`, or
    `StoreCorruptError` where it is damaged.
    """

    def spec(self) -> str | None:
        """Return the feature spec as JSON, None where it was never written."""

    def keeps_keypoints(self) -> bool:
        """Return whether an index run finds the keypoints of every image."""

    def roots(self) -> dict[int, str]:
        """Return the folders of photos by id, in its order, as stored."""

    def root_rows(self) -> dict[int, tuple[str, str]]:
        """Return the options and the skipped files of each folder of photos, as JSON."""

    def images(self, ids: Sequence[int]) -> list[ImageFields]:
        """Return what is known about these images; removed ones are left out."""

    def image_at(self, root_id: int, path: str) -> ImageFields | None:
        """Return the image with vectors at a path in a root, or None."""

    def images_of(self, content_hash: bytes) -> list[int]:
        """Return the ids of the readable images whose files have these contents, in order.

        Among them are blank ones, which have no vectors.
        """

    def boxes(self, ids: Sequence[int]) -> IdArray:
        """Return the boxes (N, 4) of these regions, in pixels of the upright original.

        The box of a removed region is all zeros.
        """

    def files(self, kind: str) -> KindEntries:
        """Return the live files of one kind of vectors."""

    def close(self) -> None:
        """Close the connections that are not in use."""
