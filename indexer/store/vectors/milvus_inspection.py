"""Comparing a collection of Milvus with the catalogue."""

from __future__ import annotations

import numpy as np

from indexer.progress import Progress
from indexer.store.vectors.faults import (
    LENGTH_TOLERANCE,
    KindFaults,
    WantedRows,
    note_differences,
)
from indexer.store.vectors.milvus_collection import MilvusCollection


def inspect_collection(
    collection: MilvusCollection | None, kind: str, wanted: WantedRows, progress: Progress
) -> KindFaults:
    """Read and check every vector of a kind; without a collection, all are missing."""
    faults = KindFaults(kind)
    found = [np.empty((0, 2), np.int64)]
    done = 0
    for page in () if collection is None else collection.pages():
        rows = np.column_stack([page.ids, page.image_ids])
        is_sound = np.abs(np.linalg.norm(page.vectors, axis=1) - 1) < LENGTH_TOLERANCE
        faults.broken |= set(page.image_ids[~is_sound].tolist())
        found.append(rows[is_sound])
        done += len(rows)
        progress(f"{kind}: checking vectors", done, 0 if collection is None else collection.rows)
    note_differences(np.concatenate(found), wanted, faults)
    return faults
