"""Looking through a store without a query: filters by folder, name and date, and counts."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from sqlalchemy import func, select

from indexer.store.catalog import ImageRow, PathText
from indexer.store.reading import StoreReader


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
    query = select(ImageRow.id, ImageRow.root_id, ImageRow.path).where(ImageRow.state == "ok")
    if wanted.since is not None:
        query = query.where(ImageRow.taken_at >= dt.datetime.combine(wanted.since, dt.time.min))
    if wanted.until is not None:
        query = query.where(ImageRow.taken_at <= dt.datetime.combine(wanted.until, dt.time.max))
    roots = store.roots()
    name = wanted.name.casefold()
    pattern = name.replace("[", "[[]")  # a bracket means itself
    pattern = pattern if {"*", "?"} & set(name) else f"*{pattern}*"
    below = {i: _below(root, wanted.folder) for i, root in roots.items()}
    with store.catalog.session() as session:
        rows = session.execute(query.order_by(ImageRow.id)).all()
    return [
        id_
        for id_, root_id, path in rows
        if (prefix := below[root_id]) is not None
        and path.startswith(prefix)
        and (not name or fnmatchcase(path.rsplit("/", 1)[-1].casefold(), pattern))
    ]


def _below(root: Path, folder: Path | None) -> str | None:
    """Return how paths in `root` begin that lie in `folder`; None where none can."""
    if folder is None or root.is_relative_to(folder):
        return ""
    return f"{folder.relative_to(root).as_posix()}/" if folder.is_relative_to(root) else None


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
        failed=store.failed_files(),
        first=first,
        last=last,
        years={int(number): count for number, count in sorted(years)},
        cameras=dict(by_camera.most_common()),
        undated=images - dated,
    )
