"""Scanning: which files are new, changed, unchanged or gone since the last run."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from indexer.errors import NoImagesError, StoreError, UnreachableError
from indexer.images.find import REMEDY, Excluded, Walk, find_images
from indexer.images.page_paths import page_of
from indexer.reading import ReadingOptions
from indexer.shard import Shard
from indexer.sources.access import (
    archive_around,
    archive_mark,
    existing,
    is_file,
    is_folder,
    look_at,
    may_exist,
    source_of,
)
from indexer.sources.place import Place, absolute, is_below, path_below, to_place
from indexer.sources.source import Entry, Stat
from indexer.store.filters import known_among
from indexer.store.records import FileState, KnownFile
from indexer.store.store import Store
from indexer.tasks import Scan, ScanOptions, Task

Found = os.stat_result | Stat


def scan_places(store: Store, places: Sequence[Place], options: ScanOptions | None = None) -> Scan:
    """Compare the files at `places` (folders, archives or single images) with the catalogue.

    Without places, all that the store knows is brought up to date. Only names, sizes, dates and
    inodes are read. A file inside a folder that is a root already belongs to that root. What cannot
    be read is a problem, and what the store knows there is kept. Raises `NoImagesError` where every
    place does not exist or is empty of images, and where there is none, and `StoreError` where
    another shard is asked for than the store holds.
    """
    given = list(dict.fromkeys(map(absolute, places)))
    scanner = _Scanner(store, options or ScanOptions(), given)
    if not (places or scanner.remembered):
        raise NoImagesError("The store knows no folder yet. Name one: cbir index PHOTOS.")
    refused: list[NoImagesError] = []
    asked = given or scanner.all_places(refused)
    for place in asked:
        try:
            scanner.scan(place)
        except NoImagesError as error:
            refused.append(error)
            scanner.found.problems.append((str(place), str(error)))
    if refused and len(refused) == len(asked) and places:
        raise refused[0]
    return scanner.finish()


class _Scanner:
    """A scan in progress."""

    def __init__(self, store: Store, options: ScanOptions, places: Sequence[Place]) -> None:
        self.store = store
        self.options = options
        self.found = Scan()
        self.remembered = store.root_options()
        self.shard = self._require_shard(options.given.get("shard"))
        self.known: dict[tuple[int, str], list[KnownFile]] = {}
        for (root_id, path), row in known_among(store, places).items():
            self.known.setdefault((root_id, page_of(path)[0]), []).append(row)
        self._seen: set[tuple[int, str]] = set()

    def _require_shard(self, asked: Shard | None) -> Shard | None:
        """Return the shard that the store holds, or is to hold where it is new."""
        held = self.store.shard
        if asked is None or not self.remembered or asked == held:
            return asked or held
        holds = f"shard {held}" if held else "all files"
        raise StoreError(
            f"The store at {self.store.path} holds {holds} of its folders, and shard {asked} was "
            "asked for. Give each shard a store of its own with --store."
        )

    def all_places(self, refused: list[NoImagesError]) -> list[Place]:
        """Return what a run without places looks at; what cannot be reached is `refused`."""
        places: list[Place] = []
        for root_id, root in self.store.roots().items():
            files = [root / path for owner, path in self.known if owner == root_id]
            try:
                if self._options_of(root_id).known_only and is_folder(root):
                    places += self._given_by_name(files, root_id, root)
                elif files or is_folder(root):
                    places.append(root)
            except UnreachableError as error:
                refused.append(error)
                self.found.problems.append((str(root), str(error)))
        return places

    def _given_by_name(self, files: Sequence[Place], root_id: int, root: Place) -> list[Place]:
        """Return those of some files that are there; the others are gone."""
        there = existing(files, root)
        for file in files:
            if file not in there:
                key = (root_id, path_below(root, file))
                self._seen.add(key)
                self.found.missing += self.known[key]
        return [file for file in files if file in there and is_file(file)]

    def _options_of(self, root_id: int) -> ReadingOptions:
        return self.remembered.get(root_id, ReadingOptions())

    def scan(self, place: Place) -> None:
        """Add what is at one place."""
        roots = self.store.roots()
        has_files = is_folder(place)
        folder = place if has_files else place.parent
        archive = archive_around(folder)
        alike = {i: root for i, root in roots.items() if archive_around(root) == archive}
        within = {i: root for i, root in alike.items() if is_below(folder, root)}
        nested = {i: r for i, r in alike.items() if is_below(r, folder) and i not in within}
        root_id = next(iter(within), None)
        before = ReadingOptions() if root_id is None else self._options_of(root_id)
        options = dataclasses.replace(before, **{**self.options.given, "shard": self.shard})
        top = folder if root_id is None else roots[root_id]
        is_root = root_id is not None and place == top == archive and options == before
        if root_id is not None and is_root and self._is_known_whole(root_id, place):
            self._keep(root_id)
            return
        walk = Walk()
        excluded = self._excluded(top, options, nested)
        homes = [*nested.values(), top]
        found = self._files_at(place, homes, options, excluded, walk)
        self.found.problems += walk.problems
        self.found.skipped += walk.skipped
        scope = {*within, *nested}
        if not (found or walk.others):
            paths = [roots[key[0]] / key[1] for key in self.known if key[0] in scope]
            walk.refuse_empty(place, sum(is_below(path, place) for path in paths))
        if root_id is None:
            options = dataclasses.replace(options, known_only=not has_files)
            root_id = self.store.add_root(folder, options)
            roots[root_id], before = folder, options
        elif place == top:
            options = dataclasses.replace(options, known_only=False)
        if place == top:
            options = dataclasses.replace(options, members=len(found) if archive else None)
            self.found.options[root_id] = options
            self.found.other_files[root_id] = walk.skipped
        for path, stat in found:
            owner = next((i for i, r in nested.items() if is_below(path, r)), root_id)
            self._sort_in(owner, roots[owner], path, stat, before, options)
        if has_files:
            self._note_missing(place, {*scope, root_id}, roots, walk)

    def _is_known_whole(self, root_id: int, archive: Place) -> bool:
        """Whether an archive is known as it is, so that its members need not be listed."""
        mark = archive_mark(archive)
        own = [rows for (owner, _), rows in self.known.items() if owner == root_id]
        return (
            mark is not None
            and not (self.options.check or self.options.retry_failed)
            and len(own) == self._options_of(root_id).members
            and all(row.file.inode == mark for rows in own for row in rows)
        )

    def _keep(self, root_id: int) -> None:
        """Take over what is known of a root."""
        for key, rows in self.known.items():
            if key[0] == root_id and key not in self._seen:
                self._seen.add(key)
                self.found.unchanged += rows
        self.found.skipped += Counter(self.store.other_files(root_id))

    def _excluded(
        self, top: Place, options: ReadingOptions, nested: Mapping[int, Place]
    ) -> Excluded:
        """Return what is left out of a root and of those inside it."""
        globs = {root: self._options_of(root_id).exclude for root_id, root in nested.items()}
        return Excluded({top: options.exclude} | globs)

    def _files_at(
        self,
        place: Place,
        homes: Sequence[Place],
        options: ReadingOptions,
        excluded: Excluded,
        walk: Walk,
    ) -> list[tuple[Place, Found]]:
        """Return the images at a place, which belong to the first of the `homes` they are in."""
        if is_file(place):
            walk.others += not self._is_in_shard(place, homes)
            return [] if walk.others else [(place, source_of(place).stat(place))]
        if not is_folder(place):
            raise _not_there(place)
        top, skip = homes[-1], self.store.path
        found: list[tuple[Place, Entry]] = []
        for entry in find_images(
            place, top=top, excluded=excluded, skip=skip, sniff=options.sniff, walk=walk
        ):
            path = to_place(entry.path)
            if self._is_in_shard(path, homes):
                found.append((path, entry))
            else:
                walk.others += 1
        looked_at = look_at([entry for _, entry in found], walk.note)
        return [(path, stat) for (path, _), stat in zip(found, looked_at, strict=True) if stat]

    def _is_in_shard(self, path: Place, homes: Sequence[Place]) -> bool:
        if self.shard is None:
            return True
        return path_below(next(h for h in homes if is_below(path, h)), path) in self.shard

    def _sort_in(
        self,
        root_id: int,
        root: Place,
        path: Place,
        stat: Found,
        before: ReadingOptions,
        options: ReadingOptions,
    ) -> None:
        key = (root_id, path_below(root, path))
        if key in self._seen:
            return
        self._seen.add(key)
        file = FileState.of(*key, stat)
        rows = self.known.get(key, [])
        again = options.pages != before.pages and any(row.may_have_pages for row in rows)
        retried = (self.options.retry_failed or options.damaged != before.damaged) and any(
            row.reason for row in rows
        )
        same = bool(rows) and all(row.file.is_like(file) for row in rows)
        if not same or again or retried or self.options.check:
            self.found.tasks.append(Task(path, file, tuple(rows), options, again))
            return
        self.found.unchanged += rows
        self.found.stamped += [
            (row.id, dataclasses.replace(file, path=row.file.path))
            for row in rows
            if row.file.ctime_ns is None
        ]

    def _note_missing(
        self, place: Place, scope: set[int], roots: Mapping[int, Place], walk: Walk
    ) -> None:
        absent = [
            (roots[key[0]] / key[1], key)
            for key in self.known
            if key not in self._seen and key[0] in scope
        ]
        below = [(path, key) for path, key in absent if is_below(path, place)]
        unread = {path for path, _ in walk.problems}
        for path, key in below:
            above = [str(path), *(str(parent) for parent in path.parents)]
            empty = next((folder for folder in above if folder in walk.empty), None)
            if str(path) in walk.broken:
                self.found.problems.append((str(path), f"is a link to nothing. {REMEDY}"))
            elif empty is not None:
                self.found.guarded += [(empty, row) for row in self.known[key]]
            elif not unread.intersection(above):  # else it may still be there
                self.found.missing += self.known[key]
        self._seen.update(key for _, key in below)

    def finish(self) -> Scan:
        """Return the scan, with the rows of roots that are not there any more."""
        roots = self.store.roots().items()
        gone = {i for i, root in roots if not may_exist(root)}
        self.found.lost = [
            row for key, rows in self.known.items() if key[0] in gone for row in rows
        ]
        return self.found


def _not_there(place: Place) -> NoImagesError:
    if isinstance(place, Path):
        return NoImagesError(f"There is no file or folder {place}.")
    return NoImagesError(
        f"There is nothing at {place}, or nothing that may be listed. Check the URL and the "
        "credentials; nothing was changed."
    )
