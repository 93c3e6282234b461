"""MilvusVectorStore: the vectors of a store in collections of a Milvus server."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np

from indexer.arrays import FloatArray, HalfArray, IdArray
from indexer.choices import IndexType
from indexer.errors import StoreCorruptError, StoreError
from indexer.progress import Progress, no_progress
from indexer.store.catalog.protocol import Catalog, CatalogState, IvfEntry, SegmentEntry
from indexer.store.vectors.faults import KindFaults, WantedRows
from indexer.store.vectors.index_types import find_index_type
from indexer.store.vectors.milvus_collection import (
    MilvusCollection,
    as_stored,
    index_params,
    named,
    read_place,
)
from indexer.store.vectors.milvus_contents import MilvusContents
from indexer.store.vectors.milvus_index import MilvusIndex
from indexer.store.vectors.milvus_inspection import inspect_collection
from indexer.store.vectors.milvus_leftovers import Leftovers
from indexer.store.vectors.milvus_recall import find_nprobe
from indexer.store.vectors.milvus_server import MilvusServer
from indexer.store.vectors.protocol import Begin, KindReport

if TYPE_CHECKING:  # reading needs no SQLAlchemy, which takes long to import
    from indexer.store.catalog.transaction import CatalogTransaction

LEAST_INDEXED = 1024  # rows of which Milvus builds an index; of fewer, a rough one in memory
Function = Callable[[FloatArray], FloatArray]


class MilvusVectorStore:
    """See `VectorStore`. All names of collections begin with `prefix`, which is the store's own.

    The catalogue has one segment of each kind. Its checksum names the collection, and each commit
    replaces it by one with a higher id, which the new rows carry: rows of a higher id are hidden.
    """

    drops_at_once = True

    def __init__(self, server: MilvusServer, prefix: str, catalog: Catalog) -> None:
        self.server = server
        self.catalog = catalog
        self._prefix = f"{prefix}_"
        self._unproved: list[tuple[str, int, int]] = []

    def require_usable(self) -> None:
        self.server.collections(self._prefix)

    # --- reading ------------------------------------------------------------------------------

    def open_index(self, kind: str, state: CatalogState | None = None) -> MilvusIndex | None:
        collection = self._open(kind, state or self.catalog.state())
        return None if collection is None else MilvusIndex(collection)

    def contents(self, kind: str, state: CatalogState) -> MilvusContents:
        return MilvusContents(self.open_index(kind, state))

    def ivf_entry(self, kind: str) -> IvfEntry | None:
        return self.catalog.state().files(kind).ivf

    def _open(self, kind: str, state: CatalogState) -> MilvusCollection | None:
        entries = state.files(kind)
        if not entries.segments:
            return None
        collection = MilvusCollection.of(self.server, entries)
        self._require(collection.name)
        return collection

    def _require(self, name: str) -> None:
        """Return once a collection can be searched; raises `StoreCorruptError` without it."""
        if not (name.startswith(self._prefix) and self.server.exists(name)):
            raise StoreCorruptError(
                f"The collection {name} of the store is missing in {self.server.place}. Mend the "
                "store with: cbir doctor --repair"
            )
        self.server.wait_loaded(name)

    # --- writing ------------------------------------------------------------------------------

    def append(
        self,
        change: CatalogTransaction,
        kind: str,
        ids: IdArray,
        image_ids: IdArray,
        vectors: FloatArray | HalfArray,
    ) -> None:
        old = change.segments(kind)
        dimension = vectors.shape[1]
        name, last_id = read_place(old[-1]) if old else (self._new_name(kind), 0)
        rows = sum(entry.rows for entry in old) + len(ids)
        last_id = max(last_id, *ids[-1:].tolist())
        entry = self._replace(change, kind, (name, last_id, rows, dimension))
        if old:
            self._require(name)
            self._forget_later(name, old[-1].id)
        else:
            self.server.create(name, dimension, index_params("exact", dimension))
        self.server.insert(name, entry.id, ids, image_ids, as_stored(vectors))
        self._unproved.append((name, entry.id, len(ids)))

    def _forget_later(self, name: str, segment: int) -> None:
        """Delete the rows of a commit that failed: the next one would make them live."""
        where = f"segment > {segment}"
        if self.server.count(name, where):
            self.server.delete(name, where)

    def sync(self) -> None:
        """Compare the rows of each insertion with what was to be inserted.

        What Milvus has acknowledged is in its log, which outlives its processes.
        """
        unproved, self._unproved = self._unproved, []
        for name, segment, rows in unproved:
            self.server.wait_loaded(name)
            found = self.server.count(name, f"segment == {segment}")
            if found != rows:
                raise StoreError(
                    f"{self.server.place} has {found} rows of {rows} that were inserted. Nothing "
                    "was committed; run the same command again."
                )

    def rewrite(
        self,
        change: CatalogTransaction,
        kind: str,
        function: Function,
        progress: Progress = no_progress,
    ) -> None:
        """Fill a new collection, exact, with what `function` makes of the vectors of a kind."""
        collection = self._open(kind, self.catalog.state())
        change.drop_ivf(kind)
        if collection is not None:
            name, rows = self._copy(collection, kind, "exact", function, progress)
            place = name, collection.last_id, rows, collection.dimension
            self._replace(change, kind, place)

    def merge(
        self, change: CatalogTransaction, kind: str, progress: Progress = no_progress
    ) -> None:
        """Delete the rows of removed images; they are hidden already."""
        removed = change.removed_images()
        if len(removed):
            progress("deleting the vectors of removed images", 0, 0)
            self._delete_images(change, kind, removed)

    def join(self, change: CatalogTransaction, kind: str, progress: Progress = no_progress) -> None:
        """Do nothing: the catalogue has one segment of each kind."""

    def update_index(
        self,
        begin: Begin,
        kind: str,
        index_type: str,
        *,
        retrain: bool,
        progress: Progress = no_progress,
    ) -> KindReport:
        """Copy the vectors into a collection of another index type where that suits them.

        The old one is searched meanwhile. With `retrain`, what was inserted is compacted.
        """
        collection = self._open(kind, self.catalog.state())
        rows = 0 if collection is None else collection.count()
        wanted = find_index_type("exact" if rows < LEAST_INDEXED else index_type, rows)
        if collection is None or not rows:
            return KindReport(kind, rows, wanted, None, None)
        name, entry = collection.name, self.ivf_entry(kind)
        if wanted != collection.index_type:
            name, rows = self._copy(collection, kind, wanted, None, progress)
        elif not retrain:
            return _report(kind, rows, wanted, entry)
        progress("building the index", 0, 0)
        self.server.build(name, reload=name != collection.name)
        found = find_nprobe(collection, name, wanted, progress)
        with begin() as change:
            change.drop_ivf(kind)
            place = name, collection.last_id, rows, collection.dimension
            self._replace(change, kind, place)
            if found is not None:
                nprobe, recall = found
                counts = {"rows": rows, "trained_rows": rows}
                entry = change.add_ivf(kind, wanted, nprobe=nprobe, recall=recall, **counts)
        return _report(kind, rows, wanted, None if found is None else entry)

    # --- what is left over, or damaged --------------------------------------------------------

    def clear_leftovers(self) -> None:
        self._unproved = []
        Leftovers.of(self.server, self._prefix, self.catalog.state()).delete()

    def leftovers(self, state: CatalogState) -> list[str]:
        return Leftovers.of(self.server, self._prefix, state).describe()

    def inspect(
        self,
        state: CatalogState,
        kind: str,
        wanted: WantedRows,
        progress: Progress = no_progress,
    ) -> KindFaults:
        try:
            collection = self._open(kind, state)
        except StoreCorruptError as error:
            faults = inspect_collection(None, kind, wanted, progress)
            faults.files.append(str(error))
            faults.unreadable |= {entry.id for entry in state.files(kind).segments}
            return faults
        return inspect_collection(collection, kind, wanted, progress)

    def take_out(
        self,
        change: CatalogTransaction,
        faults: KindFaults,
        images: Collection[int],
        progress: Progress = no_progress,
    ) -> None:
        if faults.unreadable:
            change.drop_segments(change.segments(faults.kind))
            change.drop_ivf(faults.kind)
            return
        progress("deleting damaged vectors", 0, 0)
        gone = np.array(sorted({*images, *change.removed_images().tolist()}), np.int64)
        self._delete_images(change, faults.kind, gone)

    def drop(self) -> None:
        for name in self.server.collections(self._prefix):
            self.server.drop(name)

    def close(self) -> None:
        self.server.close()

    # --- what they share ----------------------------------------------------------------------

    def _new_name(self, kind: str) -> str:
        return f"{self._prefix}{kind}_{secrets.token_hex(4)}"

    def _replace(
        self, change: CatalogTransaction, kind: str, place: tuple[str, int, int, int]
    ) -> SegmentEntry:
        """Make a collection, with its last id, its rows and its dimension, the one of a kind."""
        name, last_id, rows, dimension = place
        old = change.segments(kind)
        entry = change.add_segment(kind, rows, dimension)
        change.drop_segments(old)
        change.set_segment_checksum(entry, f"{name} {last_id}")
        return entry

    def _copy(
        self,
        collection: MilvusCollection,
        kind: str,
        index_type: IndexType,
        function: Function | None,
        progress: Progress,
    ) -> tuple[str, int]:
        """Copy what can be found of a collection; returns the name of the new one, and its rows."""
        name = self._new_name(kind)
        params = index_params(index_type, collection.dimension)
        self.server.create(name, collection.dimension, params)
        rows = 0
        for page in collection.pages():
            if len(page.ids):
                vectors = page.vectors if function is None else function(page.vectors)
                self.server.insert(name, 0, page.ids, page.image_ids, as_stored(vectors))
                rows += len(page.ids)
            progress("copying vectors", rows, collection.rows)
        self._unproved.append((name, 0, rows))
        self.sync()
        return name, rows

    def _delete_images(self, change: CatalogTransaction, kind: str, images: IdArray) -> None:
        for entry in change.segments(kind):
            name, last_id = read_place(entry)
            self._require(name)
            for where in named("image_id", images):
                self.server.delete(name, where)
            rows = self.server.count(name, f"segment <= {entry.id}")
            if rows:
                self._replace(change, kind, (name, last_id, rows, entry.dimension))
            else:
                change.drop_segments([entry])
                change.drop_ivf(kind)


def _report(kind: str, rows: int, index_type: IndexType, entry: IvfEntry | None) -> KindReport:
    if entry is None:
        return KindReport(kind, rows, index_type, None, None)
    return KindReport(kind, rows, index_type, entry.nprobe, entry.recall)
