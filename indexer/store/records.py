"""What goes into a store and comes out of it, apart from vectors."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from indexer.arrays import HalfArray, IdArray
from indexer.features.extractor import ImageFeatures
from indexer.features.windows import to_pixels
from indexer.images.facts import ImageFacts
from indexer.images.page_paths import page_of
from indexer.sources.place import Place
from indexer.sources.source import INODE_BITS, Stat

PAGED_SUFFIXES = (".tif", ".tiff", ".heic", ".heif", ".hif", ".mpo", ".jpg", ".jpeg")


@dataclass(frozen=True)
class FileState:
    """What tells a changed file without reading it, and its content hash once read.

    `path` is relative to the root; it ends in `#page=N` for a page that is not the file's main
    picture. `ctime_ns` and `inode` are None where they are not known.
    """

    root_id: int
    path: str
    size_bytes: int
    mtime_ns: int
    content_hash: bytes = b""
    ctime_ns: int | None = None
    inode: int | None = None

    @classmethod
    def of(cls, root_id: int, path: str, stat: os.stat_result | Stat) -> FileState:
        """Return the state of a file that was looked at."""
        inode = stat.st_ino & INODE_BITS  # some file systems use all 64 bits
        mtime_ns, ctime_ns = (_in_64_bits(date) for date in (stat.st_mtime_ns, stat.st_ctime_ns))
        return cls(root_id, path, stat.st_size, mtime_ns, b"", ctime_ns, inode)

    def is_like(self, other: FileState) -> bool:
        """Whether size and dates, and the inode, say that a file has not changed."""
        return (self.size_bytes, self.mtime_ns) == (other.size_bytes, other.mtime_ns) and all(
            None in (own, its) or own == its
            for own, its in ((self.ctime_ns, other.ctime_ns), (self.inode, other.inode))
        )


def _in_64_bits(date_ns: int) -> int:
    """Return a date that a catalogue can keep: file systems have some after the year 2262."""
    return max(-(2**63), min(date_ns, 2**63 - 1))


@dataclass(frozen=True)
class StoredFeatures:
    """The vectors of one image as a store keeps them: float16, by the name of their kind.

    Row i of a region kind belongs to `boxes[i]` (R, 4), in pixels of the upright original.
    """

    vectors: dict[str, HalfArray]
    boxes: IdArray

    @classmethod
    def of(cls, features: ImageFeatures, facts: ImageFacts) -> StoredFeatures:
        """Return what a store keeps of the features of an image."""
        vectors = {kind: rows.astype(np.float16) for kind, rows in features.vectors.items()}
        return cls(vectors, to_pixels(features.boxes, facts.width, facts.height))


@dataclass(frozen=True)
class Entry:
    """An image to commit: its file, and either facts and features or the reason of failure.

    An image without content `is_blank` and has no features. `pages` is how many pictures the file
    holds. `replaces` is the id of the row that this one takes the place of. `warnings` say what was
    odd about a picture that can be used all the same.
    """

    file: FileState
    facts: ImageFacts | None = None
    features: ImageFeatures | StoredFeatures | None = None
    reason: str | None = None
    replaces: int | None = None
    pages: int | None = None
    is_blank: bool = False
    warnings: tuple[str, ...] = ()

    def columns(self) -> dict[str, Any]:
        """Return what is known of the file and the picture, by the names of the catalogue."""
        facts = self.facts
        return {
            "size_bytes": self.file.size_bytes,
            "mtime_ns": self.file.mtime_ns,
            "ctime_ns": self.file.ctime_ns,
            "inode": self.file.inode,
            "pages": self.pages,
            "state": "failed" if self.reason else "blank" if self.is_blank else "ok",
            "reason": self.reason,
            "width": facts.width if facts else None,
            "height": facts.height if facts else None,
            "format": facts.format if facts else None,
            "taken_at": facts.taken_at if facts else None,
            "camera": facts.camera if facts else None,
        }

    def stored_features(self) -> StoredFeatures | None:
        """Return the features as a store keeps them, None where there are none."""
        if isinstance(self.features, ImageFeatures):
            return StoredFeatures.of(self.features, self.facts) if self.facts else None
        return self.features


@dataclass(frozen=True)
class KnownFile:
    """An image row as the scanner needs it; `pages` is None where it was never counted."""

    id: int
    file: FileState
    reason: str | None
    pages: int | None = None

    @property
    def may_have_pages(self) -> bool:
        """Whether its file may hold more pictures than this one."""
        if self.pages is None:
            return page_of(self.file.path)[0].lower().endswith(PAGED_SUFFIXES)
        return self.pages > 1


@dataclass(frozen=True)
class ImageInfo:
    """An image as a hit needs it; `path` is absolute, or a URL.

    `content_hash` is the SHA-256 of its file, empty where that is not known.
    """

    id: int
    path: Place
    width: int
    height: int
    taken_at: dt.datetime | None
    camera: str | None
    content_hash: bytes = b""

    @property
    def page(self) -> int | None:
        """The page of its file, from 0; None for the main picture."""
        return page_of(str(self.path))[1]


@dataclass(frozen=True)
class StoreSummary:
    """What a store holds; `vectors` and `dimensions` by kind, `bytes_on_disk` of all its files.

    `images` are those with features, and `blank` those that show nothing. `failed` and `warnings`
    are paths with what is wrong, or odd. `skipped` counts the
    other files in its folders by suffix, as the last run over each of them found.
    """

    images: int
    blank: list[str]
    failed: list[tuple[str, str]]
    warnings: list[tuple[str, str]]
    vectors: dict[str, int]
    dimensions: dict[str, int]
    bytes_on_disk: int
    roots: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
