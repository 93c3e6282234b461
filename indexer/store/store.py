"""Store: a folder with the catalogue and the vectors it names; one commit point."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from indexer.arrays import FloatArray
from indexer.errors import SpecMismatchError, StoreError
from indexer.features.spec import FeatureSpec
from indexer.progress import Progress, no_progress
from indexer.reading import ReadingOptions
from indexer.sources.place import Place
from indexer.store.catalog.connection import LOCK
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.catalog.transaction import CatalogTransaction
from indexer.store.catalogs import (
    create_database,
    locked,
    open_reader,
    seal_config,
    undoing_config,
)
from indexer.store.deletion import delete_adaptations, delete_store_files
from indexer.store.layout import VECTORS, require_own_files
from indexer.store.places import stored_root
from indexer.store.reader import StoreReader, read_spec
from indexer.store.records import Entry, FileState, KnownFile, StoredFeatures
from indexer.store.settings import StoreSettings
from indexer.store.vectors.opening import check_place, open_vectors


class _Described(NamedTuple):
    """An image that is about to become live."""

    id: int
    features: StoredFeatures


class Store(StoreReader):
    """An open store. Reading needs no lock; writing happens inside `writing()`."""

    @classmethod
    def create(
        cls,
        path: Path,
        spec: FeatureSpec,
        *,
        catalog_url: str | None = None,
        vectors_url: str | None = None,
    ) -> Store:
        """Create an empty store at `path`.

        Its catalogue is a file there, or at `catalog_url`; its vectors are files there, or at
        `vectors_url`. Raises `StoreError` where there is a store already.
        """
        check_place(vectors_url)
        try:
            (path / VECTORS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"No store can be created at {path}: {error.strerror}.") from error
        with undoing_config(path, catalog_url, vectors_url):
            catalog = SqlAlchemyCatalog(create_database(path, catalog_url, vectors_url))
            with contextlib.closing(catalog):
                with contextlib.closing(open_vectors(path, catalog)) as vectors:
                    vectors.require_usable()
                catalog.create()
                catalog.write_spec(spec.to_json(), spec.fingerprint)
        return cls(path.resolve(), open_reader(path), spec)

    @staticmethod
    def delete(path: Path) -> None:
        """Delete the store at `path`, damaged or not, and nothing else that is in its folder.

        Raises `StoreLockedError` while another process is writing to it.
        """
        with locked(path) as database:
            with contextlib.closing(open_vectors(path, SqlAlchemyCatalog(database))) as vectors:
                vectors.drop()
            database.drop()
            delete_store_files(path)
        (path / LOCK).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # other files are in the folder: they stay
            path.rmdir()

    def close_or_discard(self) -> None:
        """Close a store that this process created, and delete it if it holds no image.

        So a failed first attempt does not bind the next one to its spec. A shard may be empty.
        """
        unused = self.is_empty() and self.shard is None
        self.close()
        if unused:
            Store.delete(self.path)

    @contextmanager
    def writing(self, places: Sequence[Place] | None = None) -> Iterator[None]:
        """Hold the writer's lock; there is one writer at a time.

        Files that a killed run left are deleted first, and files that were replaced at the end.
        With `places`, folders whose images alone are changed, others may write for other folders
        meanwhile if the catalogue is in PostgreSQL; the last of them deletes the files.

        Raises `StoreLockedError`, and `SpecMismatchError` where another process has whitened the
        store since it was opened.
        """
        require_own_files(self.path)
        with self.catalog.database.locked(places):
            if read_spec(self.reader, self.path) != self.spec:
                raise SpecMismatchError(
                    f"The store at {self.path} was whitened by another process since this one "
                    "opened it. Nothing was written; run the same command again."
                )
            self._clear_leftovers()
            self._distrust_indexes()
            self._drop_removed()
            try:
                yield
                StoreSettings.of(self.reader.state()).write(self.path)
            finally:
                # Also after an error: what was half written when the disk was full makes room.
                with contextlib.suppress(StoreError, OSError):
                    self._clear_leftovers()
                    self.catalog.checkpoint()

    def _distrust_indexes(self) -> None:
        """Drop the IVF indexes that somebody else made: they are built again from the vectors."""
        state = self.reader.state()
        if state.ivfs and not (state.is_sealed or self.trusts):
            with self.catalog.transaction() as change:
                for entry in state.ivfs:
                    change.drop_ivf(entry.kind)
        self.catalog.seals = True
        seal_config(self.path)

    def _clear_leftovers(self) -> None:
        with self.catalog.database.alone() as is_alone:
            if is_alone:
                self.vectors.clear_leftovers()
                live = self.adaptation_file
                delete_adaptations(self.path, live.name if live is not None else None)

    # --- images -------------------------------------------------------------------------------

    def is_empty(self) -> bool:
        """Whether no image, readable or failed, is in the store."""
        return self.catalog.is_empty()

    def known_files(
        self, files: Sequence[tuple[int, str]] | None = None
    ) -> dict[tuple[int, str], KnownFile]:
        """Return every image file, or these files, see `SqlAlchemyCatalog.known_files`."""
        return self.catalog.known_files(files)

    def add_root(self, folder: Place, options: ReadingOptions | None = None) -> int:
        """Return the id of the root `folder`, which is added, with its options, if it is new."""
        for root_id, path in self.roots().items():
            if path == folder:
                return root_id
        kept = (options or ReadingOptions()).to_json()
        with self.catalog.transaction() as change:
            return change.add_root(stored_root(self.path, folder), kept)

    def remember_root(
        self,
        root_id: int,
        *,
        options: ReadingOptions | None = None,
        skipped: Mapping[str, int] | None = None,
    ) -> None:
        """Note how a root is read, or how many other files are in it, by suffix."""
        values = {}
        if options is not None:
            values["options"] = options.to_json()
        if skipped is not None:
            values["skipped"] = json.dumps(dict(skipped))
        with self.catalog.transaction() as change:
            change.change_root(root_id, **values)

    def move_root(self, root_id: int, folder: Place) -> None:
        """Note that a root, with all its images, is at another place."""
        with self.catalog.transaction() as change:
            change.change_root(root_id, path=stored_root(self.path, folder))
            change.forget_stamps(root_id)

    def remove_root(self, root_id: int) -> None:
        """Forget a folder that holds no image of the store."""
        with self.catalog.transaction() as change:
            change.remove_root(root_id)

    def commit(self, entries: Sequence[Entry]) -> None:
        """Make these images live, all or none: vectors first, then one catalogue transaction."""
        if not entries:
            return
        with self.catalog.transaction() as change:
            ids = change.replace_images(entries)
            described = [
                _Described(id_, features)
                for id_, entry in zip(ids, entries, strict=True)
                if (features := entry.stored_features()) is not None
            ]
            if described:
                self._append_vectors(change, described)
        self._drop_removed()
        self.derived.delete([e.replaces for e in entries if e.replaces is not None])

    def _append_vectors(self, change: CatalogTransaction, images: Sequence[_Described]) -> None:
        image_ids = np.array([image.id for image in images], np.int64)
        for kind in self.spec.kinds_of("image"):
            vectors = np.concatenate([image.features.vectors[kind.name] for image in images])
            self.vectors.append(change, kind.name, image_ids, image_ids, vectors)
        region_kinds = self.spec.kinds_of("region")
        if region_kinds:
            boxes = [image.features.boxes for image in images]
            owners = np.repeat(image_ids, [len(own) for own in boxes])
            ids = change.add_regions(owners, np.vstack(boxes))
            for kind in region_kinds:
                vectors = np.concatenate([image.features.vectors[kind.name] for image in images])
                self.vectors.append(change, kind.name, ids, owners, vectors)
        self.vectors.sync()

    def move(self, moves: Sequence[tuple[int, FileState]]) -> None:
        """Note that the files of images have new places or time stamps; their vectors stay."""
        with self.catalog.transaction() as change:
            change.move_images(moves)

    def remove(self, ids: Sequence[int]) -> None:
        """Remove images at once; their ids are never used again."""
        with self.catalog.transaction() as change:
            change.remove_images(ids)
        self._drop_removed()
        self.derived.delete(ids)

    def _drop_removed(self) -> None:
        """Drop the vectors of removed images where that is quick, and forget these."""
        if self.vectors.drops_at_once and len(self.reader.state().removed):
            with self.catalog.transaction() as change:
                for kind in self.spec.kinds:
                    self.vectors.merge(change, kind.name)
                change.forget_removed()

    # --- vectors as a whole; each of these is one transaction ---------------------------------

    def rewrite_vectors(
        self,
        kind: str,
        function: Callable[[FloatArray], FloatArray],
        spec: FeatureSpec,
        progress: Progress = no_progress,
    ) -> None:
        """Replace every vector of one kind, see `VectorStore.rewrite`, under a new spec."""
        with self.catalog.transaction() as change:
            self.vectors.rewrite(change, kind, function, progress)
            change.set_spec(spec.to_json(), spec.fingerprint)
        self.spec = spec

    def merge_segments(self, kind: str, progress: Progress = no_progress) -> None:
        """Merge the segments of one kind, see `VectorStore.merge`."""
        with self.catalog.transaction() as change:
            self.vectors.merge(change, kind, progress)

    def join_segments(self, kind: str, progress: Progress = no_progress) -> None:
        """Join the last segments of one kind, see `VectorStore.join`."""
        with self.catalog.transaction() as change:
            self.vectors.join(change, kind, progress)

    def forget_removed(self) -> None:
        """Forget which images were removed, once no segment holds their vectors."""
        with self.catalog.transaction() as change:
            change.forget_removed()

    @property
    def index_type(self) -> str:
        """How vectors are to be searched: an index type, or `auto`, by their number."""
        return self.reader.state().index_type

    @index_type.setter
    def index_type(self, index_type: str) -> None:
        with self.catalog.transaction() as change:
            change.set_index_type(index_type)

    def keep_keypoints(self, keeps: bool) -> None:
        """Choose whether an index run finds the keypoints of every image."""
        with self.catalog.transaction() as change:
            change.set_keeps_keypoints(keeps)
