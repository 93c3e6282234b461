"""VectorFiles: the files of vectors, and of inverted lists, that the catalogue names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from indexer.errors import StoreCorruptError, StoreError
from indexer.store.approximate import FORMS, ApproximateIndex, Form
from indexer.store.catalog import Catalog, ListsRow, RemovedRow, SegmentRow
from indexer.store.segments import (
    FloatArray,
    HalfArray,
    IdArray,
    Rows,
    Segment,
    read_segment,
    to_float32,
    write_merged,
    write_segment,
)
from indexer.store.vectors import VectorIndex


class VectorFiles:
    """The files in a store's `vectors` folder. A file counts once the catalogue names it."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder = folder
        self.catalog = catalog

    # --- segments ----------------------------------------------------------------------------

    def add(
        self,
        session: Session,
        kind: str,
        ids: IdArray,
        image_ids: IdArray,
        vectors: FloatArray | HalfArray,
    ) -> None:
        """Write vectors (N, D) as a segment, which becomes live when `session` commits."""
        row = SegmentRow(kind=kind, rows=len(ids), dimension=vectors.shape[1])
        session.add(row)
        session.flush()
        try:
            write_segment(self.folder, _segment_name(row), ids, image_ids, vectors)
        except OSError as error:
            raise self._cannot_write(error) from error

    def rows(self, kind: str) -> Rows:
        """Return the vectors of one kind as a table, those of removed images included."""
        with self.catalog.session() as session:
            return Rows([self._read(row) for row in _segments(session, kind)])

    def replace(
        self, session: Session, kind: str, change: Callable[[FloatArray], FloatArray]
    ) -> None:
        """Write every vector of one kind anew, as `change` makes it; its lists go."""
        for row in _segments(session, kind):
            old = self._read(row)
            vectors = change(to_float32(old.vectors))
            self.add(session, kind, np.asarray(old.ids), np.asarray(old.image_ids), vectors)
            session.delete(row)
        session.execute(delete(ListsRow).where(ListsRow.kind == kind))
        self.sync()

    def merge(self, kind: str) -> None:
        """Make the vectors of one kind one segment, without those of removed images.

        It becomes live in one transaction; the lists of the kind go with the old segments.
        """
        with self.catalog.session() as session:
            old = _segments(session, kind)
            removed = np.array(session.scalars(select(RemovedRow.image_id)).all(), np.int64)
            parts = [self._read(row) for row in old]
            keep = [~np.isin(part.image_ids, removed) for part in parts]
            count = sum(int(kept.sum()) for kept in keep)
            if not old or (len(old) == 1 and count == old[0].rows):
                return
            for row in old:
                session.delete(row)
            session.execute(delete(ListsRow).where(ListsRow.kind == kind))
            if count:
                merged = SegmentRow(kind=kind, rows=count, dimension=old[0].dimension)
                session.add(merged)
                session.flush()
                try:
                    write_merged(self.folder, _segment_name(merged), parts, keep)
                except OSError as error:
                    raise self._cannot_write(error) from error
            self.sync()
            session.commit()

    def _read(self, row: SegmentRow) -> Segment:
        return read_segment(self.folder, _segment_name(row), row.rows, row.dimension)

    # --- lists -------------------------------------------------------------------------------

    def lists_row(self, kind: str) -> ListsRow | None:
        """Return what the catalogue says of the inverted lists of one kind, None without any."""
        with self.catalog.session() as session:
            return session.scalar(select(ListsRow).where(ListsRow.kind == kind))

    def open_lists(self, row: ListsRow, *, to_extend: bool = False) -> ApproximateIndex:
        """Open inverted lists; raises `StoreCorruptError`."""
        path = self.folder / f"{_lists_name(row)}.faiss"
        form: Form = next(form for form in FORMS if form == row.form)
        lists = ApproximateIndex.read(path, form, row.nprobe, row.recall, to_extend=to_extend)
        if len(lists) != row.rows:
            raise StoreCorruptError(
                f"The index file {path} holds {len(lists)} vectors, the catalogue says {row.rows}. "
                "Make it anew with: cbir optimize"
            )
        return lists

    def replace_lists(self, kind: str, lists: ApproximateIndex | None, trained_rows: int) -> None:
        """Make these lists, or none, the live ones of a kind, in one transaction."""
        with self.catalog.session() as session:
            session.execute(delete(ListsRow).where(ListsRow.kind == kind))
            if lists is not None:
                row = ListsRow(
                    kind=kind,
                    form=lists.form,
                    rows=len(lists),
                    trained_rows=trained_rows,
                    nprobe=lists.nprobe,
                    recall=lists.recall,
                )
                session.add(row)
                session.flush()
                try:
                    lists.write(self.folder / f"{_lists_name(row)}.faiss")
                except OSError as error:
                    raise self._cannot_write(error) from error
                self.sync()
            session.commit()

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
        with self.catalog.session() as session:
            rows = _segments(session, kind)
            listed = session.scalar(select(ListsRow).where(ListsRow.kind == kind))
            removed = session.scalars(select(RemovedRow.image_id)).all()
        if not rows:
            return None
        lists = None if listed is None else self.open_lists(listed)
        index = VectorIndex(rows[0].dimension, [self._read(row) for row in rows], lists)
        index.remove(np.array(removed, np.int64))
        return index

    # --- the folder --------------------------------------------------------------------------

    def sync(self) -> None:
        """Bring the folder's entries to the disk."""
        if os.name == "posix":
            descriptor = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def clear_leftovers(self) -> None:
        """Delete files that no commit ever named, or that a later one gave up."""
        with self.catalog.session() as session:
            live = {_segment_name(row) for row in session.scalars(select(SegmentRow))}
            live |= {_lists_name(row) for row in session.scalars(select(ListsRow))}
        for file in (*self.folder.glob("*.npy"), *self.folder.glob("*.faiss")):
            if file.name.split(".")[0] not in live:
                # Windows keeps what another process reads; it goes the next time.
                with contextlib.suppress(PermissionError):
                    file.unlink()

    def _cannot_write(self, error: OSError) -> StoreError:
        return StoreError(
            f"Vectors cannot be written to {self.folder}: {error.strerror or error}. What was "
            "committed before is safe; run the same command again to go on."
        )


def _segments(session: Session, kind: str) -> list[SegmentRow]:
    query = select(SegmentRow).where(SegmentRow.kind == kind).order_by(SegmentRow.id)
    return list(session.scalars(query))


def _segment_name(row: SegmentRow) -> str:
    return f"{row.id:08d}-{row.kind}"


def _lists_name(row: ListsRow) -> str:
    return f"{row.id:08d}-{row.kind}-{row.form}"
