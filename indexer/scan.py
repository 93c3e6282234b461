"""Scanning: which files are new, changed, unchanged or gone since the last run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexer.errors import NoImagesError
from indexer.images.find import Walk, find_images
from indexer.store.records import FileState, KnownFile
from indexer.store.store import Store

REMEDY = "Is the drive mounted? Nothing was changed; to forget them, use cbir remove."


@dataclass(frozen=True)
class Task:
    """A file to read: `known` is its row in the catalogue, if any."""

    path: Path
    file: FileState
    known: KnownFile | None


@dataclass
class Scan:
    """The outcome of a scan: `tasks` to do, `unchanged` rows, and rows whose file is `missing`.

    `lost` are rows of roots that are not there any more: renamed folders, drives at another place.
    `problems` are (path, reason) of what could not be read, and `skipped` counts files that are no
    images by suffix.
    """

    tasks: list[Task] = field(default_factory=list)
    unchanged: list[KnownFile] = field(default_factory=list)
    missing: list[KnownFile] = field(default_factory=list)
    lost: list[KnownFile] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class ScanOptions:
    """Choices of a scan, see `find_images`; `retry_failed` reads unchanged failures again."""

    exclude: tuple[str, ...] = ()
    sniff: bool = False
    retry_failed: bool = False


def scan_places(store: Store, places: Sequence[Path], options: ScanOptions | None = None) -> Scan:
    """Compare the files at `places` (folders or single images) with the catalogue.

    Only names, sizes and time stamps are read. A file inside a folder that is a root already
    belongs to that root. What cannot be read is a problem, and what the store knows there is kept.
    Raises `NoImagesError` where every place does not exist or is empty of images.
    """
    options = options or ScanOptions()
    known = store.known_files()
    scan = Scan()
    seen: set[tuple[int, str]] = set()
    refused: list[NoImagesError] = []
    places = list(dict.fromkeys(Path(os.path.abspath(p)) for p in places))
    for place in places:
        try:
            _scan_place(store, place, options, scan, known, seen)
        except NoImagesError as error:
            refused.append(error)
            scan.problems.append((str(place), str(error)))
    if refused and len(refused) == len(places):
        raise refused[0]
    gone = {i for i, root in store.roots().items() if not root.exists()}
    scan.lost = [row for row in known.values() if row.file.root_id in gone]
    return scan


def _scan_place(
    store: Store,
    place: Path,
    options: ScanOptions,
    scan: Scan,
    known: dict[tuple[int, str], KnownFile],
    seen: set[tuple[int, str]],
) -> None:
    """Add what is at one place to a scan; `seen` are the files that were there already."""
    roots = store.roots()
    walk = Walk()
    found = _files_at(place, options, store.path, walk)
    folder = place if place.is_dir() else place.parent
    within = {i: root for i, root in roots.items() if folder.is_relative_to(root)}
    nested = {i: r for i, r in roots.items() if r.is_relative_to(folder) and i not in within}
    scope = {*within, *nested}
    scan.problems += walk.problems
    scan.skipped += walk.skipped
    if not found:
        _refuse_empty(place, [k for k in known.values() if k.file.root_id in scope], walk)
    root_id = next(iter(within)) if within else store.add_root(folder)
    scope.add(root_id)
    roots.setdefault(root_id, folder)
    for path, stat in found:
        owner = next((i for i, r in nested.items() if path.is_relative_to(r)), root_id)
        key = (owner, _path_below(roots[owner], path))
        if key not in seen:
            seen.add(key)
            file = FileState(*key, stat.st_size, stat.st_mtime_ns)
            _sort_in(scan, path, file, known.get(key), options.retry_failed)
    if place.is_dir():
        absent = [
            (roots[key[0]] / key[1], row)
            for key, row in known.items()
            if key not in seen and key[0] in scope
        ]
        below = [(path, row) for path, row in absent if path.is_relative_to(place)]
        scan.missing += _really_missing(below, walk, scan)
        seen.update((row.file.root_id, row.file.path) for _, row in below)


def _really_missing(
    absent: list[tuple[Path, KnownFile]], walk: Walk, scan: Scan
) -> list[KnownFile]:
    """Return the rows whose files are gone, and not just unreachable.

    Below a folder that cannot be read, or that is suddenly empty as a mount point is, they may
    still be there.
    """
    unread = {path for path, _ in walk.problems}
    empty = dict.fromkeys(walk.empty, 0)
    missing = []
    for path, row in absent:
        above = [str(path), *(str(parent) for parent in path.parents)]
        if unread.intersection(above):
            continue
        mounts = [folder for folder in above if folder in empty]
        if mounts:
            empty[mounts[0]] += 1
        else:
            missing.append(row)
    scan.problems += [
        (folder, f"is empty now, but the store knows {count} images below it; {REMEDY}")
        for folder, count in empty.items()
        if count
    ]
    return missing


def _path_below(root: Path, path: Path) -> str:
    """Return what `path.relative_to(root).as_posix()` does, in a tenth of its time."""
    return str(path)[len(str(root).rstrip(os.sep)) + 1 :].replace(os.sep, "/")


def _files_at(
    place: Path, options: ScanOptions, store: Path, walk: Walk
) -> list[tuple[Path, os.stat_result]]:
    if place.is_dir():
        found = []
        for entry in find_images(
            place, exclude=options.exclude, skip=store, sniff=options.sniff, walk=walk
        ):
            try:
                found.append((Path(entry.path), entry.stat()))
            except OSError as error:
                walk.note(entry.path, error)
        return found
    if place.is_file():
        return [(place, place.stat())]
    raise NoImagesError(f"There is no file or folder {place}.")


def _refuse_empty(place: Path, known: list[KnownFile], walk: Walk) -> None:
    for path, reason in walk.problems:
        if path == str(place):
            raise NoImagesError(f"The folder {place} {reason}.")
    if known:
        raise NoImagesError(
            f"{place} holds no images now, but the store knows {len(known)} there. {REMEDY}"
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
