"""Finding the image files of a folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from indexer.errors import ImageError, NoImagesError, UnreachableError
from indexer.images.ignore import IGNORE_FILE, IgnoreRules
from indexer.images.other_files import name_entry
from indexer.sources.access import read_file, source_of
from indexer.sources.place import Place, is_below, path_below, to_place
from indexer.sources.source import Entry, Listing

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".jpg_large", ".jpeg_large")
HEIF_SUFFIXES = (".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif")
JPEG_2000_SUFFIXES = (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx")
NETPBM_SUFFIXES = (".pbm", ".pgm", ".ppm", ".pnm")
RAW_SUFFIXES = (".dng", ".nef", ".nrw", ".cr2", ".arw", ".pef")  # by their previews
OTHER_SUFFIXES = (".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".tga", ".mpo")
SUFFIXES = (
    *JPEG_SUFFIXES,
    *HEIF_SUFFIXES,
    *JPEG_2000_SUFFIXES,
    *NETPBM_SUFFIXES,
    *RAW_SUFFIXES,
    *OTHER_SUFFIXES,
)

# How the files of these formats begin.
STARTS = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM"),
    *(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
)
NETPBM = re.compile(rb"P[1-6]\s+[\d#]")
BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
CONTAINERS = {(b"ftyp", brand) for brand in BRANDS}

REMEDY = "Is the drive mounted? Nothing was changed; to forget them, use cbir remove."

# Thumbnails, deleted files and snapshots of NAS systems, Windows and macOS.
_SKIPPED_FOLDERS = frozenset(
    {
        *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "__MACOSX"),
        *("$RECYCLE.BIN", "RECYCLER", "System Volume Information"),
    }
)


@dataclass
class Walk:
    """What a walk meets beside images.

    `skipped` counts files that are no images by their suffix, "" for none, and what is no file by
    its kind. `problems` are (path, reason) of what could not be read; `empty` are folders with
    nothing in them at all, `broken` links to nothing. `others` counts images that are left to other
    shards.
    """

    skipped: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)
    empty: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    others: int = 0

    def note(self, path: str, error: Exception) -> None:
        """Add a problem."""
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        self.problems.append((path, f"cannot be read ({reason})"))

    def pass_over(self, entry: Entry) -> None:
        """Count what is neither a file nor a folder."""
        kind = name_entry(entry)
        self.skipped[kind] += 1
        if kind == "broken link":
            self.broken.add(entry.path)

    def refuse_empty(self, place: Place, known: int) -> None:
        """Raise `NoImagesError` for a place without images, where a store knows so many."""
        for path, reason in self.problems:
            if path == str(place):
                raise NoImagesError(f"The folder {place} {reason}.")
        if known:
            raise NoImagesError(
                f"{place} holds no images now, but the store knows {known} there. {REMEDY}"
            )
        raise NoImagesError(f"There are no images in {place}.")


@dataclass(frozen=True)
class Excluded:
    """What a walk leaves out: `globs` of names, or of paths below a folder, by that folder.

    A glob that begins with a slash is one of paths only.
    """

    globs: Mapping[Place, tuple[str, ...]] = field(default_factory=dict)

    def __contains__(self, path: Place) -> bool:
        """Whether a file or folder is left out."""
        return any(
            _matches(path_below(folder, path), glob)
            for folder, globs in self.globs.items()
            if globs and is_below(path, folder) and path != folder
            for glob in globs
        )


def _matches(path: str, glob: str) -> bool:
    if glob.startswith("/"):
        return fnmatch(f"/{path}", glob)
    return fnmatch(path, glob) or fnmatch(path.rsplit("/", 1)[-1], glob)


def find_images(
    folder: Place,
    *,
    top: Place | None = None,
    excluded: Excluded | None = None,
    skip: Path | None = None,
    sniff: bool = False,
    walk: Walk | None = None,
) -> Iterator[Entry]:
    """Yield the image files under `folder`, recursively, in a fixed order.

    It may be a folder of this machine, an archive, or either of them at a URL. Hidden files and
    folders, `._*` resource forks and thumbnail folders are skipped, and so is what is `excluded`,
    what the `.cbirignore` of a folder from `top` downwards says, and the folder `skip`. Links to
    files are followed; links to folders are not, so no loop is possible. With `sniff`, files of
    other suffixes are images where they begin like one. What cannot be read never ends the walk;
    `walk` tells. Raises `UnreachableError` where the folder lies elsewhere and cannot be listed.
    """
    walk = Walk() if walk is None else walk
    listing = _list(folder, walk)
    excluded = excluded or Excluded()
    above = _folders_between(top or folder, folder)
    pending = [(folder, [rules for path in above for rules in _ignored_in(path, walk)])]
    while pending:
        current, ignored = pending.pop()
        found = _entries_of(listing, current, walk)
        if any(entry.name == IGNORE_FILE for entry in found):
            ignored = [*ignored, *_ignored_in(current, walk)]
        folders: list[Place] = []
        for entry in found:
            if entry.name.startswith("."):
                continue
            try:
                is_folder = entry.is_dir(follow_symlinks=False)
                path = to_place(entry.path)
                if path in excluded or any(i.matches(path, is_folder) for i in ignored):
                    continue
                if is_folder:
                    if entry.name not in _SKIPPED_FOLDERS and path != skip:
                        folders.append(path)
                elif entry.is_file():
                    if _is_image(entry, sniff):
                        yield entry
                    else:
                        walk.skipped[path.suffix.lower()] += 1
                else:
                    walk.pass_over(entry)
            except (OSError, ImageError) as error:
                walk.note(entry.path, error)
        pending.extend((path, ignored) for path in reversed(folders))


def walk_order(path: str) -> tuple[tuple[bool, bytes], ...]:
    """Return what sorts files, as paths with slashes, in the order of `find_images`.

    The files of a folder come before those of its subfolders.
    """
    *folders, name = path.split("/")
    return (*((True, os.fsencode(folder)) for folder in folders), (False, os.fsencode(name)))


def _list(folder: Place, walk: Walk) -> Listing:
    try:
        listing = source_of(folder).list(folder)
    except OSError as error:
        what = error.strerror or str(error) or type(error).__name__
        raise UnreachableError(
            f"{folder} cannot be listed ({what}); nothing was changed."
        ) from error
    walk.problems += listing.problems
    return listing


def _folders_between(top: Place, folder: Place) -> list[Place]:
    """Return the folders from `top` to the one above `folder`."""
    inside = [path for path in folder.parents if is_below(path, top)]
    return inside[::-1]


def _ignored_in(folder: Place, walk: Walk) -> list[IgnoreRules]:
    """Return the rules of a folder's ignore file; none where there is none, or it is not valid."""
    try:
        return [IgnoreRules.read(folder)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, ImageError) as error:
        walk.note(str(folder / IGNORE_FILE), error)
        return []


def _entries_of(listing: Listing, folder: Place, walk: Walk) -> list[Entry]:
    try:
        found = sorted(listing.entries(folder), key=lambda e: os.fsencode(e.name))
    except OSError as error:
        walk.note(str(folder), error)
        return []
    if not found:
        walk.empty.add(str(folder))
    return found


def _is_image(entry: Entry, sniff: bool) -> bool:
    if entry.name.lower().endswith(SUFFIXES):
        return True
    if not sniff:
        return False
    start = read_file(to_place(entry.path), 16)
    is_webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    is_netpbm = NETPBM.match(start) is not None
    return (
        is_webp or is_netpbm or start.startswith(STARTS) or (start[4:8], start[8:12]) in CONTAINERS
    )
