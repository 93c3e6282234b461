"""MilvusCollection: the rows of one kind in Milvus, as of one commit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from indexer.arrays import FloatArray, HalfArray, IdArray
from indexer.choices import INDEX_TYPES, IndexType
from indexer.errors import StoreCorruptError
from indexer.store.catalog.protocol import KindEntries, SegmentEntry
from indexer.store.vectors.milvus_server import BOUNDED, STRONG, FoundRows, MilvusServer

PAGE_BYTES = 16 << 20  # fetched at a time
PAGE_IDS = 65_536  # where only ids are fetched
IMAGES_AT_ONCE = 32  # whose vectors are fetched at a time
NAMED_IDS = 10_000  # in one expression
RUN_IDS = 32  # from so many in a row on, ids are named by the first and the last of them
RUNS_AT_ONCE = 64  # in one expression, which Milvus parses by recursion
SETTLED_S = 10.0  # from then on, what Milvus calls bounded staleness (5 s) shows the whole commit
LISTS = 1024  # of an IVF index of each of Milvus's own segments, which have some 100,000 rows
CODE_BYTES = 64  # of a vector of a compact index, at most


@dataclass(frozen=True)
class MilvusCollection:
    """What a state of the catalogue shows of a collection.

    Every row has the id of the catalogue's segment that it was committed with, so `newest`, the
    last of them, hides what is not committed; rows of `removed` images are hidden, too. No id is
    above `last_id`.
    """

    server: MilvusServer
    name: str
    dimension: int
    newest: int
    last_id: int
    rows: int
    removed: IdArray
    index_type: IndexType = "exact"
    nprobe: int = 1
    opened_at: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, server: MilvusServer, entries: KindEntries) -> MilvusCollection:
        """Return the collection of a kind that has vectors; raises `StoreCorruptError`."""
        entry, ivf = entries.segments[-1], entries.ivf
        name, last_id = read_place(entry)
        return cls(
            server,
            name,
            entry.dimension,
            entry.id,
            last_id,
            sum(e.rows for e in entries.segments),
            entries.removed,
            "exact" if ivf is None else _index_type(ivf.index_type),
            1 if ivf is None else ivf.nprobe,
        )

    @property
    def level(self) -> str:
        """How fresh the answers have to be: strong ones wait for the server's next time tick."""
        is_settled = time.monotonic() - self.opened_at > SETTLED_S
        return BOUNDED if is_settled else STRONG

    @property
    def visible(self) -> str:
        """The expression for the rows that can be found."""
        terms = [f"segment <= {self.newest}", *(f"not ({t})" for t in self._removed_terms())]
        return " and ".join(terms)

    def _removed_terms(self) -> Iterator[str]:
        yield from named("image_id", self.removed)

    def count(self) -> int:
        """Return how many rows can be found."""
        return self.server.count(self.name, self.visible) if len(self.removed) else self.rows

    def nearest(
        self, query: FloatArray, limit: int, where: str, *, with_vectors: bool = True
    ) -> FoundRows:
        """Return the rows nearest to a query (D,) of those that an expression allows.

        There are `limit` or as many as there are: where the lists that are nearest hold fewer, all
        lists are searched.
        """
        search = partial(self.server.nearest, self.name, query, limit, where)
        if self.index_type == "exact":
            return search({}, self.level, with_vectors=with_vectors)
        for nprobe in (self.nprobe, LISTS):
            found = search({"nprobe": nprobe}, self.level, with_vectors=with_vectors)
            if len(found.ids) == limit:
                break
        return found

    def of_images(self, image_ids: IdArray) -> FoundRows:
        """Return the rows of images (N,), which ascend, in the order of their images and ids."""
        parts = [self._empty()]
        for start in range(0, len(image_ids), IMAGES_AT_ONCE):
            [term] = named("image_id", image_ids[start : start + IMAGES_AT_ONCE])
            parts.append(self._fetch(f"{self.visible} and {term}"))
        found = _joined(parts)
        return found.take(np.lexsort((found.ids, found.image_ids)))

    def with_ids(self, ids: IdArray) -> FoundRows:
        """Return those of the rows of these ids (N,) that can be found."""
        parts = [self._empty()]
        for start in range(0, len(ids), step := min(NAMED_IDS, self._page)):
            [term] = named("id", ids[start : start + step])
            parts.append(self._fetch(f"{self.visible} and {term}"))
        return _joined(parts)

    def pages(self, where: str | None = None) -> Iterator[FoundRows]:
        """Yield all rows, or those of an expression, in the order of their ids."""
        where = where or self.visible
        for term in self._ranges(self._page):
            yield self._fetch(f"{where} and {term}")

    def pages_of_ids(self) -> Iterator[IdArray]:
        """Yield the ids of all rows in order."""
        for term in self._ranges(PAGE_IDS):
            where = f"{self.visible} and {term}"
            yield self.server.fetch_ids(self.name, where, self.level)

    @property
    def _page(self) -> int:
        return max(1, PAGE_BYTES // (4 * self.dimension))

    def _ranges(self, step: int) -> Iterator[str]:
        for start in range(0, self.last_id + 1, step):
            yield f"id >= {start} and id < {start + step}"

    def _fetch(self, where: str) -> FoundRows:
        return self.server.fetch(self.name, where, self.dimension, self.level)

    def _empty(self) -> FoundRows:
        none = np.empty(0, np.int64)
        return FoundRows(
            none, none, np.empty((0, self.dimension), np.float32), np.empty(0, np.float32)
        )


def named(column: str, ids: IdArray) -> Iterator[str]:
    """Yield expressions for the rows whose column holds one of these ids (N,), some at a time."""
    for start in range(0, len(ids), NAMED_IDS):
        part = ids[start : start + NAMED_IDS].tolist()
        yield f"{column} in [{','.join(map(str, part))}]"


def spanning(column: str, ids: IdArray) -> Iterator[str]:
    """Do what `named` does for ids in order; runs of them are named by their ends.

    Photos of a folder, or of a time, mostly have ids that follow one another.
    """
    firsts = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 2) != 1)
    counts = np.diff(firsts, append=len(ids))
    is_run = counts >= RUN_IDS
    yield from named(column, ids[~np.repeat(is_run, counts)])
    begins = ids[firsts[is_run]]
    runs = list(zip(begins.tolist(), (begins + counts[is_run] - 1).tolist(), strict=True))
    for start in range(0, len(runs), RUNS_AT_ONCE):
        part = runs[start : start + RUNS_AT_ONCE]
        yield f"({' or '.join(f'({column} >= {a} and {column} <= {b})' for a, b in part)})"


def read_place(entry: SegmentEntry) -> tuple[str, int]:
    """Return the collection of a segment, and the last id in it; raises `StoreCorruptError`."""
    name, _, last_id = entry.checksum.rpartition(" ")
    if not (name and last_id.isdecimal()):
        raise StoreCorruptError(
            f"The catalogue names no collection in Milvus for its {entry.kind} vectors. Make the "
            "store again with: cbir index --rebuild"
        )
    return name, int(last_id)


def index_params(index_type: IndexType, dimension: int) -> Mapping[str, Any]:
    """Return what Milvus is to build for an index type."""
    if index_type == "exact":
        return {"index_type": "FLAT"}
    if index_type == "balanced":
        return {"index_type": "IVF_SQ8", "params": {"nlist": LISTS}}
    parts = max(n for n in range(1, CODE_BYTES + 1) if dimension % n == 0)
    return {"index_type": "IVF_PQ", "params": {"nlist": LISTS, "m": parts, "nbits": 8}}


def _joined(parts: Sequence[FoundRows]) -> FoundRows:
    ids, image_ids, vectors, scores = zip(*parts, strict=True)
    return FoundRows(*map(np.concatenate, (ids, image_ids, vectors, scores)))


def _index_type(name: str) -> IndexType:
    return next(index_type for index_type in INDEX_TYPES if index_type == name)


def as_stored(vectors: FloatArray | HalfArray) -> FloatArray:
    """Return vectors as float16 holds them, so that they equal those of files bit for bit."""
    return vectors.astype(np.float16).astype(np.float32)
