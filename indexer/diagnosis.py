"""Checking all that a store promises."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from indexer.errors import StoreCorruptError, StoreError, UnreachableError, UntrustedStoreError
from indexer.images.page_paths import find_page
from indexer.progress import Progress, no_progress
from indexer.sources.access import existing, is_folder
from indexer.store.catalog.inspection import CatalogFaults, inspect_catalog
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.catalogs import open_database
from indexer.store.records import KnownFile
from indexer.store.store import Store
from indexer.store.vectors.faults import KindFaults, WantedRows

Gravity = Literal["damage", "leftover", "note"]


@dataclass(frozen=True)
class Finding:
    """Something about a store.

    `damage` gives wrong answers or none; a `leftover` only takes room, until the next run of
    `index_photos`; a `note` is nothing to mend, such as photos that are gone.
    """

    gravity: Gravity
    what: str


@dataclass
class Diagnosis:
    """What `examine` found, and how much it checked.

    `is_beyond_repair` says that the catalogue cannot be read, so that the store has to be made
    again; `has_bad_state` that its small tables do not agree with their checksum, and
    `has_lost_whitening` that the one learned from the collection is missing or damaged.
    """

    findings: list[Finding] = field(default_factory=list)
    images: int = 0
    vectors: int = 0
    is_beyond_repair: bool = False
    has_bad_state: bool = False
    has_lost_whitening: bool = False
    catalog: CatalogFaults = field(default_factory=CatalogFaults)
    kinds: list[KindFaults] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return all(finding.gravity != "damage" for finding in self.findings)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is to be mended or deleted: a killed run leaves files behind."""
        return all(finding.gravity == "note" for finding in self.findings)

    def note(self, gravity: Gravity, what: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(gravity, what))


def examine(path: Path, progress: Progress = no_progress) -> Diagnosis:
    """Check the store at `path`: its catalogue, every vector and index file, and its folders.

    Nothing is changed. Raises `StoreNotFoundError`, `StoreVersionError` and `UntrustedStoreError`.
    """
    found = Diagnosis()
    try:
        store = Store.open(path)
    except UntrustedStoreError:
        raise
    except StoreCorruptError as error:
        return _examine_unopened(path, str(error), progress)
    try:
        found.catalog = inspect_catalog(store.catalog, progress)
        _note_catalog(found)
        if not found.is_beyond_repair:
            _check_vectors(store, found, progress)
            _check_files(store, found, progress)
    finally:
        store.close()
    return found


def _examine_unopened(path: Path, reason: str, progress: Progress) -> Diagnosis:
    """Say of a store that cannot be opened whether its catalogue can be mended."""
    found = Diagnosis(is_beyond_repair=True)
    found.note("damage", reason)
    catalog = SqlAlchemyCatalog(open_database(path))
    try:
        if not catalog.database.exists():
            return found
        found.catalog = inspect_catalog(catalog, progress)
        found.has_bad_state = found.catalog.has_bad_state
        found.is_beyond_repair = bool(found.catalog.structure) or not found.has_bad_state
    except StoreError:
        found.has_bad_state = False
    finally:
        catalog.close()
    found.findings += [Finding("damage", line) for line in found.catalog.structure]
    return found


def _note_catalog(found: Diagnosis) -> None:
    faults = found.catalog
    found.images = len(faults.described)
    found.is_beyond_repair = bool(faults.structure)
    for line in faults.structure:
        found.note("damage", line)
    for count, what in (
        (len(faults.images), "images have damaged rows in the catalogue"),
        (len(faults.concepts), "concepts are damaged and have to be taught again"),
        (len(faults.tags), "tags are damaged"),
        (len(faults.fields), "fields are damaged and have to be annotated again"),
        (len(faults.annotations), "annotations are damaged"),
        (len(faults.decisions), "decisions about duplicates are damaged"),
        (len(faults.warnings), "warnings of images are damaged"),
    ):
        if count:
            found.note("damage", f"{count} {what}.")


def _check_vectors(store: Store, found: Diagnosis, progress: Progress) -> None:
    state, faults = store.reader.state(), found.catalog
    for kind in store.spec.kinds:
        wanted = faults.regions
        if kind.scope == "image":
            wanted = np.column_stack([faults.described, faults.described])
        result = store.vectors.inspect(
            state, kind.name, WantedRows(wanted, faults.described), progress
        )
        found.kinds.append(result)
        found.vectors += sum(entry.rows for entry in state.files(kind.name).segments)
        for message in result.files:
            found.note("damage", message)
        if result.ivf is not None:
            found.note("damage", result.ivf)
        if result.broken:
            found.note(
                "damage", f"The {kind.name} vectors of {len(result.broken)} images are damaged."
            )
        if result.missing:
            found.note("damage", f"{len(result.missing)} images have no {kind.name} vectors.")
        if result.unchecked:
            found.note(
                "leftover",
                f"{result.unchecked} {kind.name} segments were written without checksums.",
            )
    try:
        store.adaptation()
    except StoreCorruptError as error:
        found.note("damage", str(error))
        found.has_lost_whitening = True


def _check_files(store: Store, found: Diagnosis, progress: Progress) -> None:
    for line in store.vectors.leftovers(store.reader.state()):
        found.note("leftover", line)
    known = store.known_files() if not found.catalog.images else {}
    ids = {row.id for row in known.values()}
    strays = [
        name for _, name, i in store.derived.owned() if i is not None and ids and i not in ids
    ]
    if strays:
        found.note("leftover", f"{len(strays)} thumbnails or keypoints belong to no image.")
    _check_photos(store, known.values(), found, progress)


def _check_photos(
    store: Store, known: Collection[KnownFile], found: Diagnosis, progress: Progress
) -> None:
    roots = store.roots()
    done = 0
    for root_id, root in roots.items():
        files = [
            find_page(root / row.file.path)[0]
            for row in known
            if row.file.root_id == root_id and not row.reason
        ]
        try:
            if not is_folder(root):
                found.note("note", f"The folder of photos {root} is not there.")
                continue
            there = existing(files, root)
        except UnreachableError as error:
            found.note("note", str(error))
            continue
        gone = sum(file not in there for file in files)
        if gone:
            found.note("note", f"{gone} photos are gone from {root}; cbir index removes them.")
        done += len(files)
        progress("Looking for the photos", done, len(known))
