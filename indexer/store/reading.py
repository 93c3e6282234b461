"""StoreReader: what can be asked of a store; no lock is needed for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from indexer.errors import StoreCorruptError, StoreError, StoreNotFoundError
from indexer.features.regions import Region
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import Axes
from indexer.store.folder import VectorFolder
from indexer.store.layout import DERIVED, derived_folder
from indexer.store.lookup import CatalogLookup, ImageFields
from indexer.store.records import ImageInfo
from indexer.store.segments import IdArray
from indexer.store.vectors import VectorIndex

if TYPE_CHECKING:
    from indexer.store.catalog import Catalog

STORE_NAME = ".cbir"
REGION_KINDS = ("region", "region_fc")


def find_store(start: Path | None = None) -> Path | None:
    """Return the store that a command run in `start` means, or None where there is none.

    `CBIR_STORE` names it; else it is `.cbir` in the folder or the nearest one above.
    """
    if named := os.environ.get("CBIR_STORE"):
        return Path(named)
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / STORE_NAME / "catalog.sqlite").is_file():
            return folder / STORE_NAME
    return None


def require_store(path: Path | str | None) -> Path:
    """Return the store at `path`, or else the one that the current folder means.

    Raises `StoreNotFoundError` where there is none.
    """
    found = Path(path) if path is not None else find_store()
    if found is None:
        raise StoreNotFoundError(
            "There is no store in this folder or above it. Make one with: cbir index PHOTOS"
        )
    return found


class StoreReader:
    """The reading side of `Store`: each answer is that of one moment."""

    def __init__(self, path: Path, lookup: CatalogLookup, spec: FeatureSpec) -> None:
        self.path = path
        self.lookup = lookup
        self.files = VectorFolder(path / "vectors", lookup)
        self.spec = spec

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store at `path`.

        Raises `StoreNotFoundError`, `StoreVersionError` or `StoreCorruptError`.
        """
        file = path / "catalog.sqlite"
        if not file.is_file():
            raise StoreNotFoundError(
                f"There is no store at {path}. Make one with: cbir index PHOTOS --store {path}"
            )
        lookup = CatalogLookup(file.resolve())
        if not lookup.is_current():
            from indexer.store.catalog import Catalog

            catalog = Catalog(file.resolve())
            catalog.prepare()  # an older one is migrated, anything else is told
            catalog.close()
        return cls(path.resolve(), lookup, read_spec(lookup, path))

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue's tables, for what is more than a look-up."""
        from indexer.store.catalog import Catalog

        return Catalog(self.lookup.path)

    def refresh(self) -> None:
        """Take up the spec as another process may have left it."""
        self.spec = read_spec(self.lookup, self.path)

    def close(self) -> None:
        """Close the catalogue."""
        self.lookup.close()
        if "catalog" in self.__dict__:
            self.catalog.close()

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
        return self.path / DERIVED

    def derived_file(self, image_id: int, name: str) -> Path:
        """Return the place of a file made of an image; it is deleted when the image goes."""
        return derived_folder(self.path, image_id) / f"{image_id}-{name}"

    def roots(self) -> dict[int, Path]:
        """Return the folders of photos by id, as absolute paths."""
        return {id_: self._root(path) for id_, path in self.lookup.roots().items()}

    def _root(self, path: str) -> Path:
        return Path(os.path.normpath(self.path.parent / path))

    def image_infos(self, ids: Iterable[int]) -> dict[int, ImageInfo]:
        """Return what is known of these images, by id; ids that are gone are left out."""
        rows = self.lookup.images(list(ids))
        roots = {root: self._root(root) for root in {row.root for row in rows}}
        return {row.id: _info(row, roots[row.root]) for row in rows}

    def find_image(self, path: Path) -> ImageInfo | None:
        """Return the good image that this file is in the store, or None."""
        file = Path(os.path.abspath(path))
        for root_id, root in self.roots().items():
            if file.is_relative_to(root):
                row = self.lookup.image_at(root_id, file.relative_to(root).as_posix())
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
        return self.lookup.boxes(ids)

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


def _info(fields: ImageFields, root: Path) -> ImageInfo:
    return ImageInfo(
        id=fields.id,
        path=root / fields.path,
        width=fields.width or 0,
        height=fields.height or 0,
        taken_at=fields.taken_at,
        camera=fields.camera,
    )


def read_spec(lookup: CatalogLookup, path: Path) -> FeatureSpec:
    """Return the spec of the store at `path`; raises `StoreCorruptError`."""
    text = lookup.spec()
    if text is None:
        # Killed between making the tables and writing the spec: nothing was stored yet.
        raise StoreCorruptError(f"The store at {path} was never finished; delete it.")
    try:
        return FeatureSpec.from_json(text)
    except (ValueError, TypeError) as error:
        raise StoreCorruptError(
            f"The feature spec of the store at {path} cannot be read ({error}). It is damaged, "
            "or another version of cbir wrote it; build it anew with cbir index --rebuild."
        ) from error
