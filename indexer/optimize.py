"""Optimising: merging segments, and keeping the vector indexes of large collections up to date."""

from __future__ import annotations

from indexer.progress import Progress, no_progress, prefixed
from indexer.store.store import Store
from indexer.store.vectors.protocol import KindReport

__all__ = ["KindReport", "optimize_store", "update_indexes"]


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
    return store.vectors.update_index(
        store.catalog.transaction,
        kind,
        store.index_type,
        retrain=retrain,
        progress=prefixed(progress, kind),
    )
