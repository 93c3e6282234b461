"""Chance: how often what is unrelated is proved, or answered with confidence.

Run: python -m benchmarks.chance MANIFEST PHOTOS [--stores FOLDER] [--every 8] [--pairs 100000]
MANIFEST is a labelled set, PHOTOS a folder of photos that have nothing to do with it. It prints

- how many of so many pairs of a query and an unrelated photo are proved to match;
- for each way to search: how often crops of the photos, asked of the set, have no confident match,
  and how often right first hits are confident;
- the share of right first hits that are answered where at most a tenth of the queries whose right
  answers are taken out is.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scoreboard import open_store
from indexer.choices import Scope
from indexer.features.local import find_local_features
from indexer.features.regions import Region
from indexer.images.decode import load_image
from indexer.sources.place import Place
from retrieval.confidence import CONFIDENT
from retrieval.engine import SearchEngine
from retrieval.evaluation.manifest import Manifest, ManifestQuery
from retrieval.geometry import QueryKeypoints
from retrieval.query import Query

SEARCHES: tuple[Scope, ...] = ("image", "region")
WRONG_SHARE = 0.1
AREAS = (0.03, 0.3)  # of a crop, as shares of the photo's


def keypoints(query: ManifestQuery) -> QueryKeypoints:
    """Return the keypoints of a query."""
    pixels, box = load_image(query.image).pixels, query.box
    if box is not None:
        pixels = pixels[box.y0 : box.y1, box.x0 : box.x1]
    return QueryKeypoints.of(pixels, is_picture=box is None)


def count_false_proofs(
    queries: list[ManifestQuery], photos: list[Path], pairs: int
) -> tuple[int, int]:
    """Return how many pairs of a query and a photo were compared, in every form, and proved."""
    asked = [keypoints(query) for query in queries]
    others = [find_local_features(load_image(path).pixels) for path in photos]
    compared = proved = 0
    for query, photo in islice(product(asked, others), pairs):
        match = query.find_match(photo)
        compared += 1
        proved += match is not None and match.is_proof
    return compared, proved


def random_crops(photos: list[Path]) -> list[Query]:
    """Return a query by a random box of each photo."""
    rng = np.random.default_rng(0)
    queries = []
    for path in photos:
        facts = load_image(path).facts
        share = np.sqrt(rng.uniform(*AREAS))
        w, h = max(8, int(facts.width * share)), max(8, int(facts.height * share))
        x, y = int(rng.integers(0, facts.width - w + 1)), int(rng.integers(0, facts.height - h + 1))
        queries.append(Query(path=path, box=Region(x, y, x + w, y + h)))
    return queries


def confidence(engine: SearchEngine, query: Query) -> tuple[Place | None, float]:
    """Return the first hit of a query, and its confidence."""
    hits = engine.search(replace(query, k=1))
    return (hits[0].path, hits[0].confidence or 0.0) if hits else (None, 0.0)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--stores", type=Path)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=100_000)
    arguments = parser.parse_args()
    manifest = Manifest.read(arguments.manifest.resolve())
    queries = manifest.queries[:: arguments.every]
    photos = sorted(arguments.photos.resolve().glob("*.jpg"))
    if arguments.pairs:
        compared, proved = count_false_proofs(queries, photos, arguments.pairs)
        print(
            f"{proved} of {compared:,} pairs of a query and an unrelated photo proved", flush=True
        )
    unrelated = random_crops(photos)
    with tempfile.TemporaryDirectory() as scratch:
        store = open_store(manifest, (arguments.stores or Path(scratch)) / manifest.name)
        engine = SearchEngine(store)
        found = {entry: store.find_image(manifest.folder / entry) for entry in manifest.database}
        ids = {entry: info.id for entry, info in found.items() if info is not None}
        for search, verify in product(SEARCHES, (False, True)):
            options: dict[str, Any] = {"search": search, "verify": verify}
            right, without = [], []
            for query in queries:
                asked = replace(Query(path=query.image, box=query.box), **options)
                allowed = frozenset(ids.values()) - {ids[e] for e in query.junk if e in ids}
                path, score = confidence(engine, replace(asked, allowed=allowed))
                if path in {manifest.folder / entry for entry in query.positives}:
                    right.append(score)
                allowed -= {ids[entry] for entry in query.positives if entry in ids}
                without.append(confidence(engine, replace(asked, allowed=allowed))[1])
            by_chance = [confidence(engine, replace(query, **options))[1] for query in unrelated]
            bar = float(np.quantile(without, 1 - WRONG_SHARE, method="higher"))
            print(
                f"{search}{' + verify' if verify else ''}: "
                f"unrelated unanswered {np.mean(np.array(by_chance) < CONFIDENT[search]):.3f}, "
                f"right first hits answered {np.mean(np.array(right) >= CONFIDENT[search]):.3f}; "
                f"with the right answer taken out {np.mean(np.array(without) > bar):.3f} answered "
                f"where right ones are {np.mean(np.array(right) > bar):.3f}",
                flush=True,
            )
        store.close()


if __name__ == "__main__":
    main()
