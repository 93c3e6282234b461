"""VectorFolder: the files of vectors, and of inverted lists, opened as the catalogue names them."""

from __future__ import annotations

from pathlib import Path

from indexer.errors import StoreCorruptError
from indexer.store.approximate import FORMS, ApproximateIndex, Form
from indexer.store.lookup import CatalogLookup, ListsEntry, SegmentEntry
from indexer.store.segments import Rows, Segment, read_segment
from indexer.store.vectors import VectorIndex


class VectorFolder:
    """The `vectors` folder of a store. A file counts once the catalogue names it."""

    def __init__(self, folder: Path, lookup: CatalogLookup) -> None:
        self.folder = folder
        self.lookup = lookup

    def rows(self, kind: str) -> Rows:
        """Return the vectors of one kind as a table, those of removed images included."""
        return Rows([self.read(entry) for entry in self.lookup.files(kind).segments])

    def read(self, entry: SegmentEntry) -> Segment:
        """Open a segment by memory map; raises `StoreCorruptError`."""
        return read_segment(self.folder, entry.name, entry.rows, entry.dimension)

    def lists_entry(self, kind: str) -> ListsEntry | None:
        """Return what the catalogue says of the inverted lists of one kind, None without any."""
        return self.lookup.files(kind).lists

    def open_lists(self, entry: ListsEntry, *, to_extend: bool = False) -> ApproximateIndex:
        """Open inverted lists; raises `StoreCorruptError`."""
        path = self.folder / f"{entry.name}.faiss"
        form: Form = next(form for form in FORMS if form == entry.form)
        lists = ApproximateIndex.read(path, form, entry.nprobe, entry.recall, to_extend=to_extend)
        if len(lists) != entry.rows:
            raise StoreCorruptError(
                f"The index file {path} holds {len(lists)} vectors, the catalogue says "
                f"{entry.rows}. Make it anew with: cbir optimize"
            )
        return lists

    def open_index(self, kind: str) -> VectorIndex | None:
        """Open the vectors of one kind by memory map, None where there are none.

        Raises `StoreCorruptError`.
        """
        try:
            return self._open_index(kind)
        except StoreCorruptError:
            # Perhaps other files have taken their place since the catalogue was asked for them.
            return self._open_index(kind)

    def _open_index(self, kind: str) -> VectorIndex | None:
        entries = self.lookup.files(kind)
        if not entries.segments:
            return None
        lists = None if entries.lists is None else self.open_lists(entries.lists)
        segments = [self.read(entry) for entry in entries.segments]
        index = VectorIndex(segments[0].vectors.shape[1], segments, lists)
        index.remove(entries.removed)
        return index
