"""Queries that ask with several images: what a second one brings, and what one taken away removes.

Run: python -m benchmarks.further MANIFEST --store STORE [--every 8] [--weights 0.25 0.5 0.75 1]
     [--features]
Each query is asked alone, then with another query of the same right answers, drawn once. The first
table has the mean average precision of either alone, of the better one of each pair, and of both
together. Then, of the queries that have wrong images of one kind twice or more in their first ten,
an image of that kind is taken away, by each weight: how many of these are left, and the mean
average precision. The images that are asked with do not count as answers. Kinds are known by the
right answers of the manifest's queries. The last table has the mean average precision by conv
features of regions, by fc features of whole images, and by both rankings joined; with --features it
is all that is printed.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from retrieval.engine import SearchEngine
from retrieval.evaluation.manifest import Manifest, ManifestQuery
from retrieval.evaluation.metrics import average_precision
from retrieval.query import Query

FIRST = 10
SEED = 0


class Asker:
    """Asks a store about the images of a manifest."""

    def __init__(self, engine: SearchEngine, manifest: Manifest) -> None:
        self.engine = engine
        self.manifest = manifest
        self.kinds = kinds_of(manifest)

    def query(self, asked: ManifestQuery) -> Query:
        """Return a query that ranks all images by their regions."""
        return Query(path=asked.image, box=asked.box, search="region", k=None)

    def name(self, path: Path) -> str:
        """Return what the manifest calls an image."""
        return path.relative_to(self.manifest.folder.resolve()).as_posix()

    def ranking(self, query: Query, used: Sequence[ManifestQuery]) -> list[str]:
        """Return the images that are found, without those that are asked with."""
        own = {self.name(asked.image.resolve()) for asked in used}
        hits = self.engine.search(query)
        return [n for hit in hits if (n := self.name(Path(str(hit.path)).resolve())) not in own]

    def precision(self, query: Query, first: ManifestQuery, *others: ManifestQuery) -> float:
        """Return the average precision of a query for the right answers of its first image."""
        ranking = self.ranking(query, (first, *others))
        relevant = [name in first.positives for name in ranking]
        return average_precision(relevant, sum(relevant))


def kinds_of(manifest: Manifest) -> dict[str, int]:
    """Return a number for the kind of each image, by the right answers that queries share."""
    numbers: dict[frozenset[str], int] = {}
    kinds: dict[str, int] = {}
    for query in manifest.queries:
        own = query.image.resolve().relative_to(manifest.folder.resolve()).as_posix()
        number = numbers.setdefault(query.positives | {own}, len(numbers))
        for name in (own, *query.positives):
            kinds.setdefault(name, number)
    return kinds


def compare_pairs(asker: Asker, every: int) -> dict[str, float]:
    """Return mean average precisions of pairs of queries."""
    random = np.random.default_rng(SEED)
    rows = []
    for query in asker.manifest.queries[::every]:
        alike = [
            q for q in asker.manifest.queries if asker.name(q.image.resolve()) in query.positives
        ]
        if len(query.positives) < 2 or not alike:
            continue
        other = alike[int(random.integers(len(alike)))]
        one, two = asker.query(query), asker.query(other)
        rows.append(
            (
                asker.precision(one, query, other),
                asker.precision(two, query, other),
                asker.precision(replace(one, also=((two, 1.0),)), query, other),
            )
        )
    first, second, both = np.array(rows).T
    return {
        "pairs": len(rows),
        "first": float(first.mean()),
        "second": float(second.mean()),
        "better of each pair": float(np.maximum(first, second).mean()),
        "both": float(both.mean()),
    }


def compare_features(asker: Asker, every: int) -> dict[str, float]:
    """Return mean average precisions by conv, by fc, and by both rankings joined."""
    rows = []
    for query in asker.manifest.queries[::every]:
        by_conv = asker.query(query)
        by_fc = replace(by_conv, search="image", feature="fc")
        fused = replace(by_conv, also=((by_fc, 1.0),))
        rows.append([asker.precision(asked, query) for asked in (by_conv, by_fc, fused)])
    conv, fc, both = np.array(rows).mean(axis=0).tolist()
    return {
        "queries": len(rows),
        "conv": conv,
        "fc": fc,
        "conv and fc": both,
        "less than the better one": max(conv, fc) - both,
    }


def take_away(
    asker: Asker, every: int, weights: Sequence[float]
) -> dict[float, Mapping[str, float]]:
    """Return for each weight, 0 first, what is left of a kind that was taken away."""
    random = np.random.default_rng(SEED)
    rows: dict[float, list[tuple[float, float]]] = {weight: [] for weight in (0.0, *weights)}
    for query in asker.manifest.queries[::every]:
        own = asker.kinds[asker.name(query.image.resolve())]
        alone = asker.query(query)
        first = [asker.kinds.get(n, own) for n in asker.ranking(alone, [query])[:FIRST]]
        wrong = Counter(kind for kind in first if kind != own).most_common(1)
        if not wrong or wrong[0][1] < 2:
            continue
        kind = wrong[0][0]
        bad = [
            q for q in asker.manifest.queries if asker.kinds[asker.name(q.image.resolve())] == kind
        ]
        example = bad[int(random.integers(len(bad)))]
        for weight, found in rows.items():
            also = ((asker.query(example), -weight),) if weight else ()
            asked = replace(alone, also=also)
            kinds = [asker.kinds.get(n) for n in asker.ranking(asked, [query])[:FIRST]]
            found.append((kinds.count(kind), asker.precision(asked, query)))
    return {
        weight: {
            "queries": len(found),
            "left in the first ten": float(np.mean([left for left, _ in found])),
            "none left": float(np.mean([not left for left, _ in found])),
            "mAP": float(np.mean([precision for _, precision in found])),
        }
        for weight, found in rows.items()
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--weights", nargs="+", type=float, default=[0.25, 0.5, 0.75, 1.0])
    parser.add_argument("--features", action="store_true", help="print the last table only")
    arguments = parser.parse_args()
    asker = Asker(SearchEngine.open(arguments.store), Manifest.read(arguments.manifest))
    if not arguments.features:
        print_images(asker, arguments)
    for name, value in compare_features(asker, arguments.every).items():
        print(f"{name:24} {value:8.3f}")


def print_images(asker: Asker, arguments: argparse.Namespace) -> None:
    """Print the tables of queries with two images."""
    for name, value in compare_pairs(asker, arguments.every).items():
        print(f"{name:24} {value:8.3f}")
    for weight, row in take_away(asker, arguments.every, arguments.weights).items():
        print(
            f"weight {weight:5}  " + "  ".join(f"{n} {v:.2f}" for n, v in row.items()), flush=True
        )


if __name__ == "__main__":
    main()
