"""Counts of what a store holds."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sqlalchemy import extract, func, select

from indexer.store.catalog.paths import from_stored
from indexer.store.catalog.tables import ImageRow, RegionRow, SegmentRow, WarningRow
from indexer.store.reader import StoreReader
from indexer.store.records import StoreSummary


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


def count_images(store: StoreReader) -> Census:
    """Count the images of a store by what is known about them."""
    good = ImageRow.state == "ok"
    year = extract("year", ImageRow.taken_at)
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


def count_months(store: StoreReader) -> dict[tuple[int, int], int]:
    """Return how many images were taken in each (year, month), in order."""
    year, month = (extract(part, ImageRow.taken_at) for part in ("year", "month"))
    query = (
        select(year, month, func.count())
        .where(ImageRow.state == "ok", ImageRow.taken_at.is_not(None))
        .group_by(year, month)
    )
    with store.catalog.session() as session:
        counts = session.execute(query).all()
    return {(int(row[0]), int(row[1])): row[2] for row in sorted(counts)}


def sizes_of_images(store: StoreReader) -> dict[int, tuple[int, int]]:
    """Return (width, height) of each readable image, in pixels."""
    query = select(ImageRow.id, ImageRow.width, ImageRow.height).where(ImageRow.state == "ok")
    with store.catalog.session() as session:
        return {row[0]: (row[1] or 1, row[2] or 1) for row in session.execute(query)}


def years_of_images(store: StoreReader) -> dict[int, int]:
    """Return the year in which each readable image was taken, of those whose date is known."""
    year = extract("year", ImageRow.taken_at)
    query = select(ImageRow.id, year).where(ImageRow.state == "ok", year.is_not(None))
    with store.catalog.session() as session:
        return {image_id: int(number) for image_id, number in session.execute(query)}


def folders_of_images(store: StoreReader) -> dict[int, tuple[str, ...]]:
    """Return the folder of each readable image: the name of its root, and those below it."""
    names = {root_id: root.name for root_id, root in store.roots().items()}
    query = select(ImageRow.id, ImageRow.root_id, ImageRow.path).where(ImageRow.state == "ok")
    with store.catalog.session() as session:
        return {
            image_id: (names[root_id], *PurePosixPath(path).parts[:-1])
            for image_id, root_id, path in session.execute(query)
        }


def count_found(store: StoreReader) -> int:
    """Return how many images can be found."""
    with store.catalog.session() as session:
        return session.scalar(select(func.count()).where(ImageRow.state == "ok")) or 0


def failed_files(store: StoreReader) -> list[tuple[str, str]]:
    """Return (path, reason) of the files that could not be read, sorted."""
    return [(path, reason or "") for path, reason in _paths_in_state(store, "failed")]


def blank_images(store: StoreReader) -> list[str]:
    """Return the paths of the images that show nothing, sorted."""
    return [path for path, _ in _paths_in_state(store, "blank")]


def warned_images(store: StoreReader) -> list[tuple[str, str]]:
    """Return (path, warning) of the images about which something is odd, sorted by path."""
    store.catalog.require_intact("warnings")
    roots = store.roots()
    query = (
        select(ImageRow.root_id, ImageRow.path, WarningRow.text)
        .join(WarningRow, WarningRow.image_id == ImageRow.id)
        .order_by(ImageRow.path)
    )
    with store.catalog.session() as session:
        return [
            (str(roots[root_id] / path), line)
            for root_id, path, text in session.execute(query)
            for line in from_stored(text).split("\n")
        ]


def _paths_in_state(store: StoreReader, state: str) -> list[tuple[str, str | None]]:
    roots = store.roots()
    columns = (ImageRow.root_id, ImageRow.path, ImageRow.reason)
    query = select(*columns).where(ImageRow.state == state).order_by(ImageRow.path)
    with store.catalog.session() as session:
        return [(str(roots[id_] / path), reason) for id_, path, reason in session.execute(query)]


def summarize(store: StoreReader) -> StoreSummary:
    """Count what the store holds."""
    region_kinds = {kind.name for kind in store.spec.kinds_of("region")}
    roots = store.roots()
    with store.catalog.session() as session:
        regions = session.scalar(select(func.count()).select_from(RegionRow)) or 0
        kinds = session.execute(
            select(SegmentRow.kind, func.max(SegmentRow.dimension)).group_by(SegmentRow.kind)
        ).all()
    skipped: Counter[str] = Counter()
    for root in store.reader.state().roots.values():
        skipped.update(json.loads(root.skipped))
    images = count_found(store)
    return StoreSummary(
        images=images,
        blank=blank_images(store),
        failed=failed_files(store),
        warnings=warned_images(store),
        vectors={k: regions if k in region_kinds else images for k, _ in kinds},
        dimensions={row.kind: row[1] for row in kinds},
        bytes_on_disk=_bytes_in(store.path),
        roots=[str(path) for path in roots.values()],
        skipped=dict(skipped.most_common()),
    )


def _bytes_in(folder: Path) -> int:
    """Return the size of all files in a folder; one that is deleted meanwhile counts nothing."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += Path(place, name).lstat().st_size
    return size
