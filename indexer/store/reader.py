"""StoreReader: what can be asked of a store; it needs no lock."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from indexer.arrays import IdArray
from indexer.choices import MAX_PIXELS, Scope, TapKind
from indexer.errors import (
    FeatureError,
    StoreCorruptError,
    StoreError,
    StoreNotFoundError,
)
from indexer.features.regions import Region
from indexer.features.spec import FeatureSpec, VectorKind
from indexer.features.whitening import PcaProjection
from indexer.reading import ReadingOptions
from indexer.shard import Shard
from indexer.sources.place import Place, absolute, is_below, path_below
from indexer.store.catalog.protocol import Catalog, CatalogState, ImageFields
from indexer.store.catalogs import open_database, open_reader
from indexer.store.derived import DerivedFiles
from indexer.store.layout import require_own_files
from indexer.store.places import is_store, require_inside, resolve_root
from indexer.store.records import ImageInfo
from indexer.store.trust import trusts_all
from indexer.store.vectors.opening import open_vectors
from indexer.store.vectors.protocol import VectorIndex, VectorStore

if TYPE_CHECKING:  # most queries need no SQLAlchemy, which takes long to import
    from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog


_LOST_WHITENING = (
    "Without it no photo can be described; make the store again with: cbir doctor --repair"
)


class StoreReader:
    """The reading side of `Store`: each answer is that of one moment.

    A store that this account did not make is data of somebody else: only photos in the folder that
    holds it are read, and no IVF index, unless the caller `trusts` it or `CBIR_TRUST=1` is set.
    """

    def __init__(
        self, path: Path, reader: Catalog, spec: FeatureSpec, *, trusts: bool = False
    ) -> None:
        self.path = path
        self.origin = path  # what messages about its contents name: perhaps what it was made of
        self.reader = reader
        self.spec = spec
        self.trusts = trusts
        self.vectors: VectorStore = open_vectors(path, reader, trusts=trusts)
        self.derived = DerivedFiles(path)
        self._places: dict[str, Place] = {}  # of roots, by what the catalogue has for them

    @classmethod
    def open(cls, path: Path, *, trusts: bool = False) -> Self:
        """Open the store at `path`.

        Raises `StoreNotFoundError`, `StoreVersionError`, `StoreCorruptError`, or
        `UntrustedStoreError`.
        """
        if not is_store(path):
            raise StoreNotFoundError(
                f"There is no store at {path}. Make one with: cbir index PHOTOS --store {path}"
            )
        require_own_files(path)
        reader = open_reader(path, trusts=trusts)
        try:
            spec = read_spec(reader, path)
            opened = cls(path.resolve(), reader, spec, trusts=trusts or trusts_all())
            opened.roots()  # raises for one that must not be read
        except StoreError:
            reader.close()
            raise
        return opened

    @cached_property
    def catalog(self) -> SqlAlchemyCatalog:
        """The catalogue through SQLAlchemy, for all but the questions of a search."""
        from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog

        if isinstance(self.reader, SqlAlchemyCatalog):
            catalog = self.reader
        else:
            catalog = SqlAlchemyCatalog(open_database(self.path, trusts=self.trusts))
        catalog.seals = self.trusts
        return catalog

    def refresh(self) -> None:
        """Read the spec again, which another process may have changed."""
        self.spec = read_spec(self.reader, self.path)

    def commits(self) -> int:
        """Return the number of the last commit: another one says that the store has changed."""
        return self.reader.commits()

    def close(self) -> None:
        """Close the catalogue and the vectors."""
        self.vectors.close()
        self.reader.close()
        if "catalog" in self.__dict__:
            self.catalog.close()

    @property
    def adaptation_file(self) -> Path | None:
        """The file of the second whitening that the spec names, if any."""
        return self._adaptation_file(self.spec)

    def _adaptation_file(self, spec: FeatureSpec) -> Path | None:
        return self.path / f"adaptation-{spec.adaptation}.npz" if spec.adaptation else None

    def adaptation(self, spec: FeatureSpec | None = None) -> PcaProjection | None:
        """Return the second whitening, learned from the collection, that `spec` names, if any.

        It is that of the store unless given. Raises `StoreCorruptError` where its file is missing
        or is not the one that is named.
        """
        spec = spec or self.spec
        file = self._adaptation_file(spec)
        if file is None:
            return None
        try:
            found = PcaProjection.read(file)
        except FeatureError as error:
            raise StoreCorruptError(f"{error} {_LOST_WHITENING}") from error
        if found.digest != spec.adaptation:
            raise StoreCorruptError(f"The whitening {file} is damaged. {_LOST_WHITENING}")
        return found

    @property
    def is_foreign(self) -> bool:
        """Whether somebody else made the store, so that its IVF indexes are not used."""
        return not (self.trusts or self.reader.state().is_sealed)

    def roots(self) -> dict[int, Place]:
        """Return the folders of photos by id, as absolute paths or URLs.

        Raises `UntrustedStoreError` where a store of somebody else names folders elsewhere.
        """
        state = self.reader.state()
        for root in state.roots.values():
            if root.path not in self._places:
                self._places[root.path] = resolve_root(self.path, root.path)
        roots = {i: self._places[root.path] for i, root in state.roots.items()}
        if not (self.trusts or state.is_sealed):
            require_inside(self.path, roots.values())
        return roots

    def root_options(self) -> dict[int, ReadingOptions]:
        """Return how the images of each root are found and read."""
        roots = self.reader.state().roots
        try:
            return {i: ReadingOptions.from_json(root.options) for i, root in roots.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise StoreCorruptError(
                f"What the store at {self.path} remembers of its folders cannot be read ({error})."
            ) from error

    def other_files(self, root_id: int) -> dict[str, int]:
        """Return how many files of a root are no images, by suffix, as the last run found."""
        found: dict[str, int] = json.loads(self.reader.state().roots[root_id].skipped)
        return found

    @property
    def shard(self) -> Shard | None:
        """The shard of its photos that the store holds, None for all of them."""
        return next((o.shard for o in self.root_options().values() if o.shard), None)

    @property
    def max_pixels(self) -> int:
        """How many pixels an image may have: the highest limit of its folders."""
        return max((o.max_pixels for o in self.root_options().values()), default=MAX_PIXELS)

    @property
    def keeps_keypoints(self) -> bool:
        """Whether an index run finds the keypoints of every image, so that verifying is quick."""
        return self.reader.state().keeps_keypoints

    def image_infos(self, ids: Iterable[int]) -> dict[int, ImageInfo]:
        """Return what is known about these images, by id; removed ones are left out."""
        rows = self.reader.images(list(ids))
        roots = self.roots()
        return {row.id: _info(row, roots[row.root_id]) for row in rows if row.root_id in roots}

    def find_image(self, path: Place) -> ImageInfo | None:
        """Return the readable image of the store that this file is, or None."""
        file = absolute(path)
        for root_id, root in self.roots().items():
            if is_below(file, root):
                row = self.reader.image_at(root_id, path_below(root, file))
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

        The box of a removed region is all zeros.
        """
        return self.reader.boxes(ids)

    def kind(self, name: str) -> VectorKind:
        """Return the kind of vectors called `name`.

        Raises `StoreError` where the spec of the store makes no such vectors.
        """
        for kind in self.spec.kinds:
            if kind.name == name:
                return kind
        raise StoreError(f"The store at {self.path} has no {name} vectors.")

    def find_kind(self, feature: TapKind, scope: Scope) -> VectorKind:
        """Return the kind of vectors of a feature and scope.

        Raises `StoreError` where the spec of the store makes no such vectors.
        """
        kind = self.spec.find_kind(feature, scope)
        if kind is not None:
            return kind
        scheme = "sliding" if feature == "fc" else "grid"
        raise StoreError(
            f"The store at {self.path} has no {feature} vectors of regions: it was built with "
            f"--regions {self.spec.regions}. Rebuild it with cbir index --rebuild --regions "
            f"{scheme}."
        )

    def vector_index(self, kind: VectorKind, state: CatalogState | None = None) -> VectorIndex:
        """Open the vectors of one kind by memory map, as of the last commit or of `state`.

        Raises `StoreError` where there are none yet, and `StoreCorruptError`.
        """
        index = self.vectors.open_index(kind.name, state)
        if index is None:
            raise StoreError(
                f"The store at {self.path} has no {kind.name} vectors yet. Add photos with "
                "cbir index."
            )
        return index


def _info(fields: ImageFields, root: Place) -> ImageInfo:
    return ImageInfo(
        id=fields.id,
        path=root / fields.path,
        width=fields.width or 0,
        height=fields.height or 0,
        taken_at=fields.taken_at,
        camera=fields.camera,
        content_hash=fields.content_hash,
    )


def read_spec(reader: Catalog, path: Path) -> FeatureSpec:
    """Return the spec of the store at `path`; raises `StoreCorruptError`."""
    return parse_spec(reader.state().spec, path)


def parse_spec(text: str | None, path: Path) -> FeatureSpec:
    """Return the spec that the catalogue of the store at `path` holds as JSON.

    Raises `StoreCorruptError`.
    """
    if text is None:
        # Killed between creating the tables and writing the spec: nothing was stored yet.
        raise StoreCorruptError(f"The store at {path} was never finished; delete it.")
    try:
        return FeatureSpec.from_json(text)
    except (ValueError, TypeError, RecursionError, FeatureError) as error:
        raise StoreCorruptError(
            f"The feature spec of the store at {path} cannot be read ({error}). It is damaged, "
            "or another version of cbir wrote it; rebuild it with cbir index --rebuild."
        ) from error
