"""Reading the state of a catalogue, and its checksum; see `CatalogState`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from indexer.choices import INDEX_TYPES
from indexer.errors import StoreCorruptError
from indexer.store.catalog.paths import from_stored
from indexer.store.catalog.protocol import CatalogState, IvfEntry, Root, SegmentEntry
from indexer.store.trust import is_seal_of

Ask = Callable[[str], Iterable[Sequence[Any]]]
"""Executes a query and returns its rows."""

# The tables whose rows are few; the state's checksum covers all of them.
_TABLES: tuple[tuple[str, tuple[type, ...]], ...] = (
    (
        "SELECT id, json, fingerprint, index_form, keypoints FROM spec ORDER BY id",
        (int, str, str, str, int),
    ),
    ("SELECT id, path, options, skipped FROM roots ORDER BY id", (int, str, str, str)),
    (
        "SELECT id, kind, rows, dimension, coalesce(checksum, '') FROM segments ORDER BY id",
        (int, str, int, int, str),
    ),
    (
        "SELECT id, kind, form, rows, trained_rows, nprobe, recall, coalesce(checksum, '') "
        "FROM lists ORDER BY id",
        (int, str, str, int, int, int, float, str),
    ),
    ("SELECT image_id FROM removed ORDER BY image_id", (int,)),
)
_KIND = re.compile(r"[a-z_]+")


def read_state(ask: Ask, store: str, known: CatalogState | None = None) -> CatalogState:
    """Read the state of the catalogue, whose moment `ask` holds, or return `known` if it is that.

    Raises `StoreCorruptError`, naming the `store`, where it does not agree with its checksum.
    """
    stored = list(ask("SELECT commits, checksum, seal FROM state"))
    if len(stored) != 1:
        raise _damaged(store)
    commits, checksum, seal = stored[0]
    if known is not None and known.commits == commits:
        return known
    tables = _read_tables(ask)
    if not _are_plausible(tables) or state_checksum(commits, tables) != checksum:
        raise _damaged(store)
    return _to_state(commits, tables, is_sealed=is_seal_of(checksum, seal))


def read_checksum(ask: Ask, commits: int) -> str:
    """Return the checksum of the catalogue's state as it is, under this number of commits."""
    return state_checksum(commits, _read_tables(ask))


def state_checksum(commits: int, tables: Sequence[Sequence[Sequence[Any]]]) -> str:
    """Return the SHA-256 of the small tables and the number of commits."""
    text = json.dumps([commits, tables], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _read_tables(ask: Ask) -> list[list[list[Any]]]:
    return [[list(row) for row in ask(query)] for query, _ in _TABLES]


def _are_plausible(tables: Sequence[Sequence[Sequence[Any]]]) -> bool:
    """Whether all values are of the types and kinds that cbir writes: SQLite takes any."""
    for rows, (_, types) in zip(tables, _TABLES, strict=True):
        if not all(isinstance(v, t) for row in rows for v, t in zip(row, types, strict=True)):
            return False
    specs, roots, segments, ivfs, _ = tables
    return (
        len(specs) <= 1
        and all(_are_counts(row[3]) for row in roots)
        and all(_KIND.fullmatch(row[1]) for row in (*segments, *ivfs))
        and all(row[0] > 0 and row[2] >= 0 and row[3] > 0 for row in segments)
        and all(row[2] in INDEX_TYPES and row[0] > 0 and row[5] > 0 for row in ivfs)
    )


def _are_counts(text: str) -> bool:
    """Whether a text holds numbers by name, as JSON."""
    try:
        counts = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(counts, dict) and all(isinstance(value, int) for value in counts.values())


def _to_state(
    commits: int, tables: Sequence[Sequence[Sequence[Any]]], *, is_sealed: bool
) -> CatalogState:
    specs, roots, segments, ivfs, removed = tables
    spec = specs[0] if specs else (1, None, "", "auto", False)
    return CatalogState(
        commits=commits,
        spec=spec[1],
        index_type=spec[3],
        keeps_keypoints=bool(spec[4]),
        roots={id_: Root(from_stored(path), *rest) for id_, path, *rest in roots},
        segments=tuple(SegmentEntry(*row) for row in segments),
        ivfs=tuple(IvfEntry(*row) for row in ivfs),
        removed=np.array(removed, np.int64).reshape(-1),
        is_sealed=is_sealed,
    )


def _damaged(store: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"The catalogue of the store at {store} is damaged: it does not agree with its checksum. "
        f"Find out more, and mend it, with: cbir doctor --repair --store {store}"
    )
