"""Access: the source of a place, and what is asked of any place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from indexer.errors import InaccessibleImageError, UnreachableError
from indexer.sources.archives import ArchiveFiles, Archives
from indexer.sources.local import LocalFiles
from indexer.sources.place import PACKED, WEB, Place, Remote, archive_of, is_url
from indexer.sources.source import Entry, Kind, Source, Stat

ASKED_AT_ONCE = 16  # files of a web server, which tells of one at a time
LOCAL = LocalFiles()
_ARCHIVES = Archives()


def source_of(place: Place) -> Source:
    """Return what reads a place: by its name, and by what an archive of that name is."""
    outer: Source = LOCAL
    if isinstance(place, Remote):
        from indexer.sources.file_systems import RemoteFiles  # most stores have no URL

        outer = RemoteFiles(place.scheme)
    return _ARCHIVES.find(outer, place) or outer


def kind_of(place: Place) -> Kind | None:
    """Return what is at a place, None for nothing; an archive is a folder.

    Raises `UnreachableError` where that cannot be told.
    """
    if place.name.lower().endswith(PACKED) and source_of(place).kind(place) == "file":
        raise UnreachableError(
            f"{place}: a packed tar has to be read from its start for every photo. Unpack it, "
            "with gunzip or the like: photos hardly shrink by it."
        )
    return source_of(place).kind(place)


def is_folder(place: Place) -> bool:
    """Whether a place is a folder or an archive; raises `UnreachableError`."""
    return kind_of(place) == "folder"


def is_file(place: Place) -> bool:
    """Whether a place is a file, and no archive; raises `UnreachableError`."""
    return kind_of(place) == "file"


def is_elsewhere(place: Place) -> bool:
    """Whether a place is no file or folder of this machine, but a URL, or lies in an archive."""
    return isinstance(place, Remote) or _is_in_archive(place, itself=False)


def may_exist(file: Place) -> bool:
    """Whether a file is there, as far as this machine can tell without asking another.

    Of an archive it tells whether that is there.
    """
    if isinstance(file, Remote):
        return True
    return file.exists() or _is_in_archive(file, itself=False)


def read_file(place: Place, most: int | None = None) -> bytes:
    """Return the bytes of a file, or `most` of them from its start.

    Raises `OSError`, and `UnreadableImageError` for a damaged member of an archive.
    """
    return source_of(place).read(place, most)


def bucket_scheme(file: Place) -> str | None:
    """Return the scheme of a file in a bucket, but in no archive, and None for any other."""
    if not isinstance(file, Remote) or file.scheme in WEB or archive_of(file):
        return None
    return file.scheme


def read_together(files: Sequence[Place], scheme: str) -> Sequence[bytes | OSError]:
    """Return the bytes of files in buckets, or why they cannot be read; all are asked for at once.

    Raises `UnreachableError`.
    """
    from indexer.sources.file_systems import RemoteFiles  # most stores have no URL

    return RemoteFiles(scheme).read_together(files)


def fetch_image(place: Place, held_bytes: int) -> bytes | IO[bytes]:
    """Return the bytes of an image elsewhere, or an open file where there are more than so many.

    Raises `UnreadableImageError`.
    """
    try:
        source = source_of(place)
        data = source.read(place, held_bytes + 1)
        return data if len(data) <= held_bytes else source.open(place)
    except FileNotFoundError as error:
        raise InaccessibleImageError(str(place), "no such file") from error
    except OSError as error:
        raise InaccessibleImageError(str(place), why_not(error)) from error
    except UnreachableError as error:
        raise InaccessibleImageError(str(place), str(error)) from error


def why_not(error: OSError) -> str:
    """Return why a file cannot be read."""
    return f"cannot be read ({error.strerror or str(error) or type(error).__name__})"


def archive_around(place: Place) -> Place | None:
    """Return the archive that a place is or lies in, None for any other; a URL is told by its name.

    An archive has its photos for itself, whatever folder it lies in.
    """
    found = archive_of(place)
    if found is None or (isinstance(place, Path) and not Path(str(found[0])).is_file()):
        return None
    return found[0]


def archive_mark(archive: Place) -> int | None:
    """Return the mark that all members of a tar have as long as it stays, None for a zip.

    Raises `UnreachableError`.
    """
    source = source_of(archive)
    is_tar = isinstance(source, ArchiveFiles) and archive.name.lower().endswith(".tar")
    return source.mark() if is_tar and isinstance(source, ArchiveFiles) else None


def look_at(
    entries: Sequence[Entry], note: Callable[[str, OSError], None]
) -> list[os.stat_result | Stat | None]:
    """Return what tells changed files; of those at URLs several are asked for at a time.

    It is None where it cannot be had, of which `note` is told.
    """

    def look(entry: Entry) -> os.stat_result | Stat | None:
        try:
            return entry.stat()
        except OSError as error:
            note(entry.path, error)
            return None

    if not entries or not is_url(entries[0].path):
        return [look(entry) for entry in entries]
    with ThreadPoolExecutor(ASKED_AT_ONCE, "stat") as threads:
        return list(threads.map(look, entries))


def existing(files: Iterable[Place], top: Place) -> set[Place]:
    """Return those of some files below `top` that are there; raises `UnreachableError`.

    Elsewhere all is listed at once, instead of asking for each.
    """
    wanted = set(files)
    if not (isinstance(top, Remote) or _is_in_archive(top, itself=True)):
        return {file for file in wanted if isinstance(file, Path) and file.exists()}
    kind = kind_of(top)
    if kind != "folder":
        return wanted & {top} if kind == "file" else set()
    listing = source_of(top).list(top)
    found: set[Place] = set()
    folders: list[Place] = [top]
    while folders:
        folder = folders.pop()
        try:
            entries = listing.entries(folder)
        except OSError as error:
            raise UnreachableError(f"{folder} {why_not(error)}.") from error
        folders += [folder / entry.name for entry in entries if entry.is_dir()]
        found |= {folder / entry.name for entry in entries if entry.is_file()}
    return wanted & found


def _is_in_archive(place: Path, *, itself: bool) -> bool:
    """Whether a place of this machine lies in an archive, or perhaps is one `itself`."""
    found = archive_of(place)
    return found is not None and (itself or found[0] != place) and Path(str(found[0])).is_file()
