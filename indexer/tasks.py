"""What a scan is asked for, and what it finds to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from indexer.reading import ReadingOptions
from indexer.sources.place import Place
from indexer.store.records import FileState, KnownFile


@dataclass(frozen=True)
class Task:
    """A file to read: `known` are its rows in the catalogue, one for each of its pictures.

    It is described `again` where its bytes are known already, but not as `options` have it.
    """

    path: Place
    file: FileState
    known: tuple[KnownFile, ...] = ()
    options: ReadingOptions = field(default_factory=ReadingOptions)
    again: bool = False


@dataclass
class Scan:
    """The outcome of a scan: `tasks` to do, `unchanged` rows, and rows whose file is `missing`.

    `lost` are rows of roots that are not there any more: renamed folders, drives at another place;
    `guarded` are (folder, row) below folders that are suddenly empty, as a mount point is.
    `stamped` are unchanged rows with what the store did not know of their files yet. `problems` are
    (path, reason) of what could not be read, and `skipped` counts files that are no images by
    suffix; `options` and `other_files` are what to remember of each root.
    """

    tasks: list[Task] = field(default_factory=list)
    unchanged: list[KnownFile] = field(default_factory=list)
    stamped: list[tuple[int, FileState]] = field(default_factory=list)
    missing: list[KnownFile] = field(default_factory=list)
    lost: list[KnownFile] = field(default_factory=list)
    guarded: list[tuple[str, KnownFile]] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    options: dict[int, ReadingOptions] = field(default_factory=dict)
    other_files: dict[int, Counter[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ScanOptions:
    """Choices of a scan: `given` are those `ReadingOptions` that differ from what is remembered.

    `retry_failed` reads unchanged failures again, and `check` every file.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    retry_failed: bool = False
    check: bool = False
