"""SearchEngine: a query in, ranked hits out; everything it needs stays loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexer.choices import EngineName
from indexer.errors import BlankQueryError, CbirError, StoreChangedError
from indexer.features.extractor import FeatureExtractor
from indexer.features.regions import Region
from indexer.store.places import require_store
from indexer.store.reader import StoreReader
from retrieval.collection import Collection
from retrieval.describe import describe_queries
from retrieval.query import Hit, Query
from retrieval.ranking import copies_of_blank, rank

ANY_BOX = Region(0, 0, 1, 1)
ANY_TEXT = "any"


class SearchEngine:
    """Answers queries on one store; threads may share it.

    The hits of a query, with their scores and boxes, are the same whatever is asked beside it or
    before it. Each search is one of the last commit when it began, whichever process made it; the
    network and the pictures stay loaded.
    """

    def __init__(
        self,
        store: StoreReader,
        *,
        engine: EngineName = "auto",
        extractor: FeatureExtractor | None = None,
    ) -> None:
        self.store = store
        self._collection = Collection(store, engine=engine, extractor=extractor)

    @classmethod
    def open(cls, path: Path | str | None = None, *, engine: EngineName = "auto") -> SearchEngine:
        """Open the store at `path`, or that of the current folder.

        Raises `StoreNotFoundError` if there is none.
        """
        return cls(StoreReader.open(require_store(path)), engine=engine)

    @property
    def collection(self) -> Collection:
        """The store that is searched, as of its last commit."""
        return self._collection.current()

    def search(
        self, query: Query, *, require_wanted: Callable[[], object] = lambda: None
    ) -> list[Hit]:
        """Return the hits of `query`, best first, ties by image id.

        The query's own file, and copies of it, come before all others. `require_wanted` is called
        between the steps of a long search; what it raises ends the search.

        Raises `ImageError` for an unusable query image, `InvalidRegionError` for a box outside it,
        `InvalidQueryError` for an image id that is not in the store, `BlankQueryError` for one that
        shows nothing, unless the store has its very bytes, and `StoreError` where the store has no
        vectors of the kind asked for.
        """
        [answer] = self.search_many([query], require_wanted=require_wanted)
        if isinstance(answer, CbirError):
            raise answer
        return answer

    def search_many(
        self,
        queries: Sequence[Query],
        *,
        require_wanted: Callable[[], object] = lambda: None,
    ) -> list[list[Hit] | CbirError]:
        """Return for each query what `search` returns, or the error that it raises.

        All are forwarded through the network together, and those that search alike are compared
        with the store together.
        """
        return self._collection.at_last_commit(
            lambda now: _search_many(now, queries, require_wanted)
        )


def _search_many(
    collection: Collection, queries: Sequence[Query], require_wanted: Callable[[], object]
) -> list[list[Hit] | CbirError]:
    """Do what `SearchEngine.search_many` does, in one commit."""
    vectors = describe_queries(collection, queries)
    answers: list[list[Hit] | CbirError] = []
    alike: dict[Query, list[int]] = {}
    for i, (query, vector) in enumerate(zip(queries, vectors, strict=True)):
        if isinstance(vector, BlankQueryError):
            answers.append(copies_of_blank(collection, query) or vector)
        elif isinstance(vector, CbirError):
            answers.append(vector)
        else:
            answers.append([])
            alike.setdefault(_without_source(query), []).append(i)
    for members in alike.values():
        rows = [v for i in members if not isinstance(v := vectors[i], CbirError)]
        try:
            found = rank(
                collection,
                [queries[i] for i in members],
                rows,
                own_first=True,
                require_wanted=require_wanted,
            )
        except StoreChangedError:
            raise
        except CbirError as error:
            answers = [error if i in members else a for i, a in enumerate(answers)]
        else:
            for i, hits in zip(members, found, strict=True):
                answers[i] = hits
    return answers


def _without_source(query: Query) -> Query:
    """Return the query without its source: what queries that search alike have in common."""
    box = None if query.box is None else ANY_BOX
    source: dict[str, Any] = {"image_id": 0}
    if query.text is not None:
        source = {"text": ANY_TEXT}
    elif query.vector is not None:
        source = {"vector": ()}
    nothing = {"path": None, "data": None, "image_id": None, "text": None, "vector": None}
    also = tuple((_without_source(other), weight) for other, weight in query.fused)
    return replace(query, **(nothing | source), box=box, context=0.0, also=also)
