"""Loaded: the network of a store and the parts of its images that stay in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock

from indexer.choices import EngineName
from indexer.errors import ImageError
from indexer.features.extractor import FeatureExtractor
from indexer.features.local import LocalFeatures
from indexer.features.spec import FeatureSpec
from indexer.keypoints import keypoints_of
from indexer.memory import Shelf, share_free_memory
from indexer.progress import Progress
from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo
from retrieval.picture import DECODERS, Picture

QUIET_S = 0.5


class Loaded:
    """What lasts from commit to commit; threads may share it.

    That is the network, and what belongs to single images: one whose file has changed has another
    id. `progress` is told of steps that take longer than a person notices.
    """

    def __init__(
        self,
        store: StoreReader,
        engine: EngineName,
        extractor: FeatureExtractor | None,
        progress: Progress,
    ) -> None:
        share_free_memory()
        self.progress = progress
        self._store = store
        self._engine: EngineName = engine
        self._extractor = extractor
        self._loading = Lock()
        self._kept = Shelf()

    def extractor(self, spec: FeatureSpec) -> FeatureExtractor:
        """Return the extractor of a spec; the network stays where it is the same."""
        with self._loading:
            found = self._extractor
            if found is None or found.spec != spec:
                inference = None
                if found is not None and _network_of(found.spec) == _network_of(spec):
                    inference = found.inference  # the store was whitened
                found = self._extractor = FeatureExtractor(
                    spec,
                    engine=self._engine,
                    inference=inference,
                    adaptation=self._store.adaptation(spec),
                )
            return found

    def pictures(self, image_ids: Sequence[int], side_px: int) -> list[Picture | None]:
        """Return pictures of at least `side_px` a side.

        They are None where a file is missing, damaged or replaced.
        """

        infos = self._infos_of(image_ids)

        def load(image_id: int) -> Picture | None:
            info = infos().get(image_id)
            return None if info is None else _load(info, side_px)

        def find(image_id: int) -> Picture | None:
            key = "picture", image_id, side_px
            return self._kept.get(key, lambda: load(image_id), _picture_bytes)

        with ThreadPoolExecutor(DECODERS, "decode") as threads:
            return list(threads.map(find, image_ids))

    def local_features(self, image_ids: Sequence[int]) -> list[LocalFeatures | None]:
        """Return the keypoints of images, None where a file is missing, damaged or replaced.

        They are found where the store does not keep them yet, which takes long, and kept; an
        interruption loses none.
        """
        infos = self._infos_of(image_ids)

        def load(image_id: int) -> LocalFeatures | None:
            info = infos().get(image_id)
            return None if info is None else keypoints_of(self._store, info)

        def find(image_id: int) -> LocalFeatures | None:
            return self._kept.get(("keypoints", image_id), lambda: load(image_id), _feature_bytes)

        found: list[LocalFeatures | None] = []
        started = time.monotonic()
        threads = ThreadPoolExecutor(DECODERS, "keypoints")
        try:
            for done, features in enumerate(threads.map(find, image_ids), 1):
                found.append(features)
                if time.monotonic() - started > QUIET_S:
                    self.progress("Finding keypoints", done, len(image_ids))
        finally:
            threads.shutdown(cancel_futures=True)
        return found

    def _infos_of(self, image_ids: Sequence[int]) -> Callable[[], dict[int, ImageInfo]]:
        """Return what is known about images, once it is asked: where all are kept, nothing is."""
        return cache(lambda: self._store.image_infos(image_ids))


def _network_of(spec: FeatureSpec) -> tuple[str, tuple[str, ...]]:
    return spec.backbone, tuple(spec.taps)


def _load(info: ImageInfo, side_px: int) -> Picture | None:
    try:
        picture = Picture.load(info.path, (info.width, info.height), side_px)
    except ImageError:
        return None
    # Where another file has replaced it, the boxes of the store do not fit.
    return picture if picture.size == (info.width, info.height) else None


def _picture_bytes(picture: Picture | None) -> int:
    return 0 if picture is None else picture.pixels.nbytes


def _feature_bytes(found: LocalFeatures | None) -> int:
    return 0 if found is None else found.points.nbytes + found.descriptors.nbytes
