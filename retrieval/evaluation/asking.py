"""Asking the queries of a manifest in a store that holds its database."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from indexer.errors import (
    BlankQueryError,
    CbirError,
    DegenerateFeatureError,
    ImageError,
    InvalidQueryError,
    InvalidRegionError,
    StoreError,
)
from indexer.features.regions import Region
from indexer.image_set import ImageSet
from indexer.images.accepted import load_accepted
from indexer.progress import Progress, no_progress
from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo
from indexer.store.statistics import failed_files
from retrieval.engine import SearchEngine
from retrieval.evaluation.manifest import Manifest, ManifestQuery
from retrieval.query import Hit, Query

BATCH = 16  # queries that are forwarded and compared together
OF_ONE_QUERY = (ImageError, InvalidRegionError, BlankQueryError, DegenerateFeatureError)

Answer = tuple[str, list[Hit] | CbirError]
"""A query's id, and its hits or why it cannot be answered."""


@dataclass(frozen=True)
class Database:
    """The images of a manifest's database in a store, and the entries that could not be indexed."""

    ids: ImageSet
    unreadable: tuple[str, ...]


def find_database(store: StoreReader, manifest: Manifest) -> Database:
    """Return the images that are searched; raises `StoreError` where some are not in the store.

    Those that were met when indexing and could not be read are not missing.
    """
    ids: set[int] = set()
    absent: list[str] = []
    for entry in manifest.database:
        info = find_file(store, manifest.folder / entry)
        if info is None:
            absent.append(entry)
        else:
            ids.add(info.id)
    failed = {os.path.realpath(path) for path, _ in failed_files(store)} if absent else set()
    unreadable = [e for e in absent if os.path.realpath(manifest.folder / e) in failed]
    missing = sorted(set(absent) - set(unreadable))
    if not ids and not missing:
        raise StoreError(f"The database of {manifest.name} has no images that can be read.")
    if missing:
        raise StoreError(
            f"{len(missing):,} of the {len(manifest.entries):,} images of {manifest.name} are not "
            f"in the store {store.path}, such as {manifest.folder / missing[0]}. Index "
            f"them first: cbir index {manifest.folder} --store {store.path}"
        )
    return Database(ImageSet.of(ids), tuple(sorted(set(unreadable))))


def find_file(store: StoreReader, path: Path) -> ImageInfo | None:
    """Return the image of the store that this file is, also below a root that is a link."""
    info = store.find_image(path)
    if info is not None:
        return info
    for root in (place for place in store.roots().values() if isinstance(place, Path)):
        real = Path(os.path.realpath(root))
        if real != root and path.is_relative_to(real):
            return store.find_image(root / path.relative_to(real))
    return None


def name_search(store: StoreReader, manifest: Manifest, settings: Mapping[str, Any]) -> str:
    """Return what the queries are compared with: image, region, or both, by their boxes.

    Raises `InvalidQueryError` for impossible settings.
    """
    made = (
        Query.for_store(store.spec, path=query.image, box=query.box, **settings)
        for query in manifest.queries
    )
    return ", ".join(sorted({query.search for query in made}))


def ask_queries(
    engine: SearchEngine,
    manifest: Manifest,
    database: Database,
    settings: Mapping[str, Any],
    progress: Progress = no_progress,
) -> Iterator[Answer]:
    """Yield the answer to each query of a manifest, in order.

    `settings` are fields of `Query.for_store`. A query whose image or box cannot be used has the
    error as its answer; any other error is raised.
    """
    queries = manifest.queries
    size = 1 if settings.get("rerank") or settings.get("verify") else BATCH
    failed = 0
    progress("Asking", 0, len(queries))
    for start in range(0, len(queries), size):
        part = queries[start : start + size]
        for query, answer in zip(
            part, _answer(engine, manifest, part, database, settings), strict=True
        ):
            if isinstance(answer, CbirError):
                if not isinstance(answer, OF_ONE_QUERY):
                    raise answer
                failed += 1
            yield query.id, answer
        progress("Asking", start + len(part), len(queries), failed=failed)


def _answer(
    engine: SearchEngine,
    manifest: Manifest,
    part: Sequence[ManifestQuery],
    database: Database,
    settings: Mapping[str, Any],
) -> list[list[Hit] | CbirError]:
    asked: list[Query | CbirError] = []
    for query in part:
        try:
            box = _fit(engine.store, query) if manifest.clips_boxes else query.box
        except OF_ONE_QUERY as error:
            asked.append(error)
        else:
            source: dict[str, Any] = {"path": query.image, "box": box, "allowed": database.ids}
            asked.append(Query.for_store(engine.store.spec, **source, **settings))
    found = iter(engine.search_many([q for q in asked if not isinstance(q, CbirError)]))
    return [q if isinstance(q, CbirError) else next(found) for q in asked]


def _fit(store: StoreReader, query: ManifestQuery) -> Region | None:
    """Return the box of a query, clipped to its image."""
    box = query.box
    if box is None:
        return None
    info = find_file(store, query.image)
    size = (info.width, info.height) if info else _size(query.image)
    return Region(box.x0, box.y0, min(box.x1, size[0]), min(box.y1, size[1]))


def _size(image: Path) -> tuple[int, int]:
    facts = load_accepted(image, at_least=1).facts
    return facts.width, facts.height


def answer_as_dict(query_id: str, hits: Sequence[Hit]) -> dict[str, Any]:
    """Return an answer for JSON: the query's id, and the path, score and box of each hit."""
    found = [
        {
            "path": str(hit.path),
            "score": round(hit.score, 6),
            "box": list(hit.region.as_tuple()) if hit.region else None,
        }
        for hit in hits
    ]
    return {"id": query_id, "hits": found}


def keep_asked(manifests: Sequence[Manifest]) -> Manifest:
    """Return the first of a benchmark's manifests, with the queries that any has positives for.

    Raises `InvalidQueryError` where no query has a positive.
    """
    wanted = {query.id for manifest in manifests for query in manifest.queries if query.positives}
    if not wanted:
        raise InvalidQueryError(f"No query of {manifests[0].name} has a positive.")
    first = manifests[0]
    return replace(first, queries=[query for query in first.queries if query.id in wanted])
