"""Damage every kind of file of a store, and see that nothing wrong is answered without a word.

    python -m benchmarks.corruption [--places 200] [--repairs 3] [--seed 1]

Each kind of file gets bits flipped at random places, is cut short, emptied, deleted, and swapped
with another one of its kind. After each, the same queries are asked. A damage passes if they are
answered as before, or refused with an error; it fails if one ends in a traceback, or in other hits.
Of each kind and way, some are mended by what `cbir doctor --repair` does, after which all queries
have to be answered as in the beginning.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from indexer.adapt import adapt_store
from indexer.build import index_photos
from indexer.diagnosis import examine
from indexer.doctor import Doctor
from indexer.errors import CbirError
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.optimize import optimize_store
from indexer.store.store import Store
from retrieval.collection_map import map_collection
from retrieval.engine import SearchEngine
from retrieval.query import Query
from ui.gallery import Gallery

PHOTOS = Path("data/sample/images")
ASKED = ("cat-1.jpg", "coins-2.jpg", "clock-1.jpg")
KINDS = {
    "catalogue": "catalog.sqlite",
    "settings": "settings.json",
    "ids": "vectors/*.ids.npy",
    "image ids": "vectors/*.images.npy",
    "vectors": "vectors/*.vectors.npy",
    "checksums": "vectors/*.sums",
    "index": "vectors/*.faiss",
    "whitening": "adaptation-*.npz",
    "keypoints": "derived/*/*-keypoints-*.bin",
    "thumbnails": "derived/*/*.jpg",
    "map": "derived/map.npz",
}
Answers = list[list[tuple[str, float, object]]]


@dataclass
class Bench:
    """A sound store beside its photos, what is answered there, and a copy to be damaged."""

    folder: Path
    extractor: FeatureExtractor
    answers: Answers = field(default_factory=list)

    @property
    def sound(self) -> Path:
        return self.folder / "sound"

    @property
    def store(self) -> Path:
        return self.folder / ".cbir"

    def renew(self) -> None:
        """Begin again with a sound store."""
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(self.sound, self.store)

    def ask(self) -> Answers:
        """Return the hits of the queries; raises `CbirError`."""
        engine = SearchEngine.open(self.store)
        try:
            engine.collection.store.adaptation()
            photos = self.folder / "photos"
            queries = [
                Query(path=photos / ASKED[0], search="image", k=None),
                Query(path=photos / ASKED[1], search="region", k=None),
                Query(path=photos / ASKED[2], search="region", k=10, verify=True),
            ]
            with_network = SearchEngine(engine.store, extractor=self.extractor)
            found = [with_network.search(query) for query in queries]
        finally:
            engine.store.close()
        return [
            [(hit.path.name, round(hit.score, 4), hit.region) for hit in hits] for hits in found
        ]


def make(folder: Path) -> Bench:
    """Make a store with everything in it: an index of each kind, a whitening, derived files."""
    shutil.copytree(PHOTOS, folder / "photos")
    store = Store.create(folder / ".cbir", FeatureSpec.create())
    plain = FeatureExtractor(store.spec)
    store.index_type = "balanced"
    store.keep_keypoints(True)
    index_photos(store, [folder / "photos"], lambda: plain)
    adapt_store(store)
    optimize_store(store)
    adapted = FeatureExtractor(store.spec, inference=plain.inference, adaptation=store.adaptation())
    engine = SearchEngine(store, extractor=adapted)
    map_collection(engine.collection)
    known = [row.id for row in store.known_files().values()]
    Gallery(store).thumbnails([*store.image_infos(known).values()])
    store.close()
    (folder / ".cbir").rename(folder / "sound")
    bench = Bench(folder, adapted)
    bench.renew()
    bench.answers = bench.ask()
    return bench


def flip(content: bytes, chance: random.Random) -> bytes:
    """Return the bytes with one bit changed."""
    changed = bytearray(content)
    if changed:
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(content: bytes, chance: random.Random) -> bytes:
    """Return the first of the bytes."""
    return content[: chance.randrange(max(1, len(content)))]


def harm(way: str, files: list[Path], chance: random.Random) -> None:
    """Damage one of several files of a kind."""
    file, other = (chance.sample(files, 2) * 2)[:2] if len(files) > 1 else (files[0], files[0])
    content = file.read_bytes()
    if way == "deleted":
        file.unlink()
    elif way == "swapped":
        file.write_bytes(other.read_bytes())
        other.write_bytes(content)
    elif way == "emptied":
        file.write_bytes(b"")
    else:
        file.write_bytes((flip if way == "flipped" else cut)(content, chance))


def ways(places: int) -> list[str]:
    """Return what is done to each kind of file."""
    return ["flipped"] * places + ["cut"] * max(1, places // 10) + ["emptied", "deleted", "swapped"]


def judge(bench: Bench) -> str:
    """Say how the queries end: `same`, `refused`, or what is wrong."""
    try:
        answers = bench.ask()
    except CbirError:
        return "refused"
    except Exception as error:  # noqa: BLE001 - any other error is what is looked for
        return f"TRACEBACK {type(error).__name__}: {error}"
    if answers == bench.answers:
        return "same"
    known = not examine(bench.store).is_clean
    return "WRONG, and the doctor knows" if known else "WRONG, and the doctor does not know"


def mend(bench: Bench) -> str:
    """Say whether one command brings all back."""
    doctor = Doctor(lambda store: lambda: _extractor_of(bench, store))
    try:
        found = examine(bench.store)
        if found.is_clean:
            return "nothing to mend"
        after = doctor.repair(bench.store, found).after
    except CbirError as error:
        return f"NOT MENDED: {error}"
    except Exception as error:  # noqa: BLE001 - any other error is what is looked for
        return f"TRACEBACK while mending {type(error).__name__}: {error}"
    if not after.is_clean:
        return f"STILL DAMAGED: {after.findings[0].what}"
    names = {name for hits in bench.answers for name, _, _ in hits}
    found_again = {name for hits in bench.ask() for name, _, _ in hits}
    return "mended" if after.images == 75 and names == found_again else "LOST"


def _extractor_of(bench: Bench, store: Store) -> FeatureExtractor:
    return FeatureExtractor(
        store.spec, inference=bench.extractor.inference, adaptation=store.adaptation()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Damage a store in every way, and ask it.")
    parser.add_argument("--places", type=int, default=200)
    parser.add_argument("--repairs", type=int, default=3, help="of each kind and way")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=KINDS, action="append")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    failures = 0
    with tempfile.TemporaryDirectory() as temporary:
        bench = make(Path(temporary))
        for kind in options.kind or KINDS:
            outcomes: Counter[str] = Counter()
            mended: Counter[str] = Counter()
            done: Counter[str] = Counter()
            for way in ways(options.places):
                bench.renew()
                harm(way, sorted(bench.store.glob(KINDS[kind])), chance)
                outcome = judge(bench)
                outcomes[f"{outcome} ({way})" if outcome[:3].isupper() else outcome] += 1
                done[way] += 1
                if done[way] <= options.repairs:
                    mended[mend(bench)] += 1
            both = outcomes + mended
            failures += sum(count for outcome, count in both.items() if outcome[:3].isupper())
            text = ", ".join(f"{count} {what}" for what, count in outcomes.most_common())
            after = ", ".join(f"{count} {what}" for what, count in mended.most_common())
            print(f"{kind:11} {text}; of {sum(mended.values())}: {after}", flush=True)
    print(f"{failures} failures")


if __name__ == "__main__":
    main()
