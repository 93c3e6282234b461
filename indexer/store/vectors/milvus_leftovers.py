"""Leftovers: what a killed writer, or a later commit, left in Milvus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from indexer.store.catalog.protocol import CatalogState
from indexer.store.vectors.milvus_collection import read_place
from indexer.store.vectors.milvus_server import MilvusServer


@dataclass(frozen=True)
class Leftovers:
    """Collections that no commit names, and, by collection, expressions for rows of no commit."""

    server: MilvusServer
    collections: Sequence[str]
    rows: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, server: MilvusServer, prefix: str, state: CatalogState) -> Leftovers:
        """Find what a store, whose collections begin with `prefix`, has left; live ones load."""
        present = server.collections(prefix)
        live = {read_place(entry)[0]: f"segment > {entry.id}" for entry in state.segments}
        rows = []
        for name, where in live.items():
            if name in present:
                server.wait_loaded(name)
                if server.count(name, where):
                    rows.append((name, where))
        return cls(server, [name for name in present if name not in live], rows)

    def describe(self) -> list[str]:
        """Return, in words, what there is."""
        found = []
        if self.collections:
            found.append(f"{len(self.collections)} collections in Milvus belong to no commit.")
        if count := sum(self.server.count(name, where) for name, where in self.rows):
            found.append(f"{count} rows in Milvus belong to no commit.")
        return found

    def delete(self) -> None:
        """Delete all of it."""
        for name in self.collections:
            self.server.drop(name)
        for name, where in self.rows:
            self.server.delete(name, where)
