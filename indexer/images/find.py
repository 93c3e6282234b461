"""Finding the image files of a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".jpg_large")
HEIF_SUFFIXES = (".avif", ".heic", ".heif", ".hif")
JPEG_2000_SUFFIXES = (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx")
NETPBM_SUFFIXES = (".pbm", ".pgm", ".ppm", ".pnm")
RAW_SUFFIXES = (".dng", ".nef", ".nrw", ".cr2", ".arw", ".pef")  # by their previews
OTHER_SUFFIXES = (".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".tga", ".mpo")
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
CONTAINERS = {(b"ftyp", brand) for brand in (b"avif", b"heic", b"heix", b"mif1", b"msf1")}

# Thumbnails and deleted files of NAS systems, Windows and macOS.
_SKIPPED_FOLDERS = frozenset({"@eaDir", "#recycle", "__MACOSX", "$RECYCLE.BIN"})


@dataclass
class Walk:
    """What a walk meets beside images.

    `skipped` counts files that are no images by their suffix, "" for none. `problems` are (path,
    reason) of what could not be read; `empty` are folders with nothing in them at all.
    """

    skipped: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def note(self, path: str, error: OSError) -> None:
        """Add a problem."""
        self.problems.append((path, f"cannot be read ({error.strerror or type(error).__name__})"))


def find_images(
    folder: Path,
    *,
    exclude: tuple[str, ...] = (),
    skip: Path | None = None,
    sniff: bool = False,
    walk: Walk | None = None,
) -> Iterator[os.DirEntry[str]]:
    """Yield the image files under `folder`, recursively, in a fixed order.

    Hidden files and folders, `._*` resource forks and thumbnail folders are skipped, and so are
    files whose path under `folder` matches a glob of `exclude`, and the folder `skip`. Links to
    files are followed; links to folders are not, so no loop is possible. With `sniff`, files of
    other suffixes are images where they begin like one. What cannot be read never ends the walk;
    `walk` tells.
    """
    walk = Walk() if walk is None else walk
    pending = [folder]
    while pending:
        current = pending.pop()
        try:
            with os.scandir(current) as entries:
                found = sorted(entries, key=lambda e: os.fsencode(e.name))
        except OSError as error:
            walk.note(str(current), error)
            continue
        if not found:
            walk.empty.append(str(current))
        folders: list[Path] = []
        for entry in found:
            if entry.name.startswith(".") or (
                exclude and _is_excluded(Path(entry.path).relative_to(folder), exclude)
            ):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    path = Path(entry.path)
                    if entry.name not in _SKIPPED_FOLDERS and path != skip:
                        folders.append(path)
                elif entry.is_file():
                    if _is_image(entry, sniff):
                        yield entry
                    else:
                        walk.skipped[Path(entry.name).suffix.lower()] += 1
            except OSError as error:
                walk.note(entry.path, error)
        pending.extend(reversed(folders))


def _is_image(entry: os.DirEntry[str], sniff: bool) -> bool:
    if entry.name.lower().endswith(SUFFIXES):
        return True
    if not sniff:
        return False
    with Path(entry.path).open("rb", buffering=0) as file:
        start = file.read(16)
    is_webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    return is_webp or start.startswith(STARTS) or (start[4:8], start[8:12]) in CONTAINERS


def _is_excluded(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path.as_posix(), p) or fnmatch(path.name, p) for p in patterns)
