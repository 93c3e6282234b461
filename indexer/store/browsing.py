"""Looking through a store without a query: filters by folder, name and date, and counts."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from sqlalchemy import ColumnElement, and_, false, func, or_, select

from indexer.store.catalog import ImageRow, PathText, RegionRow, SegmentRow
from indexer.store.reading import REGION_KINDS, StoreReader
from indexer.store.records import StoreSummary


@dataclass(frozen=True)
class ImageFilter:
    """Which images are meant; what is left empty does not restrict.

    `folder` is an absolute path, subfolders included. `name` is a part of the file name, or a
    pattern with * and ?, in any case. `since` and `until` are days, both inclusive, on which the
    photo was taken; photos without a date pass neither.
    """

    folder: Path | None = None
    name: str = ""
    since: dt.date | None = None
    until: dt.date | None = None

    def __bool__(self) -> bool:
        """Whether it restricts anything."""
        return self != ImageFilter()


@dataclass(frozen=True)
class Census:
    """What a store holds, counted: good and failed images, by year, by camera, by folder."""

    images: int
    failed: list[tuple[str, str]]
    first: dt.datetime | None
    last: dt.datetime | None
    years: dict[int, int] = field(default_factory=dict)
    cameras: dict[str, int] = field(default_factory=dict)
    undated: int = 0


def find_ids(store: StoreReader, wanted: ImageFilter) -> list[int]:
    """Return the ids of the good images that a filter means, ascending."""
    query = select(ImageRow.id).where(ImageRow.state == "ok").order_by(ImageRow.id)
    if wanted.since is not None:
        query = query.where(ImageRow.taken_at >= dt.datetime.combine(wanted.since, dt.time.min))
    if wanted.until is not None:
        query = query.where(ImageRow.taken_at <= dt.datetime.combine(wanted.until, dt.time.max))
    if wanted.folder is not None:
        query = query.where(_lies_at(wanted.folder, store.roots()))
    with store.catalog.session() as session:
        if not wanted.name:
            return list(session.scalars(query))
        rows = session.execute(query.add_columns(ImageRow.path)).all()
    name = wanted.name.casefold()
    pattern = name.replace("[", "[[]")  # a bracket means itself
    pattern = pattern if {"*", "?"} & set(name) else f"*{pattern}*"
    return [id_ for id_, path in rows if fnmatchcase(path.rsplit("/", 1)[-1].casefold(), pattern)]


def images_at(store: StoreReader, place: Path) -> dict[int, bool]:
    """Return the images by id that are the file `place`, or lie below that folder.

    The values say whether an image is good; else it could not be read.
    """
    good = (ImageRow.state == "ok").label("good")
    query = select(ImageRow.id, good).where(_lies_at(place, store.roots()))
    with store.catalog.session() as session:
        return {row.id: row.good for row in session.execute(query)}


def _lies_at(place: Path, roots: Mapping[int, Path]) -> ColumnElement[bool]:
    conditions = []
    for root_id, root in roots.items():
        in_root = ImageRow.root_id == root_id
        if root.is_relative_to(place):
            conditions.append(in_root)
        elif place.is_relative_to(root):
            path = place.relative_to(root).as_posix()
            start = func.substr(ImageRow.path, 1, len(path) + 1, type_=PathText)
            conditions.append(and_(in_root, or_(ImageRow.path == path, start == f"{path}/")))
    return or_(false(), *conditions)


def folders(store: StoreReader) -> list[Path]:
    """Return the folders that hold good images, and those above them up to their root, sorted."""
    roots = store.roots()
    # What is left of a path when all but its last slash is cut off at the end.
    parent = func.rtrim(ImageRow.path, func.replace(ImageRow.path, "/", ""), type_=PathText)
    query = select(ImageRow.root_id, parent).where(ImageRow.state == "ok").distinct()
    with store.catalog.session() as session:
        parents = session.execute(query).all()
    found = {
        roots[root_id] / above
        for root_id, parent in parents
        for above in (PurePosixPath(parent), *PurePosixPath(parent).parents)
    }
    return sorted(found)


def count_images(store: StoreReader) -> Census:
    """Count the images of a store by what is known of them."""
    good = ImageRow.state == "ok"
    year = func.strftime("%Y", ImageRow.taken_at)
    with store.catalog.session() as session:
        images, dated, first, last = session.execute(
            select(
                func.count(),
                func.count(ImageRow.taken_at),
                func.min(ImageRow.taken_at),
                func.max(ImageRow.taken_at),
            ).where(good)
        ).one()
        years = session.execute(
            select(year, func.count()).where(good, year.is_not(None)).group_by(year)
        ).all()
        cameras = session.execute(
            select(ImageRow.camera, func.count())
            .where(good, ImageRow.camera.is_not(None))
            .group_by(ImageRow.camera)
        ).all()
    by_camera = Counter({camera: count for camera, count in cameras if camera})
    return Census(
        images=images,
        failed=failed_files(store),
        first=first,
        last=last,
        years={int(number): count for number, count in sorted(years)},
        cameras=dict(by_camera.most_common()),
        undated=images - dated,
    )


def failed_files(store: StoreReader) -> list[tuple[str, str]]:
    """Return (path, reason) of the files that could not be read, sorted."""
    roots = store.roots()
    with store.catalog.session() as session:
        rows = session.scalars(
            select(ImageRow).where(ImageRow.state == "failed").order_by(ImageRow.path)
        )
        return [(str(roots[row.root_id] / row.path), row.reason or "") for row in rows]


def summarize(store: StoreReader) -> StoreSummary:
    """Count what the store holds."""
    roots = store.roots()
    with store.catalog.session() as session:
        images = session.scalar(select(func.count()).where(ImageRow.state == "ok")) or 0
        regions = session.scalar(select(func.count()).select_from(RegionRow)) or 0
        kinds = session.execute(
            select(SegmentRow.kind, func.max(SegmentRow.dimension)).group_by(SegmentRow.kind)
        ).all()
    files = [file for file in store.path.rglob("*") if file.is_file()]
    return StoreSummary(
        images=images,
        failed=failed_files(store),
        vectors={k: regions if k in REGION_KINDS else images for k, _ in kinds},
        dimensions={row.kind: row[1] for row in kinds},
        bytes_on_disk=sum(file.stat().st_size for file in files),
        roots=[str(path) for path in roots.values()],
    )
