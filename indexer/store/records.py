"""What goes into a store and comes out of it, apart from vectors."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

from indexer.features.extractor import ImageFeatures
from indexer.images.facts import ImageFacts


@dataclass(frozen=True)
class FileState:
    """What identifies a file without reading it, and its content hash once read."""

    root_id: int
    path: str
    size_bytes: int
    mtime_ns: int
    content_hash: bytes = b""


@dataclass(frozen=True)
class Entry:
    """An image to commit: its file, and either facts and features or the reason of failure.

    `replaces` is the id of the row that this one takes the place of.
    """

    file: FileState
    facts: ImageFacts | None = None
    features: ImageFeatures | None = None
    reason: str | None = None
    replaces: int | None = None


@dataclass(frozen=True)
class KnownFile:
    """An image row as the scanner needs it."""

    id: int
    file: FileState
    reason: str | None


@dataclass(frozen=True)
class ImageInfo:
    """An image as a hit needs it; `path` is absolute."""

    id: int
    path: Path
    width: int
    height: int
    taken_at: dt.datetime | None
    camera: str | None


@dataclass(frozen=True)
class StoreSummary:
    """What a store holds; `vectors` and `dimensions` by kind, `bytes_on_disk` of all its files."""

    images: int
    failed: list[tuple[str, str]]
    vectors: dict[str, int]
    dimensions: dict[str, int]
    bytes_on_disk: int
    roots: list[str] = field(default_factory=list)
