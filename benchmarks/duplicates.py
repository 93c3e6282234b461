"""Finding duplicates: planted copies that are found, and the time that large collections take.

Run: python -m benchmarks.duplicates PHOTOS... [--photos 1000] [--each 90] [--enlarged 100000]
Of each folder, photos are drawn, and `each` of them are there again in each of ten ways. The table
has how many of these copies `cbir duplicates` finds, in the right kind of group, and its precision:
the share of the pairs it reports, in groups of whole pictures and of parts, that were planted. A
photo and the same photo with another one pasted into it count as neither. A part is found where it
is in a group of parts with its photo.

With --enlarged, a store of so many photos is made: their vectors are jittered, their keypoints
drawn from those of all photos, and every tenth is a copy of another, with noise in its keypoints.
The steps of the search are timed on it.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.collections import fill, photos_in
from benchmarks.planted import KINDS, PART_KINDS, Planted, plant
from indexer.build import Builder
from indexer.features.extractor import FeatureExtractor
from indexer.features.local import LocalFeatures, find_local_features
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from indexer.optimize import update_indexes
from indexer.store.local_features import keep_local_features
from indexer.store.store import Store
from retrieval.collection import Collection
from retrieval.duplicates.groups import Group
from retrieval.duplicates.search import Duplicates, find_duplicates

NOISE = 8  # of 255, in a descriptor
COPY_EVERY = 10
KEYPOINTS = 500
SIZE = (640, 480)

Pair = frozenset[str]


class StepTimes:
    """A progress that notes how long each step takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._step, self._since = "", time.perf_counter()

    def __call__(self, step: str, done: int, total: int, *, failed: int = 0) -> None:
        del done, total, failed
        now = time.perf_counter()
        if self._step:
            self.seconds[self._step] = self.seconds.get(self._step, 0.0) + now - self._since
        self._step, self._since = step, now


def measure(photos: Sequence[Path], each: int, scratch: Path) -> None:
    """Plant copies among photos, and print how many are found."""
    planted = plant([*photos], scratch / "photos", each, np.random.default_rng(0))
    spec = FeatureSpec.create(regions="none")
    with closing(Store.create(scratch / ".cbir", spec)) as store:
        Builder(store, lambda: FeatureExtractor(spec)).run([scratch / "photos"])
        started = time.perf_counter()
        found = find_duplicates(Collection(store))
        elapsed = time.perf_counter() - started
        whole, parts, together = _pairs(store, found)
    print(f"{len(photos)} photos, {len(planted)} copies; {elapsed:.0f} s with finding keypoints")
    _print_recall(planted, whole, together)
    ignored = {frozenset((p.copy, p.host)) for p in planted if p.host}
    wholes = {frozenset((p.photo, p.copy)) for p in planted if p.kind not in PART_KINDS}
    cuts = {frozenset((p.photo, p.copy)) for p in planted if p.kind in PART_KINDS}
    for name, pairs, right in (("whole", whole, wholes), ("part", parts, cuts)):
        counted = pairs - ignored
        wrong = sorted(tuple(sorted(pair)) for pair in counted - right)
        share = len(counted & right) / max(1, len(counted))
        print(f"precision of {name} pictures: {share:.4f} of {len(counted)}")
        for pair in wrong[:10]:
            print("  not planted:", *pair)


def _pairs(store: Store, found: Duplicates) -> tuple[set[Pair], set[Pair], set[Pair]]:
    """Return the pairs of names that show the same picture, those of a whole and a part, and all
    that are in one group of parts."""
    ids = {i for group in found.groups for i in group.image_ids}
    names = {i: info.path.name for i, info in store.image_infos(ids).items()}

    def named(group: Group) -> list[str]:
        return [names[i] for i in group.image_ids]

    whole = {
        frozenset(pair)
        for group in found.groups
        if group.kind != "part"
        for pair in itertools.combinations(named(group), 2)
    }
    parts = {
        frozenset((named(group)[0], part))
        for group in found.groups
        if group.kind == "part"
        for part in named(group)[1:]
    }
    together = {
        frozenset(pair)
        for group in found.groups
        if group.kind == "part"
        for pair in itertools.combinations(named(group), 2)
    }
    return whole, parts, together


def _print_recall(planted: Sequence[Planted], whole: set[Pair], parts: set[Pair]) -> None:
    count: Counter[str] = Counter(p.kind for p in planted)
    hits: Counter[str] = Counter()
    for own in planted:
        where = parts if own.kind in PART_KINDS else whole
        hits[own.kind] += frozenset((own.photo, own.copy)) in where
    for kind in KINDS:
        print(f"  {kind:18} {hits[kind]:4} of {count[kind]:4}  {hits[kind] / count[kind]:.3f}")
    for name, kinds in (
        ("whole pictures", [k for k in KINDS if k not in PART_KINDS]),
        ("parts", [*PART_KINDS]),
    ):
        share = sum(hits[k] for k in kinds) / sum(count[k] for k in kinds)
        print(f"recall of {name}: {share:.4f}")


def enlarge(photos: Sequence[Path], images: int, scratch: Path) -> None:
    """Make a large store and time the steps of searching it for duplicates."""
    random = np.random.default_rng(0)
    (scratch / "originals").mkdir()
    features, originals = [], []
    for number, photo in enumerate(photos):
        original = scratch / "originals" / f"{number}.jpg"
        load_image(photo).image.resize(SIZE).save(original)
        originals.append(original)
        features.append(find_local_features(load_image(original).pixels))
    points = np.concatenate([f.points for f in features])
    descriptors = np.concatenate([f.descriptors for f in features])
    spec = FeatureSpec.create(regions="none")
    with closing(Store.create(scratch / ".cbir", spec)) as store:
        fill(store, images)
        update_indexes(store)
        root = scratch / "photos"
        last = features[0]
        for i in range(images):
            place = root / str(i // 1000) / f"{i}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            is_copy = i % COPY_EVERY == 1
            place.symlink_to(originals[(i - is_copy) % len(originals)])
            if is_copy:
                own = _noisy(last, random)
            else:
                rows = random.integers(len(points), size=KEYPOINTS)
                own = LocalFeatures(points[rows], descriptors[rows], SIZE)
            keep_local_features(store, i + 1, own)
            last = own
        times = StepTimes()
        started = time.perf_counter()
        found = find_duplicates(Collection(store), progress=times)
        elapsed = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{images} photos: {elapsed:.0f} s, {len(found.groups)} groups, {peak:.1f} GB at most")
    for step, seconds in times.seconds.items():
        print(f"  {step:22} {seconds:6.0f} s")


def _noisy(features: LocalFeatures, random: np.random.Generator) -> LocalFeatures:
    noise = random.integers(-NOISE, NOISE + 1, features.descriptors.shape)
    changed = np.clip(features.descriptors.astype(np.int64) + noise, 0, 255).astype(np.uint8)
    return dataclasses.replace(features, descriptors=changed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--each", type=int, default=90)
    parser.add_argument("--enlarged", type=int, default=0)
    options = parser.parse_args()
    for folder in options.folders:
        photos = photos_in(folder)
        drawn = np.random.default_rng(0).permutation(len(photos))[: options.photos]
        with tempfile.TemporaryDirectory() as scratch:
            print(folder.name)
            chosen = [photos[i] for i in drawn.tolist()]
            if options.enlarged:
                enlarge(chosen, options.enlarged, Path(scratch))
            else:
                measure(chosen, options.each, Path(scratch))


if __name__ == "__main__":
    main()
