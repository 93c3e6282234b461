"""Files in zip and tar archives, which behave like folders, wherever the archives are."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from io import BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from typing import IO, cast

from indexer.errors import UnreachableError, UnreadableImageError
from indexer.sources.members import DamagedMemberError, Member, Members, data_start, read_members
from indexer.sources.members import unpack as unpack_member
from indexer.sources.place import Place, archive_of
from indexer.sources.ranges import open_ranges
from indexer.sources.source import Kind, Listing, Source, Stat, TreeListing, mark_of

KEPT = 16  # archives whose members are known at a time
LISTED_BYTES = 2 << 20  # of one request
CHECK_S = 30.0  # after which an archive may have been replaced by another


class ArchiveFiles:
    """The members of one archive, whose bytes `outer` reads; threads may share it."""

    def __init__(self, outer: Source, archive: Place) -> None:
        self._outer = outer
        self._archive = archive
        self._members: Members | None = None
        self._mark: int | None = None
        self._checked_s = 0.0
        self._looking = threading.Lock()

    def kind(self, place: Place) -> Kind | None:
        """Return what is at a place, None for nothing; raises `UnreachableError`."""
        return "folder" if place == self._archive else self._tree().kind(self._name(place))

    def list(self, folder: Place) -> Listing:
        """Return what is below a folder, as of now; raises `UnreachableError`."""
        del folder
        return self._tree(is_now=True)

    def _tree(self, *, is_now: bool = False) -> TreeListing:
        try:
            members = self._known(is_now=is_now)
        except DamagedMemberError as error:
            raise UnreachableError(f"{self._archive} {error}; nothing was changed.") from error
        except OSError as error:
            raise self._away(error) from error
        problems = [(f"{self._archive}/{name}", why) for name, why in members.problems]
        if members.damage:
            problems.append((str(self._archive), f"cannot be read as a whole: {members.damage}"))
        files = [(name, member.facts) for name, member in members.files.items()]
        return TreeListing(self._archive, files, problems)

    def stat(self, file: Place) -> Stat:
        """Return what tells a changed file."""
        return self._member(file).facts

    def read(self, file: Place, most: int | None = None) -> bytes:
        """Return the bytes of a file, or `most` of them; raises `UnreadableImageError`, too."""
        member = self._member(file)
        try:
            return unpack_member(member, self._fetch, most)
        except DamagedMemberError as error:
            raise UnreadableImageError(str(file), str(error)) from error

    def fetch(self, file: Place, start: int, stop: int) -> bytes:
        """Return a part of a file."""
        return self.read(file, stop)[start:]

    def open(self, file: Place) -> IO[bytes]:
        """Open a file; one that is packed is unpacked first."""
        member = self._member(file)
        if not member.is_plain:
            return BytesIO(self.read(file))
        try:
            begin = data_start(member, self._fetch)
        except DamagedMemberError as error:
            raise UnreadableImageError(str(file), str(error)) from error
        return open_ranges(
            member.packed_bytes, lambda start, stop: self._fetch(begin + start, begin + stop)
        )

    def _member(self, file: Place) -> Member:
        try:
            found = self._known().files.get(self._name(file))
        except DamagedMemberError as error:
            raise OSError(str(error)) from error
        if found is None:
            raise FileNotFoundError(2, "there is no such file in the archive", str(file))
        return found

    def _name(self, place: Place) -> str:
        return str(place)[len(str(self._archive)) + 1 :].replace("\\", "/")

    def _fetch(self, start: int, stop: int) -> bytes:
        return self._outer.fetch(self._archive, start, stop)

    def _known(self, *, is_now: bool = False) -> Members:
        """Return the members, listed again where the archive has changed."""
        with self._looking:
            is_fresh = time.monotonic() - self._checked_s < CHECK_S
            if self._members is not None and is_fresh and not is_now:
                return self._members
            mark = self._look()
            if self._members is None or mark != self._mark:
                with self._open() as file:
                    self._members = read_members(file, self._archive.name, mark)
                self._mark = mark
            self._checked_s = time.monotonic()
            return self._members

    def _look(self) -> int:
        facts = self._outer.stat(self._archive)
        return mark_of(f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ino}")

    def mark(self) -> int:
        """Return a number that changes with the archive; raises `UnreachableError`."""
        try:
            return self._look()
        except OSError as error:
            raise self._away(error) from error

    def _away(self, error: OSError) -> UnreachableError:
        what = error.strerror or str(error)
        return UnreachableError(f"{self._archive} cannot be read ({what}); nothing was changed.")

    def _open(self) -> IO[bytes]:
        """Open the archive. At a URL much is read at a time: headers of a tar are all over it."""
        file = self._outer.open(self._archive)
        if isinstance(self._archive, Path):
            return file
        return cast(IO[bytes], BufferedReader(cast(RawIOBase, file), LISTED_BYTES))


class Archives:
    """The archives that were used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Place, ArchiveFiles] = OrderedDict()
        self._changing = threading.Lock()

    def find(self, outer: Source, place: Place) -> ArchiveFiles | None:
        """Return the archive that a place is or lies in, None where it does not."""
        named = archive_of(place)
        if named is None:
            return None
        archive, _ = named
        with self._changing:
            found = self._kept.get(archive)
        if found is None or archive == place:
            if outer.kind(archive) != "file":
                return None
            found = found or ArchiveFiles(outer, archive)
        with self._changing:
            self._kept[archive] = found
            self._kept.move_to_end(archive)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found
