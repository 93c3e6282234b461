"""VectorFiles: the vectors of a store, by kind, in files that the catalogue names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.arrays import BoolArray, FloatArray, HalfArray, IdArray
from indexer.errors import StoreCorruptError, StoreError
from indexer.progress import Progress, no_progress
from indexer.store.catalog.protocol import Catalog, CatalogState, IvfEntry, SegmentEntry
from indexer.store.deletion import delete_vectors
from indexer.store.folder import open_folder
from indexer.store.layout import ivf_name, segment_name
from indexer.store.vectors.ivf import IvfIndex
from indexer.store.vectors.local_index import LocalVectorIndex
from indexer.store.vectors.segment_files import read_segment, write_merged, write_segment
from indexer.store.vectors.segments import Rows, Segment

if TYPE_CHECKING:  # reading needs no SQLAlchemy, which takes long to import
    from indexer.store.catalog.transaction import CatalogTransaction

REBUILD = "Rebuild it with: cbir optimize"
MUCH_LARGER = 4  # times the rows of all later segments: such a segment is left alone


class VectorFiles:
    """The vector files in `folder`. A file counts once `catalog` names it.

    FAISS trusts what it reads, so IVF indexes are read only in a store that this account made, or
    `trusts`; in others all vectors are compared.

    What each method does for a caller, `VectorStore` says.
    """

    def __init__(self, folder: Path, catalog: Catalog, *, trusts: bool = False) -> None:
        self.folder = folder
        self.catalog = catalog
        self.trusts = trusts

    # --- reading ------------------------------------------------------------------------------

    def open_index(self, kind: str, state: CatalogState | None = None) -> LocalVectorIndex | None:
        """Open the vectors of one kind by memory map, None where there are none.

        They are those of the last commit, or of `state`. Raises `StoreCorruptError`, also where the
        files of that state were replaced since.
        """
        if state is not None:
            return self._open_index(kind, state)
        try:
            return self._open_index(kind, self.catalog.state())
        except StoreCorruptError:
            # Perhaps other files have replaced them since the catalogue was asked.
            return self._open_index(kind, self.catalog.state())

    def rows(self, kind: str) -> Rows:
        """Return the vectors of one kind as a table, those of removed images included."""
        return Rows([self.read(entry) for entry in self.catalog.state().files(kind).segments])

    def read(self, entry: SegmentEntry) -> Segment:
        """Open a segment; raises `StoreCorruptError`."""
        return read_segment(self.folder, entry)

    def ivf_entry(self, kind: str) -> IvfEntry | None:
        """Return what the catalogue says about the IVF index of one kind, None without one."""
        return self.catalog.state().files(kind).ivf

    def open_ivf(self, entry: IvfEntry, *, to_extend: bool = False) -> IvfIndex:
        """Open an IVF index; raises `StoreCorruptError`."""
        path = self.folder / f"{ivf_name(entry)}.faiss"
        with self._explaining_faults(path), open_folder(self.folder) as folder:
            ivf = IvfIndex.read(folder, path.name, entry, to_extend=to_extend)
        if len(ivf) != entry.rows:
            raise StoreCorruptError(
                f"The index file {path} holds {len(ivf)} vectors, the catalogue says "
                f"{entry.rows}. {REBUILD}"
            )
        return ivf

    # --- writing ------------------------------------------------------------------------------

    def append(
        self,
        change: CatalogTransaction,
        kind: str,
        ids: IdArray,
        image_ids: IdArray,
        vectors: FloatArray | HalfArray,
    ) -> None:
        """Write vectors (N, D) with their ids (N,) and the ids of their images (N,), ascending."""
        entry = change.add_segment(kind, len(ids), vectors.shape[1])
        with self._explaining_errors():
            checksum = write_segment(self.folder, segment_name(entry), ids, image_ids, vectors)
        change.set_segment_checksum(entry, checksum)

    def rewrite(
        self,
        change: CatalogTransaction,
        kind: str,
        function: Callable[[FloatArray], FloatArray],
        progress: Progress = no_progress,
    ) -> None:
        """Replace every vector of one kind by what `function` makes of it; its IVF index goes.

        `function` maps some vectors (n, D) at a time to as many of the same dimension.
        """
        old = change.segments(kind)
        change.drop_ivf(kind)
        self.write_as_one(change, old, [None] * len(old), function, progress)

    def merge(
        self, change: CatalogTransaction, kind: str, progress: Progress = no_progress
    ) -> None:
        """Merge the segments of one kind, without the vectors of removed images.

        Its IVF index goes with the old segments.
        """
        old = change.segments(kind)
        removed = change.removed_images()
        keep = [~np.isin(self.read(entry).image_ids.all(), removed) for entry in old]
        if not old or (len(old) == 1 and keep[0].all()):
            return
        change.drop_ivf(kind)
        self.write_as_one(change, old, keep, None, progress)

    def join(self, change: CatalogTransaction, kind: str, progress: Progress = no_progress) -> None:
        """Join the last segments of one kind, as long as the one before is not much larger.

        So their number grows with the logarithm of the rows, and so does how often a row is
        rewritten. Rows keep their order, those of removed images included, so an IVF index stays
        valid; segments in it are not joined with others.
        """
        entries = change.segments(kind)
        in_ivf = change.ivf_rows(kind)
        sizes = np.array([entry.rows for entry in entries], np.int64)
        later = np.cumsum(sizes[::-1])[::-1] - sizes  # rows of the segments after each
        joined = sizes < MUCH_LARGER * later
        if sizes.sum() > in_ivf:
            joined &= np.cumsum(sizes) > in_ivf
        if joined.any():
            old = entries[int(joined.argmax()) :]
            self.write_as_one(change, old, [None] * len(old), None, progress)

    def replace_ivf(
        self, change: CatalogTransaction, kind: str, ivf: IvfIndex | None, trained_rows: int
    ) -> None:
        """Make this IVF index, or none, the live one of a kind."""
        change.drop_ivf(kind)
        if ivf is not None:
            entry = change.add_ivf(
                kind,
                ivf.index_type,
                rows=len(ivf),
                trained_rows=trained_rows,
                nprobe=ivf.nprobe,
                recall=ivf.recall,
            )
            with self._explaining_errors(), open_folder(self.folder) as folder:
                checksum = ivf.write(folder, f"{ivf_name(entry)}.faiss")
            change.set_ivf_checksum(entry, checksum)
            self.sync()

    def sync(self) -> None:
        """Flush the folder's entries to the disk."""
        with open_folder(self.folder) as folder:
            folder.sync()

    def clear_leftovers(self) -> None:
        """Delete vector files that no commit named, or that a later one dropped."""
        delete_vectors(self.folder, live_names(self.catalog.state()))

    # --- what they share ----------------------------------------------------------------------

    def _open_index(self, kind: str, state: CatalogState) -> LocalVectorIndex | None:
        entries = state.files(kind)
        if not entries.segments:
            return None
        trusted = state.is_sealed or self.trusts
        ivf = self.open_ivf(entries.ivf) if entries.ivf is not None and trusted else None
        segments = [self.read(entry) for entry in entries.segments]
        return LocalVectorIndex(segments[0].vectors.shape[1], segments, ivf, entries.removed)

    def write_as_one(
        self,
        change: CatalogTransaction,
        old: Sequence[SegmentEntry],
        keep: Sequence[BoolArray | None],
        function: Callable[[FloatArray], FloatArray] | None,
        progress: Progress,
    ) -> None:
        """Write the rows to `keep` (N,) of segments, None for all, as one that replaces them."""
        kept = [np.ones(e.rows, bool) if k is None else k for e, k in zip(old, keep, strict=True)]
        parts = [self.read(entry) for entry in old]
        change.drop_segments(old)
        count = sum(int(rows.sum()) for rows in kept)
        if count:
            merged = change.add_segment(old[0].kind, count, old[0].dimension)
            name = segment_name(merged)
            with self._explaining_errors():
                checksum = write_merged(
                    self.folder, name, parts, kept, change=function, progress=progress
                )
            change.set_segment_checksum(merged, checksum)
        self.sync()

    @contextlib.contextmanager
    def _explaining_faults(self, path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise StoreCorruptError(f"The index file {path} is missing. {REBUILD}") from error
        except OSError as error:
            raise StoreCorruptError(
                f"The index file {path} cannot be read: {error.strerror or error}. {REBUILD}"
            ) from error

    @contextlib.contextmanager
    def _explaining_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"Vectors cannot be written to {self.folder}: {error.strerror or error}. What was "
                "committed before is safe; run the same command again to continue."
            ) from error


def live_names(state: CatalogState) -> set[str]:
    """Return the stems of the files that the catalogue names."""
    return {segment_name(e) for e in state.segments} | {ivf_name(e) for e in state.ivfs}
