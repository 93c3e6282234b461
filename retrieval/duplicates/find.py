"""Finding duplicates: from the keypoints of all images to the pairs that are related."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from indexer.arrays import IdArray, one_blas_thread
from indexer.features.local import LocalFeatures
from indexer.image_set import ImageSet
from indexer.keypoints import keypoints_of
from indexer.progress import Progress, no_progress
from indexer.store.records import ImageInfo
from retrieval.collection import Collection as StoreCollection
from retrieval.duplicates.keypoint_hash import KeypointHash
from retrieval.duplicates.keypoint_index import KeypointIndex
from retrieval.duplicates.relation import (
    FEW,
    Compared,
    MissingPictureError,
    Relation,
    relate,
    relate_plain,
)
from retrieval.picture import DECODERS

SAMPLED_IMAGES = 500  # whose keypoints the codes are learned from
INDEXED = 1 << 26  # keypoints at once, 1.6 GB: of more images, one part after the other
VOTED = 10  # images that a picture is compared with
NEIGHBOURS = 5  # images that a picture with few keypoints is compared with
BATCH = 64  # images, or pairs, between two looks at whether to stop

Pair = tuple[int, int]
"""The ids of two images, ascending."""


@dataclass
class Findings:
    """What comparing has found so far: it can be kept, and continued from.

    `relations` are those of pairs, and `unrelated` the other pairs that were compared. `searched`
    are images among which no pair is left to be found. `unread` are images whose files are missing
    or damaged.
    """

    relations: dict[Pair, Relation] = field(default_factory=dict)
    unrelated: set[Pair] = field(default_factory=set)
    searched: set[int] = field(default_factory=set)
    unread: set[int] = field(default_factory=set)


def find_relations(
    collection: StoreCollection,
    image_ids: Sequence[int],
    findings: Findings,
    *,
    progress: Progress = no_progress,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Compare images of a store, one for each content, and add what is found to `findings`.

    Pairs that share keypoints in the same places are candidates, and so are images with few
    keypoints that are nearest neighbours by their conv vectors; `relate` decides. Pairs that
    `findings` has already are not compared again, and nothing is read where all images were
    searched together before. Raises `KeyboardInterrupt` once `stop` says so.
    """
    reading = _Reading(collection, image_ids, findings, stop)
    new = [image_id for image_id in image_ids if image_id not in findings.searched]
    with contextlib.closing(reading.all(no_progress, "", new)) as readable:
        if next(readable, None) is None:
            return
    counts = [len(features) for _, features in reading.all(progress, "Finding keypoints")]
    if sum(counts) == 0:
        return
    candidates = _find_candidates(reading, sum(counts), progress)
    for pair, forms in _find_neighbours(reading, progress).items():
        candidates.setdefault(pair, forms)
    _relate_all(reading, candidates, progress)
    findings.searched = {*image_ids} - findings.unread


class _Reading:
    """The keypoints and pictures of the images that are compared."""

    def __init__(
        self,
        collection: StoreCollection,
        image_ids: Sequence[int],
        findings: Findings,
        stop: Callable[[], bool],
    ) -> None:
        self.collection = collection
        self.image_ids = list(image_ids)
        self.findings = findings
        self.few: set[int] = set()
        self._stop = stop

    def require_wanted(self) -> None:
        if self._stop():
            raise KeyboardInterrupt

    def all(
        self, progress: Progress, step: str, image_ids: Sequence[int] | None = None
    ) -> Generator[tuple[int, LocalFeatures]]:
        """Yield the keypoints of images, all unless given, that can be read."""
        ids = self.image_ids if image_ids is None else image_ids
        with ThreadPoolExecutor(DECODERS, "keypoints") as threads:
            for start in range(0, len(ids), BATCH):
                progress(step, start, len(ids))
                self.require_wanted()
                yield from self._read(threads, ids[start : start + BATCH])
        progress(step, len(ids), len(ids))

    def _read(
        self, threads: ThreadPoolExecutor, ids: Sequence[int]
    ) -> Iterator[tuple[int, LocalFeatures]]:
        store = self.collection.store
        infos = store.image_infos(ids)
        there = [i for i in ids if i in infos]
        read: Iterable[LocalFeatures | None] = threads.map(
            lambda i: keypoints_of(store, infos[i]), there
        )
        for image_id, features in zip(there, read, strict=True):
            if features is None:
                self.findings.unread.add(image_id)
                continue
            if len(features) < FEW:
                self.few.add(image_id)
            yield image_id, features

    def compared(self, infos: Mapping[int, ImageInfo], image_id: int) -> Compared | None:
        """Return an image to be compared, None where it is gone or cannot be read."""
        info = infos.get(image_id)
        features = keypoints_of(self.collection.store, info) if info else None
        if features is None:
            return None
        return Compared(image_id, features, lambda: self.collection.pictures([image_id])[0])


def _find_candidates(
    reading: _Reading, keypoints: int, progress: Progress
) -> dict[Pair, set[bool]]:
    """Return pairs that share keypoints, and whether mirrored or not, or both."""
    spread = reading.image_ids[:: -(-len(reading.image_ids) // SAMPLED_IMAGES)]
    with contextlib.closing(reading.all(no_progress, "", spread)) as sample:
        hashing = KeypointHash.learn((features for _, features in sample), keypoints)
    parts = -(-keypoints // INDEXED)
    found: dict[Pair, set[bool]] = {}
    for part in range(parts):
        ids = reading.image_ids[part::parts]
        index = KeypointIndex(hashing, reading.all(progress, "Indexing keypoints", ids))
        _vote(reading, index, found, progress)
    return found


def _vote(
    reading: _Reading, index: KeypointIndex, found: dict[Pair, set[bool]], progress: Progress
) -> None:
    """Add the pairs that share keypoints with an image of the index."""

    def vote(image: tuple[int, LocalFeatures]) -> tuple[int, list[tuple[bool, IdArray]]]:
        image_id, features = image
        if not len(features):
            return image_id, []
        forms = ((False, features), (True, features.mirrored()))
        return image_id, [(m, index.vote(form, VOTED + 1).images) for m, form in forms]

    images = reading.all(progress, "Comparing keypoints")
    with ThreadPoolExecutor(DECODERS, "vote") as threads:
        while batch := list(itertools.islice(images, BATCH)):
            with one_blas_thread():
                voted = list(threads.map(vote, batch))
            for image_id, votes in voted:
                for is_mirrored, others in votes:
                    for other in others.tolist():
                        if other != image_id:
                            pair = (min(image_id, other), max(image_id, other))
                            found.setdefault(pair, set()).add(is_mirrored)


def _find_neighbours(reading: _Reading, progress: Progress) -> dict[Pair, set[bool]]:
    """Return pairs of images with few keypoints that are near by their conv vectors."""
    kind = reading.collection.store.find_kind("conv", "image")
    index = reading.collection.index(kind)
    few = np.array(sorted(reading.few), np.int64)
    if not len(few):
        return {}
    among = ImageSet.of(few)
    found: dict[Pair, set[bool]] = {}
    for start in range(0, len(few), BATCH):
        progress("Comparing plain pictures", start, len(few))
        reading.require_wanted()
        places, _, vectors = index.rows_of_images(few[start : start + BATCH])
        for place, matches in zip(
            places, index.search(vectors, NEIGHBOURS + 1, among), strict=True
        ):
            own = int(few[start + place])
            for other in matches.ids.tolist():
                if other != own:
                    found.setdefault((min(own, other), max(own, other)), set())
    return found


def _relate_all(
    reading: _Reading, candidates: Mapping[Pair, set[bool]], progress: Progress
) -> None:
    """Decide for each pair of candidates that was not compared before."""
    findings = reading.findings
    known = findings.relations.keys() | findings.unrelated
    pairs = sorted(pair for pair in candidates if pair not in known)

    def decide(pair: Pair) -> Relation | MissingPictureError | None:
        one, other = (reading.compared(infos, image_id) for image_id in pair)
        for image_id, compared in zip(pair, (one, other), strict=True):
            if compared is None:
                return MissingPictureError(image_id)
        try:
            return _relate(one, other, candidates[pair]) if one and other else None
        except MissingPictureError as error:
            return error

    with ThreadPoolExecutor(DECODERS, "relate") as threads:
        for start in range(0, len(pairs), BATCH):
            progress("Verifying pairs", start, len(pairs))
            reading.require_wanted()
            batch = pairs[start : start + BATCH]
            infos = reading.collection.store.image_infos(set(itertools.chain(*batch)))
            with one_blas_thread():
                decided = list(threads.map(decide, batch))
            for pair, relation in zip(batch, decided, strict=True):
                if isinstance(relation, MissingPictureError):  # it may be there the next time
                    findings.unread.add(relation.image_id)
                elif relation is None:
                    findings.unrelated.add(pair)
                else:
                    findings.relations[pair] = relation
    progress("Verifying pairs", len(pairs), len(pairs))


def _relate(one: Compared, other: Compared, forms: Collection[bool]) -> Relation | None:
    found = relate(one, other, mirrored=sorted(forms))
    if found is None and min(len(one.features), len(other.features)) < FEW:
        found = relate_plain(one, other)
    return found
