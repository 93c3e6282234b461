"""Comparing the vector files of a kind with their checksums and with the catalogue."""

from __future__ import annotations

import numpy as np

from indexer.arrays import BoolArray, IdArray
from indexer.errors import StoreCorruptError
from indexer.progress import Progress, no_progress
from indexer.store.catalog.protocol import CatalogState
from indexer.store.vectors.faults import (
    LENGTH_TOLERANCE,
    KindFaults,
    WantedRows,
    note_differences,
)
from indexer.store.vectors.segments import CHUNK_ROWS, Segment, to_float32
from indexer.store.vectors.vector_files import VectorFiles


def inspect_files(
    vectors: VectorFiles,
    state: CatalogState,
    kind: str,
    wanted: WantedRows,
    progress: Progress = no_progress,
) -> KindFaults:
    """Read and check every vector of a kind."""
    faults = KindFaults(kind)
    entries = state.files(kind)
    total, done = sum(entry.rows for entry in entries.segments), 0
    found = [np.empty((0, 2), np.int64)]
    for entry in entries.segments:
        faults.unchecked += not entry.checksum
        try:
            segment = vectors.read(entry)
            rows, good = _check_rows(segment, faults, progress, (done, total))
        except StoreCorruptError as error:
            faults.files.append(str(error))
            faults.unreadable.add(entry.id)
        else:
            live = ~np.isin(rows[:, 1], entries.removed)
            faults.broken |= set(rows[~good & live, 1].tolist())
            found.append(rows[good & live])
        done += entry.rows
    note_differences(np.concatenate(found), wanted, faults)
    if entries.ivf is not None:
        try:
            vectors.open_ivf(entries.ivf)
        except StoreCorruptError as error:
            faults.ivf = str(error)
    return faults


def _check_rows(
    segment: Segment, faults: KindFaults, progress: Progress, place: tuple[int, int]
) -> tuple[IdArray, BoolArray]:
    """Return the ids and images (N, 2) of the rows of a segment, and which rows are sound (N,).

    Raises `StoreCorruptError` where the ids themselves are damaged.
    """
    ids, images = segment.ids.all(), segment.image_ids.all()
    rows = np.column_stack([ids, images])
    sound = ~segment.vectors.rows_in(segment.vectors.check_all())
    for start in range(0, len(segment), CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, len(segment))
        own = np.flatnonzero(sound[start:stop]) + start
        lengths = np.linalg.norm(to_float32(segment.vectors.take(own)), axis=1)
        sound[own] = np.abs(lengths - 1) < LENGTH_TOLERANCE
        segment.vectors.let_go()
        progress(f"{faults.kind}: checking vectors", place[0] + stop, place[1])
    ascends = np.diff(images, prepend=images[:1]) >= 0
    sound &= ascends.all()
    return rows, sound
