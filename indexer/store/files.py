"""VectorFiles: the files of vectors, and of inverted lists, written and given up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from indexer.errors import StoreError
from indexer.steps import Done, unwatched
from indexer.store.approximate import ApproximateIndex
from indexer.store.catalog import Catalog, ListsRow, RemovedRow, SegmentRow
from indexer.store.folder import VectorFolder
from indexer.store.layout import vector_files
from indexer.store.lookup import CatalogLookup, SegmentEntry, lists_name, segment_name
from indexer.store.segments import (
    FloatArray,
    HalfArray,
    IdArray,
    Segment,
    write_merged,
    write_segment,
)

MUCH_LARGER = 4  # times the rows of all later segments: such a one is left alone


class VectorFiles(VectorFolder):
    """The vector files of a store that is written to."""

    def __init__(self, folder: Path, lookup: CatalogLookup, catalog: Catalog) -> None:
        super().__init__(folder, lookup)
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

    def replace(
        self,
        session: Session,
        kind: str,
        change: Callable[[FloatArray], FloatArray],
        done: Done = unwatched,
    ) -> None:
        """Write every vector of one kind anew, as `change` makes it; its lists go.

        `change` is called with some vectors (n, D) at a time and keeps their dimension.
        """
        old = _segments(session, kind)
        parts = [self.read(_entry(row)) for row in old]
        keep = [np.ones(row.rows, bool) for row in old]
        session.execute(delete(ListsRow).where(ListsRow.kind == kind))
        self._write_as_one(session, old, parts, keep, change=change, done=done)

    def merge(self, kind: str, done: Done = unwatched) -> None:
        """Make the vectors of one kind one segment, without those of removed images.

        It becomes live in one transaction; the lists of the kind go with the old segments.
        """
        with self.catalog.session() as session:
            old = _segments(session, kind)
            removed = np.array(session.scalars(select(RemovedRow.image_id)).all(), np.int64)
            parts = [self.read(_entry(row)) for row in old]
            keep = [~np.isin(part.image_ids, removed) for part in parts]
            count = sum(int(kept.sum()) for kept in keep)
            if not old or (len(old) == 1 and count == old[0].rows):
                return
            session.execute(delete(ListsRow).where(ListsRow.kind == kind))
            self._write_as_one(session, old, parts, keep, done=done)
            session.commit()

    def join(self, kind: str, done: Done = unwatched) -> None:
        """Make the last segments of one kind one, as far as the one before is not much larger.

        So their number grows with the logarithm of the rows, and so does how often a row is written
        anew. Rows keep their order, those of removed images included, and so lists stay; segments
        in the lists and others are not joined. It becomes live in one transaction.
        """
        with self.catalog.session() as session:
            rows = _segments(session, kind)
            listed = session.scalar(select(ListsRow.rows).where(ListsRow.kind == kind)) or 0
            sizes = np.array([row.rows for row in rows], np.int64)
            later = np.cumsum(sizes[::-1])[::-1] - sizes  # rows of the segments after each
            joined = sizes < MUCH_LARGER * later
            if sizes.sum() > listed:
                joined &= np.cumsum(sizes) > listed
            if not joined.any():
                return
            old = rows[int(joined.argmax()) :]
            parts = [self.read(_entry(row)) for row in old]
            keep = [np.ones(row.rows, bool) for row in old]
            self._write_as_one(session, old, parts, keep, done=done)
            session.commit()

    def _write_as_one(
        self,
        session: Session,
        old: Sequence[SegmentRow],
        parts: Sequence[Segment],
        keep: Sequence[npt.NDArray[np.bool_]],
        *,
        change: Callable[[FloatArray], FloatArray] | None = None,
        done: Done = unwatched,
    ) -> None:
        """Write the rows to `keep` (N,) of segments as one that takes their place."""
        for row in old:
            session.delete(row)
        count = sum(int(kept.sum()) for kept in keep)
        if count:
            one = SegmentRow(kind=old[0].kind, rows=count, dimension=old[0].dimension)
            session.add(one)
            session.flush()
            try:
                name = _segment_name(one)
                write_merged(self.folder, name, parts, keep, change=change, done=done)
            except OSError as error:
                raise self._cannot_write(error) from error
        self.sync()

    # --- lists -------------------------------------------------------------------------------

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
        for file in list(vector_files(self.folder)):
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


def _entry(row: SegmentRow) -> SegmentEntry:
    return SegmentEntry(_segment_name(row), row.rows, row.dimension)


def _segment_name(row: SegmentRow) -> str:
    return segment_name(row.id, row.kind)


def _lists_name(row: ListsRow) -> str:
    return lists_name(row.id, row.form, row.kind)
