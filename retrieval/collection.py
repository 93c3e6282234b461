"""Collection: an opened store with its extractor, its vectors and the pictures in use."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from cachetools import LRUCache, cached

from indexer.arrays import FloatArray, IdArray
from indexer.choices import EngineName
from indexer.errors import ImageError
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
from indexer.keypoints import keypoints_of
from indexer.progress import Progress, no_progress
from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo
from indexer.store.vectors.index import VectorIndex
from retrieval.confidence import ChanceScores, calibrate
from retrieval.picture import DECODERS, Picture
from retrieval.zoom import kept_side

PICTURE_BYTES = 512 << 20
KEYPOINT_IMAGES = 2048  # whose local features stay in memory: about 70 kB each
SPACE_IMAGES = 4096  # whose region vectors are kept in the collection's own space
BACKGROUND_VECTORS = 50_000
QUIET_S = 0.5


class Collection:
    """What retrieval works on. It loads each part on first use and keeps it; threads may share it.

    It sees the store as it was when the vectors of a kind were first needed; `reload` brings in
    what was committed since.
    """

    def __init__(
        self,
        store: StoreReader,
        *,
        engine: EngineName = "auto",
        extractor: FeatureExtractor | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self.store = store
        self.progress = progress
        self._engine: EngineName = engine
        self._extractor = extractor
        self._indexes: dict[VectorKind, VectorIndex] = {}
        self._chance: dict[tuple[VectorKind, VectorKind | None], ChanceScores | None] = {}
        self._space: CompiledWhitening | None = None
        self._space_known = False
        self._loading = Lock()
        # The least recently used go first.
        pictures = LRUCache[Hashable, Picture | None](PICTURE_BYTES, _size_of)
        self._picture = cached(pictures, lock=Lock())(self._load_picture)
        local = LRUCache[Hashable, LocalFeatures | None](KEYPOINT_IMAGES)
        self._local_features = cached(local, lock=Lock())(self._find_local_features)
        self._in_space: LRUCache[int, tuple[IdArray, FloatArray]] = LRUCache(SPACE_IMAGES)

    @property
    def extractor(self) -> FeatureExtractor:
        """The extractor of the store's spec."""
        with self._loading:
            if self._extractor is None or self._extractor.spec != self.store.spec:
                self._extractor = self._load_extractor(self._extractor)
            return self._extractor

    def _load_extractor(self, previous: FeatureExtractor | None) -> FeatureExtractor:
        spec, inference = self.store.spec, None
        if previous is not None:
            # The store was whitened, perhaps: then the network is the same.
            before = previous.spec.backbone, previous.spec.taps
            inference = previous.inference if before == (spec.backbone, spec.taps) else None
        return FeatureExtractor(
            spec, engine=self._engine, inference=inference, adaptation=self.store.adaptation()
        )

    def reload(self) -> None:
        """Close the opened vectors, so that the next query sees the newest commit."""
        with self._loading:
            self.store.refresh()
            self._indexes.clear()
            self._chance.clear()
            self._in_space.clear()
            self._space, self._space_known = None, False

    def index(self, kind: VectorKind) -> VectorIndex:
        """Return the vectors of one kind.

        Raises `StoreError` where there are none.
        """
        with self._loading:
            if kind not in self._indexes:
                self._indexes[kind] = self.store.vector_index(kind)
            return self._indexes[kind]

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

    # --- pictures -----------------------------------------------------------------------------

    def info(self, image_id: int) -> ImageInfo | None:
        """Return what is known about an image, None where it is not in the store."""
        return self.store.image_infos([image_id]).get(image_id)

    def pictures(self, image_ids: Sequence[int]) -> list[Picture | None]:
        """Return pictures to zoom in on, None where a file is missing, damaged or replaced."""
        with ThreadPoolExecutor(DECODERS, "decode") as threads:
            return list(threads.map(self._picture, image_ids))

    def _load_picture(self, image_id: int) -> Picture | None:
        info = self.info(image_id)
        if info is None:
            return None
        side_px = kept_side(self.extractor, min(self.store.spec.scales))
        try:
            picture = Picture.load(info.path, (info.width, info.height), side_px)
        except ImageError:
            return None
        # Where another file has replaced it, the boxes of the store do not fit.
        return picture if picture.size == (info.width, info.height) else None

    def same_files(self, data: bytes, page: int | None = None) -> list[ImageInfo]:
        """Return the images whose files have these very bytes; that page of each, from 0."""
        found = self.store.reader.images_of(hashlib.sha256(data).digest())
        infos = self.store.image_infos(found)
        return [infos[i] for i in found if i in infos and infos[i].page == page]

    def local_features(self, image_ids: Sequence[int]) -> list[LocalFeatures | None]:
        """Return the keypoints of images, None where a file is missing, damaged or replaced.

        They are found where the store does not keep them yet, which takes long, and kept; an
        interruption loses none. `progress` is told once it takes longer than a person notices.
        """
        found: list[LocalFeatures | None] = []
        started = time.monotonic()
        threads = ThreadPoolExecutor(DECODERS, "keypoints")
        try:
            for done, features in enumerate(threads.map(self._local_features, image_ids), 1):
                found.append(features)
                if time.monotonic() - started > QUIET_S:
                    self.progress("Finding keypoints", done, len(image_ids))
        finally:
            threads.shutdown(cancel_futures=True)
        return found

    def _find_local_features(self, image_id: int) -> LocalFeatures | None:
        info = self.info(image_id)
        return None if info is None else keypoints_of(self.store, info)

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
        with self._loading:
            kept = self._in_space.get(image_id)
        if kept is None:
            ids, vectors = self.index(self.region_kind).rows_of_image(image_id)
            kept = ids, self.to_space(vectors)
            with self._loading:
                self._in_space[image_id] = kept
        return kept

    @property
    def region_kind(self) -> VectorKind:
        """The conv vectors of regions; raises `StoreError` where the store has none."""
        return self.store.find_kind("conv", "region")


def _size_of(picture: Picture | None) -> int:
    return 0 if picture is None else picture.pixels.nbytes
