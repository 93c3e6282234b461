"""Scanning: which files are new, changed, unchanged or gone since the last run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexer.errors import NoImagesError
from indexer.images.find import find_images
from indexer.store.records import FileState, KnownFile
from indexer.store.store import Store


@dataclass(frozen=True)
class Task:
    """A file to read: `known` is its row in the catalogue, if any."""

    path: Path
    file: FileState
    known: KnownFile | None


@dataclass
class Scan:
    """The outcome of a scan: `tasks` to do, `unchanged` rows, and rows whose file is `missing`."""

    tasks: list[Task] = field(default_factory=list)
    unchanged: list[KnownFile] = field(default_factory=list)
    missing: list[KnownFile] = field(default_factory=list)


def scan_places(
    store: Store,
    places: Sequence[Path],
    *,
    exclude: tuple[str, ...] = (),
    retry_failed: bool = False,
) -> Scan:
    """Compare the files at `places` (folders or single images) with the catalogue.

    Only names, sizes and time stamps are read. A file inside a folder that is a root already
    belongs to that root. Raises `NoImagesError` where a place does not exist or is empty of images.
    """
    known = store.known_files()
    scan = Scan()
    seen: set[tuple[int, str]] = set()
    roots = store.roots()
    for place in dict.fromkeys(Path(os.path.abspath(p)) for p in places):
        found = _files_at(place, exclude, store.path)
        folder = place if place.is_dir() else place.parent
        within = {i: root for i, root in roots.items() if folder.is_relative_to(root)}
        nested = {i: r for i, r in roots.items() if r.is_relative_to(folder) and i not in within}
        scope = {*within, *nested}
        if not found:
            _refuse_empty(place, [k for k in known.values() if k.file.root_id in scope])
        root_id = next(iter(within)) if within else store.add_root(folder)
        scope.add(root_id)
        roots.setdefault(root_id, folder)
        for path, stat in found:
            owner = next((i for i, r in nested.items() if path.is_relative_to(r)), root_id)
            key = (owner, _path_below(roots[owner], path))
            if key not in seen:
                seen.add(key)
                file = FileState(*key, stat.st_size, stat.st_mtime_ns)
                _sort_in(scan, path, file, known.get(key), retry_failed)
        if place.is_dir():
            for key, row in known.items():
                if key in seen or key[0] not in scope:
                    continue
                if (roots[key[0]] / key[1]).is_relative_to(place):
                    seen.add(key)
                    scan.missing.append(row)
    return scan


def _path_below(root: Path, path: Path) -> str:
    """Return what `path.relative_to(root).as_posix()` does, in a tenth of its time."""
    return str(path)[len(str(root).rstrip(os.sep)) + 1 :].replace(os.sep, "/")


def _files_at(
    place: Path, exclude: tuple[str, ...], store: Path
) -> list[tuple[Path, os.stat_result]]:
    if place.is_dir():
        found = []
        try:
            for entry in find_images(place, exclude=exclude, skip=store):
                found.append((Path(entry.path), entry.stat()))
        except PermissionError as error:
            raise NoImagesError(
                f"The folder {error.filename} cannot be read (permission denied)."
            ) from error
        return found
    if place.is_file():
        return [(place, place.stat())]
    raise NoImagesError(f"There is no file or folder {place}.")


def _refuse_empty(place: Path, known: list[KnownFile]) -> None:
    if known:
        raise NoImagesError(
            f"{place} holds no images now, but the store knows {len(known)} there. Is the drive "
            "mounted? Nothing was changed; to forget them, use cbir remove."
        )
    raise NoImagesError(f"There are no images in {place}.")


def _sort_in(
    scan: Scan, path: Path, file: FileState, known: KnownFile | None, retry_failed: bool
) -> None:
    same = known is not None and (
        (known.file.size_bytes, known.file.mtime_ns) == (file.size_bytes, file.mtime_ns)
    )
    if known is not None and same and not (retry_failed and known.reason):
        scan.unchanged.append(known)
    else:
        scan.tasks.append(Task(path, file, known))
