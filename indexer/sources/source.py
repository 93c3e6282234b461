"""Source: what is asked of a place with photos, wherever it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Literal, Protocol

import xxhash

from indexer.sources.place import Place, path_below

INODE_BITS = 2**63 - 1
Kind = Literal["folder", "file"]


@dataclass(frozen=True)
class Stat:
    """What tells a changed file, in the fields of `os.stat_result`.

    `st_ino` is a mark of its content, such as an ETag, where there is one; else both are 0.
    """

    st_size: int
    st_mtime_ns: int = 0
    st_ctime_ns: int = 0
    st_ino: int = 0


class Entry(Protocol):
    """A file or folder in a folder: what of `os.DirEntry` is used."""

    @property
    def name(self) -> str:
        """Its name in the folder."""

    @property
    def path(self) -> str:
        """Its place, as a text."""

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder."""

    def is_file(self) -> bool:
        """Whether it is a file."""

    def stat(self) -> os.stat_result | Stat:
        """Return what tells a changed file; raises `OSError`."""


class Listing(Protocol):
    """What is in a folder and those below; `problems` are (path, reason) of what is left out."""

    @property
    def problems(self) -> Sequence[tuple[str, str]]:
        """What is left out, as far as it is known yet."""

    def entries(self, folder: Place) -> Sequence[Entry]:
        """Return what is in a folder, in no order; raises `OSError`."""


class Source(Protocol):
    """Files of one kind of place. What cannot be reached raises `OSError`."""

    def kind(self, place: Place) -> Kind | None:
        """Return what is at a place, None for nothing; raises `UnreachableError`, too."""

    def list(self, folder: Place) -> Listing:
        """Return what is below a folder."""

    def stat(self, file: Place) -> os.stat_result | Stat:
        """Return what tells a changed file."""

    def read(self, file: Place, most: int | None = None) -> bytes:
        """Return the bytes of a file, or `most` of them from its start, by one request."""

    def fetch(self, file: Place, start: int, stop: int) -> bytes:
        """Return a part of a file, which may have fewer bytes, by one request."""

    def open(self, file: Place) -> IO[bytes]:
        """Open a file in which parts can be read by themselves."""


@dataclass(frozen=True)
class FoundEntry:
    """An entry of a listing that was fetched; `facts` are looked up where they are not given."""

    name: str
    path: str
    is_folder: bool
    facts: Stat | Callable[[], Stat] = Stat(0)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder."""
        del follow_symlinks  # there are no links
        return self.is_folder

    def is_file(self) -> bool:
        """Whether it is a file."""
        return not self.is_folder

    def stat(self) -> Stat:
        """Return what tells a changed file."""
        return self.facts if isinstance(self.facts, Stat) else self.facts()


class TreeListing:
    """The folders of files that were listed all at once, by their paths below a folder."""

    def __init__(
        self,
        top: Place,
        files: Iterable[tuple[str, Stat]],
        problems: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.problems = problems
        self._top = top
        self._folders: dict[str, dict[str, FoundEntry]] = {"": {}}
        for path, facts in files:
            self._add(path, facts)

    def _add(self, path: str, facts: Stat | None) -> None:
        above, _, name = path.rpartition("/")
        if above not in self._folders:
            self._folders[above] = {}
            self._add(above, None)
        key = f"{name}/" if facts is None else name  # a bucket may have both
        entry = FoundEntry(name, str(self._top / path), facts is None, facts or Stat(0))
        self._folders[above][key] = entry

    def kind(self, path: str) -> Kind | None:
        """Return what has this path below the top, a file before a folder."""
        above, _, name = path.rpartition("/")
        if path and name in self._folders.get(above, ()):
            return "file"
        return "folder" if path in self._folders else None

    def entries(self, folder: Place) -> Sequence[Entry]:
        """Return what is in a folder."""
        path = path_below(self._top, folder)
        if path not in self._folders:
            raise FileNotFoundError(2, "no such folder", str(folder))
        return list(self._folders[path].values())


def mark_of(text: str) -> int:
    """Return a number for a text that changes with the content of a file, such as an ETag."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogateescape")) & INODE_BITS
