"""Checking all that a store promises, and mending what can be mended without loss."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from indexer.adapt import adapt_store
from indexer.build import index_photos
from indexer.errors import StoreCorruptError, StoreError, UntrustedStoreError
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.images.page_paths import find_page
from indexer.optimize import update_indexes
from indexer.progress import Progress, no_progress
from indexer.reading import ReadingOptions
from indexer.store.catalog.inspection import CatalogFaults, inspect_catalog
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.folder import open_folder
from indexer.store.layout import CATALOG, VECTORS, is_vector_file, ivf_name, segment_name
from indexer.store.reader import require_inside, resolve_root
from indexer.store.repair import renew_state, set_catalog_aside, take_out
from indexer.store.settings import StoreSettings
from indexer.store.store import Store
from indexer.store.trust import trusts_all
from indexer.store.vectors.inspection import KindFaults, inspect_kind

Gravity = Literal["damage", "leftover", "note"]
LoadExtractor = Callable[[Store], Callable[[], FeatureExtractor]]


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
    if not (path / CATALOG).is_file():
        return found
    catalog = SqlAlchemyCatalog((path / CATALOG).resolve())
    try:
        found.catalog = inspect_catalog(catalog, progress)
        found.has_bad_state = found.catalog.has_bad_state
        found.is_beyond_repair = bool(found.catalog.structure) or not found.has_bad_state
    except StoreError:
        found.has_bad_state = False
    finally:
        catalog.close()
    found.findings += [Finding("damage", f"SQLite: {line}") for line in found.catalog.structure]
    return found


def _note_catalog(found: Diagnosis) -> None:
    faults = found.catalog
    found.images = len(faults.described)
    found.is_beyond_repair = bool(faults.structure)
    for line in faults.structure:
        found.note("damage", f"SQLite: {line}")
    for count, what in (
        (len(faults.images), "images have damaged rows in the catalogue"),
        (len(faults.concepts), "concepts are damaged and have to be taught again"),
        (len(faults.tags), "tags are damaged"),
    ):
        if count:
            found.note("damage", f"{count} {what}.")


def _check_vectors(store: Store, found: Diagnosis, progress: Progress) -> None:
    state, faults = store.reader.state(), found.catalog
    for kind in store.spec.kinds:
        wanted = faults.regions
        if kind.scope == "image":
            wanted = np.column_stack([faults.described, faults.described])
        result = inspect_kind(
            store.vectors,
            state,
            kind.name,
            wanted,
            described=faults.described,
            progress=progress,
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
    state = store.reader.state()
    live = {segment_name(e) for e in state.segments} | {ivf_name(e) for e in state.ivfs}
    with open_folder(store.path / VECTORS) as folder:
        left = [n for n in folder.names() if is_vector_file(n) and n.split(".")[0] not in live]
    if left:
        found.note("leftover", f"{len(left)} vector files belong to no commit.")
    known = store.known_files() if not found.catalog.images else {}
    ids = {row.id for row in known.values()}
    strays = [
        name for _, name, i in store.derived.owned() if i is not None and ids and i not in ids
    ]
    if strays:
        found.note("leftover", f"{len(strays)} thumbnails or keypoints belong to no image.")
    roots = store.roots()
    for root in roots.values():
        if not root.is_dir():
            found.note("note", f"The folder of photos {root} is not there.")
    gone: Counter[Path] = Counter()
    for done, row in enumerate(known.values(), 1):
        root = roots[row.file.root_id]
        if not row.reason and root.is_dir() and not find_page(root / row.file.path)[0].is_file():
            gone[root] += 1
        if done % 1000 == 0:
            progress("Looking for the photos", done, len(known))
    for root, count in gone.items():
        found.note("note", f"{count} photos are gone from {root}; cbir index removes them.")


# --- repair ---------------------------------------------------------------------------------------


@dataclass
class Repair:
    """What was done, in words, and what `examine` says of the store afterwards."""

    done: list[str]
    after: Diagnosis


@dataclass(frozen=True)
class Doctor:
    """Mends stores: `load_extractor` gives what loads the extractor of a store.

    `stop` is asked at times, see `index_photos`.
    """

    load_extractor: LoadExtractor
    progress: Progress = no_progress
    stop: Callable[[], bool] = lambda: False

    def repair(self, path: Path, diagnosis: Diagnosis) -> Repair:
        """Mend what `examine` found; photos are described again where their vectors are damaged.

        An interruption loses nothing: the next run, of this or of `index_photos`, continues. Raises
        what `index_photos` does, `StoreCorruptError` where the store cannot even be made again, and
        `UntrustedStoreError`.
        """
        done: list[str] = []
        if diagnosis.has_bad_state and not diagnosis.is_beyond_repair:
            renew_state(path)
            done.append(
                "The catalogue's small tables were taken as they are; see in cbir info that the "
                "folders in them are the right ones."
            )
            diagnosis = examine(path, self.progress)
        if diagnosis.is_beyond_repair:
            done += self._make_again(path)
        elif not diagnosis.is_clean:
            done += self._mend(path, diagnosis)
        return Repair(done, examine(path, self.progress))

    def _mend(self, path: Path, diagnosis: Diagnosis) -> list[str]:
        store = Store.open(path)
        try:
            if diagnosis.has_lost_whitening:
                _require_photos(store, diagnosis)
            again = take_out(
                store,
                diagnosis.catalog,
                diagnosis.kinds,
                all_again=diagnosis.has_lost_whitening,
                progress=self.progress,
            )
            _delete_strays(store)
            done = ["What is damaged was taken out, and what was left over deleted."]
            if again or diagnosis.catalog.images:
                done += self._describe(store, again)
            if diagnosis.has_lost_whitening:
                adapt_store(store, self.progress)
                done.append("The whitening of the collection was learned again.")
            update_indexes(store, self.progress)
            if diagnosis.catalog.concepts:
                done.append("The damaged concepts are gone: teach them again.")
            return done
        finally:
            store.close()

    def _describe(self, store: Store, again: Sequence[int]) -> list[str]:
        report = index_photos(store, [], self.load_extractor(store), None, self.progress, self.stop)
        done = [f"{report.added + report.updated} images were described from their photos."]
        left = {row.id for row in store.known_files().values()} & {*again}
        if left:
            done.append(
                f"{len(left)} images cannot be described, for their photos are not there or cannot "
                "be read. cbir index does it once they are back."
            )
        return done

    def _make_again(self, path: Path) -> list[str]:
        settings = StoreSettings.read(path)
        if settings is None or not settings.roots:
            raise StoreCorruptError(
                f"The catalogue of the store at {path} cannot be mended, and nothing says which "
                "photos it was made of. Make it again with: cbir index PHOTOS --rebuild --store "
                f"{path}"
            )
        spec = FeatureSpec.from_json(settings.spec)
        roots = [(resolve_root(path, root), options) for root, options in settings.roots]
        if not (settings.is_sealed or trusts_all()):
            require_inside(path, [root for root, _ in roots])
        set_catalog_aside(path)
        store = Store.create(path, dataclasses.replace(spec, adaptation=""))
        try:
            store.index_type = settings.index_type
            store.keep_keypoints(settings.keeps_keypoints)
            for root, options in roots:
                store.add_root(root, ReadingOptions.from_json(options))
            done = ["The catalogue cannot be read: the store was made again from its photos."]
            done += self._describe(store, [])
            if spec.adaptation:
                adapt_store(store, self.progress)
            done.append("Concepts and tags, if there were any, have to be taught again.")
            return done
        finally:
            store.close()


def _require_photos(store: Store, diagnosis: Diagnosis) -> None:
    """Raise `StoreCorruptError` where photos are missing that all have to be described again."""
    missing = [finding.what for finding in diagnosis.findings if finding.gravity == "note"]
    if missing:
        raise StoreCorruptError(
            f"The whitening of the store at {store.path} is lost, so all photos have to be "
            f"described again, and some are not there: {missing[0]} Bring them back first, or "
            "start again with cbir index --rebuild."
        )


def _delete_strays(store: Store) -> None:
    ids = {row.id for row in store.known_files().values()}
    owners = {i for _, _, i in store.derived.owned() if i is not None}
    store.derived.delete(sorted(owners - ids))
