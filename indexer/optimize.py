"""Optimising: merging segments, and keeping the IVF indexes of large collections up to date."""

from __future__ import annotations

from dataclasses import dataclass

from indexer.choices import INDEX_TYPES, IndexType
from indexer.progress import Progress, no_progress, prefixed
from indexer.store.store import Store
from indexer.store.vectors.ivf import LEAST_ROWS, IvfIndex, choose_index_type

TAIL_ROWS = 50_000  # new vectors that are compared one by one before they go into the IVF index
TAIL_SHARE = 0.1
OUTGROWN = 4  # times as many rows as the index was trained for: time to retrain it


@dataclass(frozen=True)
class KindReport:
    """How the vectors of one kind are searched; `recall` is None for an exact search."""

    kind: str
    rows: int
    index_type: IndexType
    nprobe: int | None
    recall: float | None


def optimize_store(store: Store, progress: Progress = no_progress) -> list[KindReport]:
    """Merge each kind's segments, drop removed vectors and retrain its IVF index.

    Queries continue meanwhile; an interruption keeps what was finished.
    """
    with store.writing():
        for kind in store.spec.kinds:
            store.merge_segments(kind.name, prefixed(progress, kind.name))
        store.forget_removed()
        return [_update(store, kind.name, progress, retrain=True) for kind in store.spec.kinds]


def update_indexes(store: Store, progress: Progress = no_progress) -> None:
    """Bring the IVF indexes up to date with what was added, where it pays, and join segments."""
    with store.writing():
        for kind in store.spec.kinds:
            _update(store, kind.name, progress, retrain=False)
            store.join_segments(kind.name, prefixed(progress, kind.name))


def _update(store: Store, kind: str, progress: Progress, *, retrain: bool) -> KindReport:
    report = prefixed(progress, kind)
    rows = store.vectors.rows(kind)
    index_type = _wanted_type(store, len(rows))
    entry = store.vectors.ivf_entry(kind)
    if index_type == "exact":
        if entry is not None:
            store.replace_ivf(kind, None)
        return KindReport(kind, len(rows), index_type, None, None)
    outgrown = entry is not None and len(rows) > OUTGROWN * entry.trained_rows
    if entry is None or entry.index_type != index_type or retrain or outgrown:
        ivf = IvfIndex.train_cells(rows, index_type, report)
        report("training the codes", 0, 0)
        ivf.train_codes(rows)
        trained_rows = len(rows)
    elif len(rows) - entry.rows >= max(TAIL_ROWS, TAIL_SHARE * entry.rows):
        ivf = store.vectors.open_ivf(entry, to_extend=True)
        trained_rows = entry.trained_rows
    else:
        return KindReport(kind, len(rows), index_type, entry.nprobe, entry.recall)
    ivf.extend(rows, report)
    ivf.calibrate(rows, report)
    store.replace_ivf(kind, ivf, trained_rows)
    return KindReport(kind, len(rows), index_type, ivf.nprobe, ivf.recall)


def _wanted_type(store: Store, rows: int) -> IndexType:
    chosen = store.index_type
    wanted = next((t for t in INDEX_TYPES if t == chosen), choose_index_type(rows))
    return wanted if rows >= LEAST_ROWS[wanted] else "exact"
