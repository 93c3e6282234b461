"""Store: a folder with the catalogue and the vectors it names; one commit point."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from indexer.errors import SpecMismatchError, StoreError, StoreLockedError
from indexer.features.extractor import ImageFeatures
from indexer.features.spec import FeatureSpec
from indexer.features.windows import to_pixels
from indexer.images import ImageFacts
from indexer.steps import Done, unwatched
from indexer.store.catalog import (
    Catalog,
    ImageRow,
    RegionRow,
    RemovedRow,
    RootRow,
    SpecRow,
)
from indexer.store.connection import unwritable
from indexer.store.files import VectorFiles
from indexer.store.layout import (
    adaptation_files,
    delete_store_files,
    derived_files,
    require_own_folders,
)
from indexer.store.lookup import CatalogLookup
from indexer.store.reading import REGION_KINDS, StoreReader, read_spec
from indexer.store.records import Entry, FileState, KnownFile
from indexer.store.segments import FloatArray, HalfArray

IMAGE_KINDS = ("conv", "fc")
ROWS_A_STATEMENT = 100


class _Described(NamedTuple):
    """An image that is about to become live."""

    id: int
    facts: ImageFacts
    features: ImageFeatures


class Store(StoreReader):
    """An open store. Reading needs no lock; writing happens inside `writing()`."""

    files: VectorFiles

    def __init__(self, path: Path, lookup: CatalogLookup, spec: FeatureSpec) -> None:
        super().__init__(path, lookup, spec)
        self.files = VectorFiles(path / "vectors", lookup, self.catalog)

    @classmethod
    def create(cls, path: Path, spec: FeatureSpec) -> Store:
        """Create an empty store at `path`; raises `StoreError` where there is one already."""
        if (path / "catalog.sqlite").exists():
            raise StoreError(f"There is a store at {path} already.")
        try:
            (path / "vectors").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"No store can be made at {path}: {error.strerror}.") from error
        file = (path / "catalog.sqlite").resolve()
        catalog = Catalog(file)
        catalog.prepare()
        with catalog.session() as session:
            session.add(SpecRow(id=1, json=spec.to_json(), fingerprint=spec.fingerprint))
            session.commit()
        catalog.close()
        return cls(path.resolve(), CatalogLookup(file), spec)

    def is_empty(self) -> bool:
        """Whether no image, good or failed, is in the store."""
        with self.catalog.session() as session:
            return session.scalar(select(ImageRow.id).limit(1)) is None

    def known_files(self) -> dict[tuple[int, str], KnownFile]:
        """Return every image row, good or failed, by (root id, path)."""
        columns = (
            ImageRow.id,
            ImageRow.root_id,
            ImageRow.path,
            ImageRow.size_bytes,
            ImageRow.mtime_ns,
            ImageRow.content_hash,
            ImageRow.reason,
        )
        with self.catalog.session() as session:
            return {
                (row.root_id, row.path): KnownFile(row.id, FileState(*row[1:6]), row.reason)
                for row in session.execute(select(*columns))
            }

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the one writer's lock.

        First what a killed run left is cleared away, at the end the vectors that were given up.

        Raises `StoreLockedError`, and `SpecMismatchError` where another process has whitened the
        store since it was opened.
        """
        with _locked(self.path):
            require_own_folders(self.path)
            if read_spec(self.lookup, self.path) != self.spec:
                raise SpecMismatchError(
                    f"The store at {self.path} was whitened by another process since this one "
                    "opened it. Nothing was written; run the same command again."
                )
            self.files.clear_leftovers()
            for file in adaptation_files(self.path):
                if file != self.adaptation_file:
                    file.unlink()
            yield
            self.files.clear_leftovers()

    @staticmethod
    def delete(path: Path) -> None:
        """Delete the store at `path`, damaged or not, and nothing else that is in its folder.

        Raises `StoreLockedError` while another process is writing to it.
        """
        with _locked(path):
            delete_store_files(path)
        (path / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # other files are in the folder: they stay
            path.rmdir()

    def add_root(self, folder: Path) -> int:
        """Return the id of the root `folder`, made where it is new."""
        for root_id, path in self.roots().items():
            if path == folder:
                return root_id
        beside = folder.is_relative_to(self.path.parent)
        path = folder.relative_to(self.path.parent) if beside else folder
        with self.catalog.session() as session:
            row = RootRow(path=path.as_posix())
            session.add(row)
            session.commit()
            return row.id

    def commit(self, entries: Sequence[Entry]) -> None:
        """Make these images live, all or none: vectors first, then one catalogue transaction."""
        if not entries:
            return
        replaced = [e.replaces for e in entries if e.replaces is not None]
        with self.catalog.session() as session:
            self._forget(session, replaced)
            first = _last_id(session, "images") + 1
            rows = [_to_row(first + i, entry) for i, entry in enumerate(entries)]
            session.connection().execute(insert(ImageRow), rows)
            good = [
                _Described(first + i, entry.facts, entry.features)
                for i, entry in enumerate(entries)
                if entry.features and entry.facts
            ]
            if good:
                ids = np.array([image.id for image in good], np.int64)
                for kind in IMAGE_KINDS:
                    vectors = _halved([getattr(image.features, kind)[None] for image in good])
                    self.files.add(session, kind, ids, ids, vectors)
                if self.spec.regions != "none":
                    self._add_regions(session, good)
                self.files.sync()
            session.commit()
        self._drop_derived(replaced)

    def _add_regions(self, session: Session, good: Sequence[_Described]) -> None:
        first = _last_id(session, "regions") + 1
        counts = [len(image.features.boxes) for image in good]
        each = np.array([(image.id, image.facts.width, image.facts.height) for image in good])
        owners, widths, heights = np.repeat(each, counts, axis=0).T
        boxes = to_pixels(np.vstack([image.features.boxes for image in good]), widths, heights)
        ids = np.arange(first, first + len(boxes), dtype=np.int64)
        _insert_regions(session, np.column_stack([ids, owners, boxes]))
        for kind in REGION_KINDS:
            if kind in self.spec.kinds:
                vectors = _halved([getattr(image.features, kind) for image in good])
                self.files.add(session, kind, ids, owners, vectors)

    def move(self, image_id: int, file: FileState) -> None:
        """Note that an image's file has a new place or time stamp; its vectors stay."""
        with self.catalog.session() as session:
            session.execute(
                update(ImageRow)
                .where(ImageRow.id == image_id)
                .values(
                    root_id=file.root_id,
                    path=file.path,
                    size_bytes=file.size_bytes,
                    mtime_ns=file.mtime_ns,
                )
            )
            session.commit()

    def remove(self, ids: Sequence[int]) -> None:
        """Take images out of the store, at once; their ids are never used again."""
        with self.catalog.session() as session:
            self._forget(session, ids)
            session.commit()
        self._drop_derived(ids)

    def replace_vectors(
        self,
        kind: str,
        change: Callable[[FloatArray], FloatArray],
        spec: FeatureSpec,
        done: Done = unwatched,
    ) -> None:
        """Write every vector of one kind anew, as `change` makes it, under a new spec.

        All of it becomes live in one transaction; the old files go when the writing ends.
        """
        with self.catalog.session() as session:
            self.files.replace(session, kind, change, done)
            session.execute(
                update(SpecRow).values(json=spec.to_json(), fingerprint=spec.fingerprint)
            )
            session.commit()
        self.spec = spec

    def forget_removed(self) -> None:
        """Forget which images are gone, once none of their vectors is left in a segment."""
        with self.catalog.session() as session:
            session.execute(delete(RemovedRow))
            session.commit()

    def _forget(self, session: Session, ids: Sequence[int]) -> None:
        for start in range(0, len(ids), 500):
            part = list(ids[start : start + 500])
            session.execute(delete(ImageRow).where(ImageRow.id.in_(part)))
            session.execute(delete(RegionRow).where(RegionRow.image_id.in_(part)))
            session.execute(
                insert(RemovedRow).prefix_with("OR IGNORE"), [{"image_id": i} for i in part]
            )

    def _drop_derived(self, ids: Sequence[int]) -> None:
        if not self.derived.is_dir():
            return
        for image_id in ids:
            for file in derived_files(self.path, image_id):
                file.unlink(missing_ok=True)

    @property
    def index_form(self) -> str:
        """How vectors are to be searched: a form, or `auto`, by their number."""
        with self.catalog.session() as session:
            return session.scalar(select(SpecRow.index_form)) or "auto"

    @index_form.setter
    def index_form(self, form: str) -> None:
        with self.catalog.session() as session:
            session.execute(update(SpecRow).values(index_form=form))
            session.commit()


def _last_id(session: Session, table: str) -> int:
    """The highest id ever given in a table, also to rows that are gone."""
    sequence = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
    return int(session.execute(sequence, {"table": table}).scalar() or 0)


def _insert_regions(session: Session, rows: npt.NDArray[np.int64]) -> None:
    """Insert rows (N, 6), many with each statement: it takes a third of the time."""
    whole = len(rows) - len(rows) % ROWS_A_STATEMENT
    for part, count in ((rows[:whole], ROWS_A_STATEMENT), (rows[whole:], 1)):
        if len(part):
            session.connection().exec_driver_sql(
                "INSERT INTO regions (id, image_id, x0, y0, x1, y1) VALUES "
                + ", ".join(["(?, ?, ?, ?, ?, ?)"] * count),
                [tuple(values) for values in part.reshape(len(part) // count, -1).tolist()],
            )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreLockedError(
            f"Another process is writing to {path}. Wait for it to end, and try again."
        ) from error
    except OSError as error:
        raise StoreError(unwritable(path, error.strerror or str(error))) from error
    try:
        yield
    finally:
        lock.release()


def _halved(parts: Sequence[FloatArray]) -> HalfArray:
    """Join rows of vectors in the precision in which they are stored."""
    return np.concatenate(parts, dtype=np.float16, casting="same_kind")


def _to_row(image_id: int, entry: Entry) -> dict[str, Any]:
    file, facts = entry.file, entry.facts
    return {
        "id": image_id,
        "root_id": file.root_id,
        "path": file.path,
        "size_bytes": file.size_bytes,
        "mtime_ns": file.mtime_ns,
        "content_hash": file.content_hash,
        "state": "failed" if entry.reason else "ok",
        "reason": entry.reason,
        "width": facts.width if facts else None,
        "height": facts.height if facts else None,
        "format": facts.format if facts else None,
        "taken_at": facts.taken_at if facts else None,
        "camera": facts.camera if facts else None,
    }
