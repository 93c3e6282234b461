"""Catalog: what a search asks of the catalogue, and the records that it answers with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from indexer.arrays import IdArray


class ImageFields(NamedTuple):
    """What the catalogue says about an image; `path` is relative to that of its root."""

    id: int
    root_id: int
    path: str
    width: int | None
    height: int | None
    taken_at: dt.datetime | None
    camera: str | None
    content_hash: bytes


@dataclass(frozen=True)
class SegmentEntry:
    """A live segment of vectors, see `SegmentRow`; `checksum` is empty where it has none."""

    id: int
    kind: str
    rows: int
    dimension: int
    checksum: str = ""


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
    checksum: str = ""


@dataclass(frozen=True)
class KindEntries:
    """The live files of one kind of vectors, in order, and the images that are removed (N,)."""

    segments: list[SegmentEntry]
    ivf: IvfEntry | None
    removed: IdArray


class Root(NamedTuple):
    """A folder of photos, see `RootRow`; `path` is that of the file system."""

    path: str
    options: str
    skipped: str


@dataclass(frozen=True)
class CatalogState:
    """The spec, the folders and the live files of a store, as of one commit.

    `commits` counts the commits; it begins with a random number, so that two stores that were at
    one place are told apart. `spec` is JSON, None where it was never written. `is_sealed` says
    whether this account made all commits, see `trust`.
    """

    commits: int
    spec: str | None
    index_type: str
    keeps_keypoints: bool
    roots: dict[int, Root]
    segments: tuple[SegmentEntry, ...]
    ivfs: tuple[IvfEntry, ...]
    removed: IdArray
    is_sealed: bool

    def files(self, kind: str) -> KindEntries:
        """Return the live files of one kind of vectors."""
        return KindEntries(
            [entry for entry in self.segments if entry.kind == kind],
            next((entry for entry in self.ivfs if entry.kind == kind), None),
            self.removed,
        )


class Catalog(Protocol):
    """Answers the questions of a search; threads may ask at once.

    Each answer is that of one moment. Anything wrong with the catalogue raises `StoreError`, or
    `StoreCorruptError` where it is damaged: what it answers agrees with its checksums.
    """

    def commits(self) -> int:
        """Return the number of the last commit, see `CatalogState`: another one, another state."""

    def state(self) -> CatalogState:
        """Return the spec, the folders and the live files."""

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

    def annotations(self, ids: Sequence[int]) -> dict[int, dict[str, str]]:
        """Return what fields of the user's own say of these images, by id and name of the field.

        Images of which none says anything are left out.
        """

    def close(self) -> None:
        """Close the connections that are not in use."""
