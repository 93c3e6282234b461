"""Kill runs that change a store at random moments, and see that nothing is lost or doubled.

    python -m benchmarks.kill [--runs 200] [--seed 1]

Each run of `cbir index` follows changes of the photos (some are new, changed, moved or deleted);
others are runs of `optimize`, `remove` and, on a copy, `whiten`. Each is killed (SIGKILL) at a
random moment. After each, the doctor has to find no damage, and every image that was committed and
whose file is still there has to be in the store, once. In the end one run of index is left alone:
the store then has to hold the images, and give the hits, of one that was never killed.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from indexer.diagnosis import examine
from indexer.images.decode import load_image
from indexer.sources.place import path_below
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.query import Query

PHOTOS = Path("data/sample/images")
SIDE_PX = 160  # photos of this size are described quickly
QUERIES = 5
SLOWEST_S = 60.0


@dataclass
class Yard:
    """A folder of photos with a store, and what was done to them."""

    folder: Path
    chance: random.Random
    failures: list[str] = field(default_factory=list)
    made: int = 0

    @property
    def photos(self) -> Path:
        return self.folder / "photos"

    @property
    def store(self) -> Path:
        return self.folder / ".cbir"

    def fill(self) -> None:
        """Put small copies of the sample's photos into the folder."""
        self.photos.mkdir()
        for path in sorted(PHOTOS.glob("*.jpg")):
            pixels = load_image(path, at_least=SIDE_PX).image
            pixels.thumbnail((SIDE_PX, SIDE_PX))
            pixels.save(self.photos / path.name, quality=90)

    def change(self) -> None:
        """Add, change, move and delete a few photos."""
        files = self.chance.sample(sorted(self.photos.rglob("*.jpg")), 10)
        for path in files[:4]:
            self.made += 1
            turned = Image.open(path).transpose(Image.Transpose.ROTATE_90)
            turned.save(self.photos / f"made-{self.made}.jpg", quality=self.chance.randint(60, 95))
        for path in files[4:6]:
            Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path, quality=88)
        for path in files[6:8]:
            place = self.photos / self.chance.choice("abc") / f"{self.made}-{path.name}"
            place.parent.mkdir(exist_ok=True)
            path.rename(place)
        for path in files[8:]:
            path.unlink()

    def indexed(self) -> list[Path]:
        """Return the files that the store knows at their place."""
        opened = Store.open(self.store)
        try:
            return [p for p in sorted(self.photos.rglob("*.jpg")) if opened.find_image(p)]
        finally:
            opened.close()

    def files(self) -> Counter[str]:
        """Return how often each file's contents occur in the folder."""
        return Counter(_hash(path) for path in self.photos.rglob("*.jpg"))


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def committed(store: Path) -> Counter[str]:
    """Return how often each file's contents are in a store, as good images."""
    opened = Store.open(store)
    try:
        rows = opened.known_files().values()
        return Counter(row.file.content_hash.hex() for row in rows if row.reason is None)
    finally:
        opened.close()


def command(*words: str | Path) -> list[str]:
    """Return the command line of cbir."""
    return [sys.executable, "-m", "ui.cli", *map(str, words)]


def run(words: Sequence[str], after_s: float | None) -> float:
    """Run a command, killed after some seconds if given, and return how long it took."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(words, stdout=told, stderr=told)
        try:
            process.wait(after_s if after_s is not None else SLOWEST_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.returncode not in (0, -9):
            told.seek(0)
            raise RuntimeError(f"{' '.join(words)}: {told.read().decode(errors='replace')}")
    return time.monotonic() - started


def kill_once(yard: Yard, lasts: dict[str, float]) -> str:
    """Do one run, kill it, and check the store; return what it was."""
    what = yard.chance.choices(("index", "optimize", "remove", "whiten"), (6, 2, 1, 1))[0]
    before, store, gone = committed(yard.store), yard.store, Counter[str]()
    if what == "index":
        yard.change()
        words = command("index", yard.photos, "--store", store)
    elif what == "optimize":
        words = command("optimize", "--store", store)
    elif what == "whiten":
        store = yard.folder / "copy" / ".cbir"
        shutil.rmtree(store.parent, ignore_errors=True)
        shutil.copytree(yard.store, store)
        (store.parent / "photos").symlink_to(yard.photos)
        words = command("whiten", "--trust", "--store", store)
    else:
        path = yard.chance.choice(yard.indexed())
        gone = Counter({_hash(path): 1})
        words = command("remove", path, "--no-exclude", "--store", store)
    limit = lasts.get(what, 4.0)
    run(words, yard.chance.uniform(0, 1.1 * limit))
    found = examine(store)
    yard.failures += [f"{what}: {f.what}" for f in found.findings if f.gravity == "damage"]
    kept = committed(store)
    lost = (before & yard.files()) - kept - gone
    if lost:
        yard.failures.append(f"{what}: {sum(lost.values())} committed images are lost")
    twice = kept - (before | yard.files())
    if twice:
        yard.failures.append(f"{what}: {sum(twice.values())} images are there twice")
    return what


def hits_of(store: Path, photos: Path) -> list[list[tuple[str, float]]]:
    """Return the hits of a few queries by photos of the folder, by region too."""
    engine = SearchEngine.open(store)
    chosen = sorted(photos.rglob("*.jpg"))[:QUERIES]
    found = []
    for path in chosen:
        for search in ("image", "region"):
            hits = engine.search(Query(path=path, search=search, k=20))
            found.append(sorted((path_below(photos, h.path), round(h.score, 3)) for h in hits))
    engine.store.close()
    return found


def kill_often(folder: Path, runs: int, seed: int) -> tuple[list[str], Counter[str]]:
    """Do all of it in an empty folder; return what failed, and how many runs of each kind were."""
    yard = Yard(folder, random.Random(seed))
    yard.fill()
    run(command("index", yard.photos, "--store", yard.store), None)
    shutil.copytree(yard.store, folder / "probe" / ".cbir")
    (folder / "probe" / "photos").symlink_to(yard.photos)
    lasts = {}
    for what in ("optimize", "whiten"):
        lasts[what] = run(command(what, "--store", folder / "probe" / ".cbir"), None)
    lasts["remove"] = lasts["optimize"]
    yard.change()
    lasts["index"] = run(command("index", yard.photos, "--store", yard.store), None)
    done: Counter[str] = Counter()
    for number in range(runs):
        done[kill_once(yard, lasts)] += 1
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {runs}", end="", file=sys.stderr)
    run(command("index", yard.photos, "--store", yard.store), None)
    fresh = folder / "fresh" / ".cbir"
    run(command("index", yard.photos, "--store", fresh), None)
    if committed(yard.store) != committed(fresh):
        yard.failures.append("in the end, other images are in the store than in a new one")
    if hits_of(yard.store, yard.photos) != hits_of(fresh, yard.photos):
        yard.failures.append("in the end, other hits are found than in a new store")
    if not examine(yard.store).is_clean:
        yard.failures.append("in the end, the store is not clean")
    return yard.failures, done


def main() -> None:
    """Print what was killed, and what failed."""
    parser = argparse.ArgumentParser(description="Kill runs of cbir at random moments.")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        failures, done = kill_often(Path(temporary).resolve(), options.runs, options.seed)
    print(", ".join(f"{count} of {what}" for what, count in done.most_common()))
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"{len(failures)} failures of {options.runs}")


if __name__ == "__main__":
    main()
