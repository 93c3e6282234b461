"""Finding the image files of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
HEIF_SUFFIXES = (".avif", ".heic", ".heif", ".hif")
OTHER_SUFFIXES = (".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif")
SUFFIXES = (*JPEG_SUFFIXES, *HEIF_SUFFIXES, *OTHER_SUFFIXES)

# Thumbnails and deleted files of NAS systems, Windows and macOS.
_SKIPPED_FOLDERS = frozenset({"@eaDir", "#recycle", "__MACOSX", "$RECYCLE.BIN"})


def find_images(
    folder: Path, *, exclude: tuple[str, ...] = (), skip: Path | None = None
) -> Iterator[os.DirEntry[str]]:
    """Yield the image files under `folder`, recursively, in a fixed order.

    Hidden files and folders, `._*` resource forks and thumbnail folders are skipped, and so are
    files whose path under `folder` matches a glob of `exclude`, and the folder `skip`. Links to
    files are followed; links to folders are not, so no loop is possible.
    """
    pending = [folder]
    while pending:
        current = pending.pop()
        folders: list[Path] = []
        with os.scandir(current) as entries:
            for entry in sorted(entries, key=lambda e: os.fsencode(e.name)):
                if entry.name.startswith("."):
                    continue
                if exclude and _is_excluded(Path(entry.path).relative_to(folder), exclude):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    path = Path(entry.path)
                    if entry.name not in _SKIPPED_FOLDERS and path != skip:
                        folders.append(path)
                elif entry.name.lower().endswith(SUFFIXES) and entry.is_file():
                    yield entry
        pending.extend(reversed(folders))


def _is_excluded(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path.as_posix(), p) or fnmatch(path.name, p) for p in patterns)
