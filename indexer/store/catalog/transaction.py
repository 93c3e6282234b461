"""CatalogTransaction: changes of the catalogue that become live together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from indexer.arrays import IdArray
from indexer.store.catalog.annotation_rows import (
    add_annotations,
    annotations_in,
    forget_annotations,
)
from indexer.store.catalog.checksums import write_image_checksums
from indexer.store.catalog.database import Database
from indexer.store.catalog.decision_rows import forget_decisions_about
from indexer.store.catalog.protocol import IvfEntry, SegmentEntry
from indexer.store.catalog.questions import parts_of, places
from indexer.store.catalog.row_checksums import region_checksums
from indexer.store.catalog.statements import execute
from indexer.store.catalog.tables import (
    ImageRow,
    IvfRow,
    RegionRow,
    RemovedRow,
    RootRow,
    SegmentRow,
    SpecRow,
    TagRow,
)
from indexer.store.catalog.warning_rows import add_warnings, forget_warnings
from indexer.store.records import Entry, FileState

ROWS_A_STATEMENT = 100  # a third of the time of one row a statement


class CatalogTransaction:
    """The writes of one session in a database; nothing is live before it commits."""

    def __init__(self, session: Session, database: Database) -> None:
        self._session = session
        self._database = database

    @property
    def connection(self) -> Connection:
        """The connection of the transaction."""
        return self._session.connection()

    # --- images and regions -------------------------------------------------------------------

    def add_root(self, path: str, options: str = "{}") -> int:
        """Add a folder of photos, with its options as JSON, and return its id."""
        row = RootRow(path=path, options=options)
        self._session.add(row)
        self._session.flush()
        return row.id

    def change_root(self, root_id: int, **values: str) -> None:
        """Change the path, options or skipped files of a folder of photos."""
        self._session.execute(update(RootRow).where(RootRow.id == root_id).values(**values))

    def forget_stamps(self, root_id: int) -> None:
        """Forget what is different about files that were copied: their inodes and ctimes."""
        self._session.execute(
            update(ImageRow).where(ImageRow.root_id == root_id).values(ctime_ns=None, inode=None)
        )
        write_image_checksums(self.connection, "root_id = ?", [root_id])

    def remove_root(self, root_id: int) -> None:
        """Remove a folder of photos that has no images."""
        self._session.execute(delete(RootRow).where(RootRow.id == root_id))

    def replace_images(self, entries: Sequence[Entry]) -> list[int]:
        """Add images, see `add_images`, in place of those that they replace.

        What fields of the user's own say of these stays with them.
        """
        places = {e.replaces: i for i, e in enumerate(entries) if e.replaces is not None}
        said = annotations_in(self.connection, [*places])
        self.remove_images([*places])
        ids = self.add_images(entries)
        add_annotations(
            self.connection,
            [(ids[places[old]], field, text, number) for old, field, text, number in said],
        )
        return ids

    def add_images(self, entries: Sequence[Entry]) -> list[int]:
        """Add images and return their ids, ascending and never used before."""
        first = self._database.last_id(self.connection, "images") + 1
        ids = list(range(first, first + len(entries)))
        rows = [_to_row(id_, entry) for id_, entry in zip(ids, entries, strict=True)]
        connection = self.connection
        connection.execute(insert(ImageRow), rows)
        self._database.keep_last_id(connection, "images", ids[-1])
        write_image_checksums(connection, "id >= ?", [first])
        add_warnings(
            connection, {i: e.warnings for i, e in zip(ids, entries, strict=True) if e.warnings}
        )
        return ids

    def add_regions(self, image_ids: IdArray, boxes: IdArray) -> IdArray:
        """Add regions, boxes (N, 4) of the images (N,), and return their ids (N,)."""
        first = self._database.last_id(self.connection, "regions") + 1
        ids = np.arange(first, first + len(boxes), dtype=np.int64)
        rows = np.column_stack([ids, image_ids, boxes])
        rows = np.column_stack([rows, region_checksums(rows)])
        whole = len(rows) - len(rows) % ROWS_A_STATEMENT
        for part, count in ((rows[:whole], ROWS_A_STATEMENT), (rows[whole:], 1)):
            if len(part):
                execute(
                    self.connection,
                    "INSERT INTO regions (id, image_id, x0, y0, x1, y1, checksum) VALUES "
                    + ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * count),
                    part.reshape(len(part) // count, -1).tolist(),
                )
        if len(ids):
            self._database.keep_last_id(self.connection, "regions", int(ids[-1]))
        return ids

    def move_images(self, moves: Sequence[tuple[int, FileState]]) -> None:
        """Note the new places or time stamps of images, in order."""
        columns = ("root_id", "path", "size_bytes", "mtime_ns", "ctime_ns", "inode")
        images = cast(Table, ImageRow.__table__)
        statement = (
            update(images)
            .where(images.c.id == bindparam("image_id"))
            .values({name: bindparam(f"new_{name}") for name in columns})
        )
        rows = [
            {"image_id": image_id} | {f"new_{name}": getattr(file, name) for name in columns}
            for image_id, file in moves
        ]
        if rows:
            connection = self.connection
            connection.execute(statement, rows)
            for part in parts_of([image_id for image_id, _ in moves]):
                write_image_checksums(connection, f"id IN ({places(part)})", part)

    def remove_images(self, ids: Sequence[int]) -> None:
        """Remove images, and all that is said of them; their vectors are hidden from now on."""
        for part in parts_of(ids):
            self._session.execute(delete(ImageRow).where(ImageRow.id.in_(part)))
            self._session.execute(delete(RegionRow).where(RegionRow.image_id.in_(part)))
            self._session.execute(delete(TagRow).where(TagRow.image_id.in_(part)))
            forget_annotations(self.connection, part)
            forget_decisions_about(self.connection, part)
            forget_warnings(self.connection, part)
            known = set(
                self._session.scalars(
                    select(RemovedRow.image_id).where(RemovedRow.image_id.in_(part))
                )
            )
            self._session.add_all(RemovedRow(image_id=i) for i in {*part} - known)
            self._session.flush()

    def removed_images(self) -> IdArray:
        """Return the removed images (N,) whose vectors may still be in segments."""
        return removed_images(self._session)

    def forget_removed(self) -> None:
        """Forget which images were removed, once no segment holds their vectors."""
        self._session.execute(delete(RemovedRow))

    # --- vectors ------------------------------------------------------------------------------

    def segments(self, kind: str) -> list[SegmentEntry]:
        """Return the live segments of a kind, in order."""
        return segments_of(self._session, kind)

    def add_segment(self, kind: str, rows: int, dimension: int) -> SegmentEntry:
        """Add a segment, whose files are to be written before the commit."""
        row = SegmentRow(kind=kind, rows=rows, dimension=dimension)
        self._session.add(row)
        self._session.flush()
        return SegmentEntry(row.id, kind, rows, dimension)

    def set_segment_checksum(self, entry: SegmentEntry, checksum: str) -> None:
        """Note the checksum of a segment's files, once they are written."""
        self._session.execute(
            update(SegmentRow).where(SegmentRow.id == entry.id).values(checksum=checksum)
        )

    def drop_segments(self, entries: Sequence[SegmentEntry]) -> None:
        """Take segments out."""
        ids = [entry.id for entry in entries]
        self._session.execute(delete(SegmentRow).where(SegmentRow.id.in_(ids)))

    def add_ivf(
        self,
        kind: str,
        index_type: str,
        *,
        rows: int,
        trained_rows: int,
        nprobe: int,
        recall: float,
    ) -> IvfEntry:
        """Add the IVF index of a kind, whose file is to be written before the commit."""
        values: dict[str, Any] = {
            "kind": kind,
            "index_type": index_type,
            "rows": rows,
            "trained_rows": trained_rows,
            "nprobe": nprobe,
            "recall": recall,
        }
        row = IvfRow(**values)
        self._session.add(row)
        self._session.flush()
        return IvfEntry(row.id, **values)

    def set_ivf_checksum(self, entry: IvfEntry, checksum: str) -> None:
        """Note the checksum of the file of an IVF index, once it is written."""
        self._session.execute(update(IvfRow).where(IvfRow.id == entry.id).values(checksum=checksum))

    def ivf_rows(self, kind: str) -> int:
        """Return how many of a kind's first rows are in its IVF index, 0 without one."""
        return self._session.scalar(select(IvfRow.rows).where(IvfRow.kind == kind)) or 0

    def drop_ivf(self, kind: str) -> None:
        """Take the IVF index of a kind out, if there is one."""
        self._session.execute(delete(IvfRow).where(IvfRow.kind == kind))

    # --- the store as a whole -----------------------------------------------------------------

    def add_spec(self, json: str, fingerprint: str) -> None:
        """Write the spec of a new catalogue."""
        self._session.add(SpecRow(id=1, json=json, fingerprint=fingerprint))

    def set_index_type(self, index_type: str) -> None:
        """Choose how vectors are to be searched."""
        self._session.execute(update(SpecRow).values(index_type=index_type))

    def set_keeps_keypoints(self, keeps: bool) -> None:
        """Choose whether an index run finds the keypoints of every image."""
        self._session.execute(update(SpecRow).values(keypoints=keeps))

    def set_spec(self, json: str, fingerprint: str) -> None:
        """Replace the spec."""
        self._session.execute(update(SpecRow).values(json=json, fingerprint=fingerprint))


def segments_of(session: Session, kind: str) -> list[SegmentEntry]:
    """Return the live segments of a kind, in order."""
    query = select(SegmentRow).where(SegmentRow.kind == kind).order_by(SegmentRow.id)
    rows = session.scalars(query)
    return [
        SegmentEntry(row.id, row.kind, row.rows, row.dimension, row.checksum or "") for row in rows
    ]


def removed_images(session: Session) -> IdArray:
    """Return the removed images (N,) whose vectors may still be in segments."""
    return np.array(session.scalars(select(RemovedRow.image_id)).all(), np.int64)


def _to_row(image_id: int, entry: Entry) -> dict[str, Any]:
    file = entry.file
    return {
        "id": image_id,
        "root_id": file.root_id,
        "path": file.path,
        "content_hash": file.content_hash,
        **entry.columns(),
    }
