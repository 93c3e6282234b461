"""Collection: an opened store with its extractor, its vectors and the pictures in use."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeVar

from indexer.arrays import FloatArray, IdArray
from indexer.choices import EngineName
from indexer.errors import StoreChangedError, StoreCorruptError
from indexer.features.compiled_whitening import CompiledWhitening
from indexer.features.extractor import FeatureExtractor
from indexer.features.local import LocalFeatures
from indexer.features.spec import VectorKind
from indexer.features.whitening import (
    COLLECTION_POWER,
    COLLECTION_SHRINKAGE,
    VECTORS_PER_DIMENSION,
    principal_axes,
)
from indexer.images.page_paths import page_of
from indexer.memory import Shelf
from indexer.progress import Progress, no_progress
from indexer.store.catalog.protocol import CatalogState
from indexer.store.reader import StoreReader, parse_spec
from indexer.store.records import ImageInfo
from indexer.store.vectors.protocol import VectorIndex
from retrieval.confidence import ChanceScores, calibrate
from retrieval.loaded import Loaded
from retrieval.picture import Picture
from retrieval.zoom import kept_side

BACKGROUND_VECTORS = 50_000
TRIES = (
    20  # commits that may pass while a search opens its files; a busy writer makes some a second
)

T = TypeVar("T")


class Collection:
    """An open store as of one commit: what retrieval works on; threads may share it.

    It loads each part on first use and keeps it. `current` is the same store as of its last commit.
    What is asked of `store` itself is of the moment: images that were removed meanwhile are left
    out.
    """

    def __init__(
        self,
        store: StoreReader,
        *,
        engine: EngineName = "auto",
        extractor: FeatureExtractor | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self._begin(store, Loaded(store, engine, extractor, progress), store.reader.state())
        self._newest = _Newest(self)

    def _begin(self, store: StoreReader, loaded: Loaded, state: CatalogState) -> None:
        self.store = store
        self.spec = parse_spec(state.spec, store.path)
        self._loaded = loaded
        self._state = state
        self._indexes: dict[VectorKind, VectorIndex] = {}
        self._chance: dict[tuple[VectorKind, VectorKind | None], ChanceScores | None] = {}
        self._space: CompiledWhitening | None = None
        self._space_known = False
        self._extractor: FeatureExtractor | None = None
        self._loading = Lock()
        self._kept = Shelf()

    # --- commits ------------------------------------------------------------------------------

    def current(self) -> Collection:
        """Return the collection as of the last commit, with the network and the pictures of this.

        Searches that are at work on this one end on it.
        """
        newest = self._newest
        if newest.collection._state.commits != self.store.commits():
            with newest.lock:
                state = self.store.reader.state()
                if newest.collection._state.commits != state.commits:
                    newest.collection = self._at(state)
        return newest.collection

    def _at(self, state: CatalogState) -> Collection:
        other = Collection.__new__(Collection)
        other._begin(self.store, self._loaded, state)
        other._newest = self._newest
        self.store.spec = other.spec
        return other

    def at_last_commit(self, work: Callable[[Collection], T]) -> T:
        """Call `work` with the collection as of the last commit, and return what it returns.

        All that it finds is of that commit. It is called again where another process replaced the
        files of the commit before they were opened.
        """
        for _ in range(TRIES):
            with contextlib.suppress(StoreChangedError):
                return work(self.current())
        return work(self.current())

    @property
    def commits(self) -> int:
        """The number of the commit that this is the collection as of."""
        return self._state.commits

    # --- what is loaded -----------------------------------------------------------------------

    @property
    def progress(self) -> Progress:
        """What long steps are reported to."""
        return self._loaded.progress

    @progress.setter
    def progress(self, progress: Progress) -> None:
        self._loaded.progress = progress

    @property
    def extractor(self) -> FeatureExtractor:
        """The extractor of the spec."""
        with self._loading:
            if self._extractor is None:
                self._extractor = self._loaded.extractor(self.spec)
            return self._extractor

    def index(self, kind: VectorKind) -> VectorIndex:
        """Return the vectors of one kind.

        Raises `StoreError` where there are none, and `StoreChangedError` where they were replaced
        before they were opened, see `at_last_commit`.
        """
        with self._loading:
            if kind not in self._indexes:
                self._indexes[kind] = self._open_index(kind)
            return self._indexes[kind]

    def _open_index(self, kind: VectorKind) -> VectorIndex:
        try:
            return self.store.vector_index(kind, self._state)
        except StoreCorruptError as error:
            if self.store.commits() == self._state.commits:
                raise
            raise StoreChangedError(
                f"The store at {self.store.path} was changed while it was searched. Ask again."
            ) from error

    def require_changed(self) -> None:
        """Accept that rows of the catalogue are missing where a commit has removed them since.

        Raises `StoreCorruptError` where there was none: the catalogue has lost them.
        """
        if self.store.commits() == self._state.commits:
            raise StoreCorruptError(
                f"The catalogue of the store at {self.store.path} is damaged: rows are missing. "
                f"Mend it with: cbir doctor --repair --store {self.store.path}"
            )

    # --- confidence ---------------------------------------------------------------------------

    def chance_scores(
        self, kind: VectorKind, whole: VectorKind | None = None
    ) -> ChanceScores | None:
        """Return what unrelated images score in this store, None where it is too small to tell.

        They are compared by vectors of `kind`, and by those of `whole` images, too, if given.
        """
        key = kind, whole
        with self._loading:
            known = key in self._chance
        if not known:
            ids = self.index(self.store.find_kind("conv", "image")).live_ids()
            found = calibrate(self.index(kind), ids, self.index(whole) if whole else None)
            with self._loading:
                self._chance[key] = found
        return self._chance[key]

    @property
    def image_count(self) -> int:
        """How many images can be found."""
        return len(self.index(self.store.find_kind("conv", "image")))

    # --- images -------------------------------------------------------------------------------

    def info(self, image_id: int) -> ImageInfo | None:
        """Return what is known about an image, None where it is not in the store."""
        return self.store.image_infos([image_id]).get(image_id)

    def same_files(self, data: bytes, page: int | None = None) -> list[ImageInfo]:
        """Return the images whose files have these very bytes; that page of each, from 0."""
        return self._same_files(hashlib.sha256(data).digest(), page)

    def copies(self, image_id: int) -> list[ImageInfo]:
        """Return an image of the store, and those with its very bytes; that page of each."""
        return [
            info
            for row in self.store.reader.images([image_id])
            for info in self._same_files(row.content_hash, page_of(row.path)[1])
        ]

    def _same_files(self, content_hash: bytes, page: int | None) -> list[ImageInfo]:
        found = self.store.reader.images_of(content_hash)
        infos = self.store.image_infos(found)
        return [infos[i] for i in found if i in infos and infos[i].page == page]

    def pictures(self, image_ids: Sequence[int]) -> list[Picture | None]:
        """Return pictures to zoom in on, None where a file is missing, damaged or replaced."""
        return self._loaded.pictures(image_ids, kept_side(self.extractor, min(self.spec.scales)))

    def local_features(self, image_ids: Sequence[int]) -> list[LocalFeatures | None]:
        """Return the keypoints of images, see `Loaded.local_features`."""
        return self._loaded.local_features(image_ids)

    # --- the collection's own space -----------------------------------------------------------

    def to_space(self, vectors: FloatArray) -> FloatArray:
        """Bring region vectors (N, E) into the collection's own space, at unit length.

        They are centred on the collection's mean region and whitened, with shrinkage, by what its
        regions have in common. A collection too small to tell keeps the vectors as they are.
        """
        with self._loading:
            known = self._space_known
        if not known:
            space = self._learn_space()
            with self._loading:
                self._space, self._space_known = space, True
        space = self._space
        return vectors if space is None else space.apply({"region": vectors})

    def _learn_space(self) -> CompiledWhitening | None:
        sample = self.index(self.region_kind).sample(BACKGROUND_VECTORS)
        dimension = sample.shape[1]
        if len(sample) < VECTORS_PER_DIMENSION * dimension:
            return None
        projection = principal_axes(sample, dimension, COLLECTION_POWER, COLLECTION_SHRINKAGE)
        return CompiledWhitening(("region",), None, projection)

    def space_rows(self, image_id: int) -> tuple[IdArray, FloatArray]:
        """Return the ids (R,) of an image's regions, and their vectors (R, E) in that space."""

        def make() -> tuple[IdArray, FloatArray]:
            ids, vectors = self.index(self.region_kind).rows_of_image(image_id)
            return ids, self.to_space(vectors)

        return self._kept.get(image_id, make, _row_bytes)

    @property
    def region_kind(self) -> VectorKind:
        """The conv vectors of regions; raises `StoreError` where the store has none."""
        return self.store.find_kind("conv", "region")


class _Newest:
    """The collection as of the last commit that was seen."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.lock = Lock()


def _row_bytes(rows: tuple[IdArray, FloatArray]) -> int:
    return sum(array.nbytes for array in rows)
