"""StoreReader: what can be asked of a store; no lock is needed for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import bindparam, func, select

from indexer.errors import StoreError
from indexer.features.regions import Region
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import Axes
from indexer.store.catalog import Catalog, ImageRow, RegionRow, RootRow, SegmentRow
from indexer.store.files import VectorFiles
from indexer.store.records import FileState, ImageInfo, KnownFile, StoreSummary
from indexer.store.segments import IdArray
from indexer.store.vectors import VectorIndex

REGION_KINDS = ("region", "region_fc")
INFO_COLUMNS = (
    ImageRow.id,
    ImageRow.root_id,
    ImageRow.path,
    ImageRow.width,
    ImageRow.height,
    ImageRow.taken_at,
    ImageRow.camera,
)
# Made once: what the library works out for a statement stays with it.
INFOS = (
    select(*INFO_COLUMNS, RootRow.path.label("root"))
    .join(RootRow, RootRow.id == ImageRow.root_id)
    .where(ImageRow.id.in_(bindparam("ids", expanding=True)))
)


class StoreReader:
    """The reading side of `Store`: each answer is that of one moment."""

    def __init__(self, path: Path, catalog: Catalog, spec: FeatureSpec) -> None:
        self.path = path
        self.catalog = catalog
        self.files = VectorFiles(path / "vectors", catalog)
        self.spec = spec

    def is_empty(self) -> bool:
        """Whether no image, good or failed, is in the store."""
        with self.catalog.session() as session:
            return session.scalar(select(ImageRow.id).limit(1)) is None

    @property
    def adaptation_file(self) -> Path | None:
        """Where the second whitening that the spec names is kept, if it names one."""
        name = self.spec.adaptation
        return self.path / f"adaptation-{name}.npz" if name else None

    def adaptation(self) -> Axes | None:
        """The second whitening, learned from the collection, that the spec names, if any."""
        file = self.adaptation_file
        return Axes.read(file) if file is not None else None

    @property
    def derived(self) -> Path:
        """The folder for what can be made anew, such as thumbnails; it goes with the store."""
        return self.path / "derived"

    def derived_file(self, image_id: int, name: str) -> Path:
        """Return the place of a file made of an image; it is deleted when the image goes."""
        return self.derived / str(image_id // 1000) / f"{image_id}-{name}"

    def roots(self) -> dict[int, Path]:
        """Return the folders of photos by id, as absolute paths."""
        with self.catalog.session() as session:
            rows = session.execute(select(RootRow.id, RootRow.path)).all()
        return {id_: self._root(path) for id_, path in rows}

    def _root(self, path: str) -> Path:
        return Path(os.path.normpath(self.path.parent / path))

    def known_files(self) -> dict[tuple[int, str], KnownFile]:
        """Return every image row, good or failed, by (root id, path)."""
        columns = (
            ImageRow.id,
            ImageRow.root_id,
            ImageRow.path,
            ImageRow.size_bytes,
            ImageRow.mtime_ns,
            ImageRow.content_hash,
            ImageRow.reason,
        )
        with self.catalog.session() as session:
            return {
                (row.root_id, row.path): KnownFile(row.id, FileState(*row[1:6]), row.reason)
                for row in session.execute(select(*columns))
            }

    def image_infos(self, ids: Iterable[int]) -> dict[int, ImageInfo]:
        """Return what is known of these images, by id; ids that are gone are left out."""
        wanted = list(ids)
        infos: dict[int, ImageInfo] = {}
        with self.catalog.connection() as connection:
            for start in range(0, len(wanted), 500):
                rows = connection.execute(INFOS, {"ids": wanted[start : start + 500]}).all()
                roots = {path: self._root(path) for path in {row.root for row in rows}}
                infos |= {row.id: _info(row, roots[row.root]) for row in rows}
        return infos

    def find_image(self, path: Path) -> ImageInfo | None:
        """Return the good image that this file is in the store, or None."""
        file = Path(os.path.abspath(path))
        roots = self.roots()
        with self.catalog.session() as session:
            for root_id, root in roots.items():
                if file.is_relative_to(root):
                    row = session.execute(
                        select(*INFO_COLUMNS).where(
                            ImageRow.root_id == root_id,
                            ImageRow.path == file.relative_to(root).as_posix(),
                            ImageRow.state == "ok",
                        )
                    ).first()
                    if row is not None:
                        return _info(row, root)
        return None

    def regions(self, ids: Iterable[int]) -> dict[int, Region]:
        """Return the boxes of these regions by id, in pixels of the upright original."""
        wanted = list(ids)
        boxes = self.boxes(wanted).tolist()
        return {i: Region(*box) for i, box in zip(wanted, boxes, strict=True) if box[2]}

    def boxes(self, ids: Sequence[int]) -> IdArray:
        """Return the boxes (N, 4) of these regions, in pixels of the upright original.

        The box of a region that is gone is all zeros.
        """
        if not len(ids):
            return np.empty((0, 4), np.int64)
        found: dict[int, tuple[int, int, int, int]] = {}
        with self.catalog.connection() as connection:
            for start in range(0, len(ids), 500):
                part = tuple(ids[start : start + 500])
                # Hundreds of rows a query: they are taken as the driver gives them.
                places = ",".join("?" * len(part))
                query = f"SELECT id, x0, y0, x1, y1 FROM regions WHERE id IN ({places})"
                rows = connection.exec_driver_sql(query, part).cursor.fetchall()
                found |= {row[0]: row[1:] for row in rows}
        gone = (0, 0, 0, 0)
        return np.array([found.get(i, gone) for i in ids], np.int64).reshape(-1, 4)

    def vector_index(self, kind: str) -> VectorIndex:
        """Open the vectors of one kind by memory map; raises `StoreCorruptError`."""
        index = self.files.open_index(kind)
        if index is not None:
            return index
        if kind not in self.spec.kinds:
            raise StoreError(
                f"The store at {self.path} holds no {kind} vectors: it was built with --regions "
                f"{self.spec.regions}. Rebuild it with cbir index --rebuild --regions "
                f"{'sliding' if kind == 'region_fc' else 'grid'}."
            )
        raise StoreError(
            f"The store at {self.path} holds no {kind} vectors yet. Add photos with cbir index."
        )

    def failed_files(self) -> list[tuple[str, str]]:
        """Return (path, reason) of the files that could not be read, sorted."""
        roots = self.roots()
        with self.catalog.session() as session:
            rows = session.scalars(
                select(ImageRow).where(ImageRow.state == "failed").order_by(ImageRow.path)
            )
            return [(str(roots[row.root_id] / row.path), row.reason or "") for row in rows]

    def summarize(self) -> StoreSummary:
        """Count what the store holds."""
        roots = self.roots()
        with self.catalog.session() as session:
            images = session.scalar(select(func.count()).where(ImageRow.state == "ok")) or 0
            regions = session.scalar(select(func.count()).select_from(RegionRow)) or 0
            kinds = session.execute(
                select(SegmentRow.kind, func.max(SegmentRow.dimension)).group_by(SegmentRow.kind)
            ).all()
        files = [file for file in self.path.rglob("*") if file.is_file()]
        return StoreSummary(
            images=images,
            failed=self.failed_files(),
            vectors={k: regions if k in REGION_KINDS else images for k, _ in kinds},
            dimensions={row.kind: row[1] for row in kinds},
            bytes_on_disk=sum(file.stat().st_size for file in files),
            roots=[str(path) for path in roots.values()],
        )


def _info(row: Any, root: Path) -> ImageInfo:
    return ImageInfo(
        id=row.id,
        path=root / row.path,
        width=row.width or 0,
        height=row.height or 0,
        taken_at=row.taken_at,
        camera=row.camera,
    )
