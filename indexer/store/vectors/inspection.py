"""Comparing the vectors of a kind with their checksums and with the catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from indexer.arrays import BoolArray, IdArray
from indexer.errors import StoreCorruptError
from indexer.progress import Progress, no_progress
from indexer.store.catalog.protocol import CatalogState
from indexer.store.vectors.segments import CHUNK_ROWS, Segment, to_float32
from indexer.store.vectors.store import VectorStore

LENGTH_TOLERANCE = 0.01  # float16 changes the length of a unit vector by less than a thousandth


@dataclass
class KindFaults:
    """What is wrong with the vectors of one kind.

    `files` are the messages about segments that cannot be read, `unreadable` their ids, `broken`
    the images with a vector that is damaged or not the catalogue's, and `missing` those without
    one. `ivf` is the message about the IVF index, and `unchecked` counts segments that were written
    without checksums.
    """

    kind: str
    files: list[str] = field(default_factory=list)
    unreadable: set[int] = field(default_factory=set)
    broken: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    ivf: str | None = None
    unchecked: int = 0


def inspect_kind(
    vectors: VectorStore,
    state: CatalogState,
    kind: str,
    wanted: IdArray,
    *,
    described: IdArray,
    progress: Progress = no_progress,
) -> KindFaults:
    """Read and check every vector of a kind.

    `wanted` (N, 2) are the ids of the vectors that there are to be, with their images, ascending,
    and `described` (M,) the images that are to have some.
    """
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
    _compare(np.concatenate(found), wanted, described, faults)
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


def _compare(found: IdArray, wanted: IdArray, described: IdArray, faults: KindFaults) -> None:
    """Note the images whose vectors are not exactly the wanted ones."""
    found = found[np.argsort(found[:, 0], kind="stable")]
    twice = np.flatnonzero(np.diff(found[:, 0]) == 0)
    faults.broken |= set(found[twice, 1].tolist())
    for rows, others in ((found, wanted), (wanted, found)):
        place = np.searchsorted(others[:, 0], rows[:, 0])
        place = np.minimum(place, max(0, len(others) - 1))
        same = (others[place] == rows).all(axis=1) if len(others) else np.zeros(len(rows), bool)
        faults.broken |= set(rows[~same, 1].tolist())
    faults.missing = set(np.setdiff1d(described, found[:, 1]).tolist())
    faults.broken -= faults.missing
