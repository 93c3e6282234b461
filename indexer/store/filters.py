"""Choosing images of a store by folder, name, date and tags."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from sqlalchemy import ColumnElement, String, cast, func, select
from sqlalchemy.orm import Session

from indexer.arrays import IdArray
from indexer.image_set import ImageSet
from indexer.sources.place import Place, Remote, archive_of, is_below, path_below
from indexer.store.annotations import read_fields
from indexer.store.catalog.column_types import PathText
from indexer.store.catalog.tables import ImageRow
from indexer.store.filter_language import Comparison, Condition, parse_filter
from indexer.store.filter_queries import FilterCompiler, lies_at
from indexer.store.reader import StoreReader
from indexer.store.records import KnownFile
from indexer.store.tags import read_concepts

IDS_AT_ONCE = 10_000_000  # of a catalogue, as a text of at most some 100 MB


@dataclass(frozen=True)
class ImageFilter:
    """Which images to choose; what is left empty does not restrict.

    `folder` is an absolute path or a URL, subfolders included. `name` is a part of the file name,
    or a pattern with * and ?, in any case. `since` and `until` are days, both inclusive, on which
    the photo was taken; photos without a date pass neither. `tags` are names that an image must all
    have. `where` is a filter in the language of `filter_language`.
    """

    folder: Place | None = None
    name: str = ""
    since: dt.date | None = None
    until: dt.date | None = None
    tags: tuple[str, ...] = ()
    where: str = ""

    def __bool__(self) -> bool:
        """Whether it restricts anything."""
        return self != ImageFilter()

    def conditions(self) -> list[Condition]:
        """Return what is asked for, but for the folder; raises `InvalidFilterError`."""
        asked: list[Condition] = [Comparison("tag", "=", tag, is_text=True) for tag in self.tags]
        if self.name:
            asked.append(Comparison("name", ":", self.name))
        if self.since is not None:
            asked.append(Comparison("date", ">=", self.since.isoformat()))
        if self.until is not None:
            asked.append(Comparison("date", "<=", self.until.isoformat()))
        if self.where:
            asked.append(parse_filter(self.where))
        return asked


def find_ids(store: StoreReader, wanted: ImageFilter) -> ImageSet:
    """Return the readable images that pass a filter.

    Raises `UnknownConceptError` for a tag that the store does not know, and `InvalidFilterError`.
    """
    if wanted != ImageFilter(tags=wanted.tags):
        store.catalog.require_intact("images")
    clauses = [ImageRow.state == "ok"]
    if wanted.folder is not None:
        clauses.append(lies_at(wanted.folder, store.roots()))
    if wanted.tags:
        read_concepts(store, wanted.tags)
    compiler = FilterCompiler(
        store.roots(), lambda: read_concepts(store), lambda: read_fields(store, with_values=True)
    )
    clauses += [compiler.compile(condition) for condition in wanted.conditions()]
    with store.catalog.session() as session:
        last = session.scalar(select(func.max(ImageRow.id))) or 0
        parts = [
            _ids_between(session, clauses, first, first + IDS_AT_ONCE)
            for first in range(0, last + 1, IDS_AT_ONCE)
        ]
    return ImageSet.of(np.concatenate([np.empty(0, np.int64), *parts]))


def _ids_between(
    session: Session, clauses: Sequence[ColumnElement[bool]], first: int, stop: int
) -> IdArray:
    """Return the ids (N,) of the images from `first` to before `stop` that meet all clauses.

    The database writes them as one text, which takes a tenth of the time of a row for each.
    """
    joined = func.aggregate_strings(cast(ImageRow.id, String), ",")
    inside = (ImageRow.id >= first, ImageRow.id < stop)
    text = session.scalar(select(joined).where(*inside, *clauses))
    return np.fromstring(text or "", np.int64, sep=",")


def known_among(store: StoreReader, places: Sequence[Place]) -> dict[tuple[int, str], KnownFile]:
    """Return the files that a run over `places` may find known, by (root id, path).

    These are all, unless the places are single files of this machine, and all folders of the store
    are there: then nothing else can have moved.
    """
    roots = store.roots()
    if not places or not all(isinstance(place, Path) and _is_file(place) for place in places):
        return store.catalog.known_files()
    if not all(isinstance(root, Remote) or root.exists() for root in roots.values()):
        return store.catalog.known_files()
    return store.catalog.known_files(_keys_of(places, roots))


def _is_file(place: Path) -> bool:
    """Whether a place is a file, and no archive: that behaves like a folder."""
    return place.is_file() and archive_of(place) is None


def _keys_of(places: Sequence[Place], roots: Mapping[int, Place]) -> list[tuple[int, str]]:
    return [
        (root_id, path_below(root, place))
        for place in places
        for root_id, root in roots.items()
        if is_below(place, root)
    ]


def images_at(store: StoreReader, place: Place) -> dict[int, bool]:
    """Return the images by id that are in the file `place`, or lie below that folder.

    The values say whether an image is readable.
    """
    if not (isinstance(place, Path) and place.is_dir()):
        files = store.catalog.known_files(_keys_of([place], store.roots()))
        if files:
            return {row.id: row.reason is None for row in files.values()}
    store.catalog.require_intact("images")
    good = (ImageRow.state != "failed").label("good")
    query = select(ImageRow.id, good).where(lies_at(place, store.roots()))
    with store.catalog.session() as session:
        return {row.id: row.good for row in session.execute(query)}


def folders(store: StoreReader) -> list[Place]:
    """Return the folders of readable images, and those above them up to their root, sorted."""
    return [*count_folders(store)]


def count_folders(store: StoreReader) -> dict[Place, int]:
    """Return how many readable images lie in each of `folders`, subfolders included."""
    roots = store.roots()
    # A path up to its last slash.
    parent = func.rtrim(ImageRow.path, func.replace(ImageRow.path, "/", ""), type_=PathText)
    query = select(ImageRow.root_id, parent, func.count()).where(ImageRow.state == "ok")
    with store.catalog.session() as session:
        parents = session.execute(query.group_by(ImageRow.root_id, parent)).all()
    found: Counter[Place] = Counter()
    for root_id, inside, count in parents:
        for above in (PurePosixPath(inside), *PurePosixPath(inside).parents):
            found[roots[root_id] / str(above)] += count
    return {place: found[place] for place in sorted(found, key=lambda place: place.parts)}
