"""Segments whose arrays are in memory, and those in files, as tests use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from indexer.arrays import HalfArray, IdArray
from indexer.features.spec import VectorKind
from indexer.store.catalog.protocol import SegmentEntry
from indexer.store.reader import StoreReader
from indexer.store.vectors.checked import CheckedRows
from indexer.store.vectors.ivf import IvfIndex
from indexer.store.vectors.local_index import LocalVectorIndex
from indexer.store.vectors.local_store import LocalVectorStore
from indexer.store.vectors.segment_files import read_segment
from indexer.store.vectors.segments import Segment


def files_of(store: StoreReader) -> LocalVectorStore:
    """The vectors of a store that keeps them in files."""
    assert isinstance(store.vectors, LocalVectorStore)
    return store.vectors


def ivf_of(store: StoreReader, kind: VectorKind) -> IvfIndex | None:
    """The IVF index that a search in a kind uses, if any."""
    index = store.vector_index(kind)
    assert isinstance(index, LocalVectorIndex)
    return index.ivf


def in_memory(array: np.ndarray[Any, Any]) -> CheckedRows:
    """Rows that are in no file."""
    return CheckedRows(array, np.empty(0, np.uint8), 0, None, "none")


def segment_of(ids: IdArray, image_ids: IdArray, vectors: HalfArray) -> Segment:
    """A segment whose arrays are in memory."""
    return Segment(in_memory(ids), in_memory(image_ids), in_memory(vectors))


def segment_at(folder: Path, name: str, rows: int, dimension: int, checksum: str = "") -> Segment:
    """The segment whose files begin with `name`: its number and kind."""
    number, _, kind = name.partition("-")
    return read_segment(folder, SegmentEntry(int(number), kind, rows, dimension, checksum))
