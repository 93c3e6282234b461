"""MilvusServer: the calls to Milvus, with limits of time, and errors that name the remedy."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from indexer.arrays import FloatArray, IdArray
from indexer.errors import StoreChangedError, StoreError
from indexer.store.vectors.milvus_url import MilvusPlace

if TYPE_CHECKING:
    from pymilvus import MilvusClient

CALL_S = 60.0
CONNECT_S = 10.0
LOAD_S = 3600.0  # until a collection can be searched, or an index is built
POLL_S = 0.1
MOST_HITS = 16_384  # Milvus's own limit of a search
MESSAGE_BYTES = 16 << 20  # sent, or asked for, at once: Milvus takes 64 MB
MISSING = 100  # the code of Milvus for a collection that does not exist
STRONG, BOUNDED = "Strong", "Bounded"


class FoundRows(NamedTuple):
    """Rows of a collection: ids (N,), image ids (N,), vectors (N, D), and raw scores (N,)."""

    ids: IdArray
    image_ids: IdArray
    vectors: FloatArray
    scores: FloatArray

    def take(self, rows: IdArray) -> FoundRows:
        """Return these rows, in their order."""
        return FoundRows(
            self.ids[rows], self.image_ids[rows], self.vectors[rows], self.scores[rows]
        )


class MilvusServer:
    """A database of a Milvus server. It connects on the first call; threads may share it.

    The user and the password are in no message. Raises `StoreError`, and `StoreChangedError` where
    a collection is gone.
    """

    def __init__(self, place: MilvusPlace) -> None:
        self.place = place
        self._client: MilvusClient | None = None
        self._connecting = Lock()

    def close(self) -> None:
        """Close the connection, if it is open."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    # --- collections --------------------------------------------------------------------------

    def collections(self, prefix: str) -> list[str]:
        """Return the names of the collections that begin with a prefix, in order."""
        return sorted(n for n in self._call("list_collections") if n.startswith(prefix))

    def create(self, name: str, dimension: int, index: Mapping[str, Any]) -> None:
        """Create a collection of vectors, which `index` describes; it is loaded meanwhile."""
        from pymilvus import DataType, MilvusClient

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        for field in ("image_id", "segment"):
            schema.add_field(field, DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        self._call("create_collection", name, schema=schema, consistency_level=STRONG)
        params = MilvusClient.prepare_index_params()
        params.add_index("vector", metric_type="IP", **index)
        self._call("create_index", name, params, sync=False)
        self._call("load_collection", name, _async=True)

    def drop(self, name: str) -> None:
        """Delete a collection, if it exists."""
        self._call("drop_collection", name)

    def exists(self, name: str) -> bool:
        """Whether there is a collection of that name."""
        return bool(self._call("has_collection", name))

    def wait_loaded(self, name: str) -> None:
        """Return once a collection can be searched; raises `StoreError` when it takes too long."""
        deadline = time.monotonic() + LOAD_S
        while (state := self._call("get_load_state", name)["state"].name) != "Loaded":
            if state == "NotExist":
                raise self._replaced()
            if state == "NotLoad":
                self._call("load_collection", name, _async=True)
            self._wait(deadline, name, "loaded")

    def build(self, name: str, *, reload: bool) -> None:
        """Seal what was inserted, compact it, and return once its index is built.

        With `reload` it is in use then, too, and the collection cannot be searched for a while.
        """
        self._call("flush", name)
        self._call("compact", name)
        deadline = time.monotonic() + LOAD_S
        while self._call("describe_index", name, "vector")["state"] != "Finished":
            self._wait(deadline, name, "indexed")
        if reload:
            self._call("release_collection", name)
            self.wait_loaded(name)

    # --- rows ---------------------------------------------------------------------------------

    def insert(
        self, name: str, segment: int, ids: IdArray, image_ids: IdArray, vectors: FloatArray
    ) -> None:
        """Insert vectors (N, D) with their ids (N,), images (N,) and the number of a segment."""
        step = max(1, MESSAGE_BYTES // (4 * vectors.shape[1]))
        for start in range(0, len(ids), step):
            part = slice(start, start + step)
            rows = [
                {"id": id_, "image_id": image_id, "segment": segment, "vector": vector}
                for id_, image_id, vector in zip(
                    ids[part].tolist(), image_ids[part].tolist(), vectors[part], strict=True
                )
            ]
            self._call("insert", name, rows)

    def delete(self, name: str, where: str) -> None:
        """Delete the rows for which an expression holds."""
        self._call("delete", name, filter=where)

    def count(self, name: str, where: str) -> int:
        """Return for how many rows an expression holds, with all that was written before."""
        asked = {"filter": where, "output_fields": ["count(*)"], "consistency_level": STRONG}
        [row] = self._call("query", name, **asked)
        return int(row["count(*)"])

    def fetch_ids(self, name: str, where: str, level: str = STRONG) -> IdArray:
        """Return the ids (N,), ascending, of the rows for which an expression holds."""
        fields = ["id"]
        rows = self._call(
            "query", name, filter=where, output_fields=fields, consistency_level=level
        )
        return np.sort(np.array([row["id"] for row in rows], np.int64))

    def fetch(self, name: str, where: str, dimension: int, level: str = STRONG) -> FoundRows:
        """Return the rows for which an expression holds, in the order of their ids."""
        rows = self._call(
            "query",
            name,
            filter=where,
            output_fields=["id", "image_id", "vector"],
            consistency_level=level,
        )
        found = _to_rows([(r["id"], r["image_id"], r["vector"], 0.0) for r in rows], dimension)
        return found.take(np.argsort(found.ids))

    def nearest(
        self,
        name: str,
        query: FloatArray,
        limit: int,
        where: str,
        params: Mapping[str, Any],
        level: str = STRONG,
        *,
        with_vectors: bool = True,
    ) -> FoundRows:
        """Return the rows nearest to a query (D,), best first, of those that an expression allows.

        There are `limit`, or as many as there are; their scores are those of the index. Without
        vectors, these have no columns.
        """
        fields = ["image_id", "vector"] if with_vectors else ["image_id"]
        [hits] = self._call(
            "search",
            name,
            data=[query],
            anns_field="vector",
            limit=limit,
            filter=where,
            output_fields=fields,
            search_params={"metric_type": "IP", "params": dict(params)},
            consistency_level=level,
        )
        rows = [
            (hit["id"], hit["entity"]["image_id"], hit["entity"].get("vector", ()), hit["distance"])
            for hit in hits
        ]
        return _to_rows(rows, len(query) if with_vectors else 0)

    # --- what they share ----------------------------------------------------------------------

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        client = self._connected()
        from grpc import RpcError
        from pymilvus import MilvusException

        try:
            return getattr(client, method)(*arguments, timeout=CALL_S, **named)
        except MilvusException as error:
            if error.code == MISSING:
                raise self._replaced() from error
            raise self._lost(error.message) from error
        except RpcError as error:
            raise self._lost(str(error)) from error

    def _connected(self) -> MilvusClient:
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> MilvusClient:
        try:
            from pymilvus import MilvusClient, MilvusException
        except ModuleNotFoundError as error:
            raise StoreError(
                "Vectors in Milvus need pymilvus: pip install 'cbir[milvus]'"
            ) from error
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # errors are raised, too
        place = self.place
        try:
            return MilvusClient(
                place.uri,
                user=place.user,
                password=place.password,
                db_name=place.database,
                timeout=CONNECT_S,
                dedicated=True,  # a shared connection may be one without TLS
            )
        except MilvusException as error:
            raise self._lost(error.message) from error

    def _replaced(self) -> StoreChangedError:
        return StoreChangedError(
            f"A collection of the store in {self.place} was replaced since it was opened. Ask "
            "again."
        )

    def _lost(self, reason: str) -> StoreError:
        return StoreError(
            f"The vectors of the store are in {self.place}, which cannot be used "
            f"({_first_line(reason)}). Check that the server runs, and the database, the user and "
            "the password in cbir.toml of the store; then run it again."
        )

    def _wait(self, deadline: float, name: str, what: str) -> None:
        if time.monotonic() > deadline:
            raise StoreError(
                f"The collection {name} in {self.place} is not {what} after {LOAD_S:.0f} s. Look "
                "at the server's log: it may lack memory."
            )
        time.sleep(POLL_S)


def _to_rows(rows: list[tuple[int, int, Sequence[float], float]], dimension: int) -> FoundRows:
    ids, image_ids, vectors, scores = zip(*rows, strict=True) if rows else ((), (), (), ())
    return FoundRows(
        np.array(ids, np.int64),
        np.array(image_ids, np.int64),
        np.array(vectors, np.float32).reshape(len(ids), dimension),
        np.array(scores, np.float32),
    )


def _first_line(reason: str) -> str:
    lines = reason.strip().splitlines() or ["no reason given"]
    return " ".join(lines[0].split()).rstrip(".")
