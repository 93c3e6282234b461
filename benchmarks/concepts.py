"""What a few examples teach: ranking and calibration of concepts, on PASCAL VOC.

Run: python -m benchmarks.concepts VOCFOLDER --store STORE [--classes bicycle] [--seeds 5]
STORE holds the photos of VOCFOLDER, see cbir index. A concept is taught from the first positives
and negatives of the part train, in an order by the seed, and from all of train. Average precision
and expected calibration error are those of the part val, the latter before and after the share of
positives is re-estimated on the whole store. With --negatives 0, they are drawn from all of it
by chance, unseen, as cbir teach does where none are given. The last line is the time that 10,000
examples take.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexer.arrays import BoolArray, FloatArray, IdArray, unit_rows
from indexer.choices import TAG_THRESHOLD, TapKind
from indexer.images.decode import load_image
from indexer.store.reader import StoreReader
from retrieval.collection import Collection
from retrieval.concept_maps import locate_concept
from retrieval.concepts import Concept, apply_concept, learn_concept
from retrieval.evaluation.boxed import BoxedImages, read_boxed
from retrieval.evaluation.labelled import LabelArray
from retrieval.evaluation.localization import BoxGuesser
from retrieval.evaluation.metrics import expected_calibration_error, ranked_average_precision
from retrieval.examples import DRAWN


def main() -> None:
    """Print a line a class, and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--classes", nargs="+")
    parser.add_argument("--feature", default="conv", choices=["conv", "fc"])
    parser.add_argument("--positives", type=int, default=20)
    parser.add_argument("--negatives", type=int, default=100)  # 0: drawn by chance
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--boxes", action="store_true", help="locate the first seed's right hits")
    arguments = parser.parse_args()
    lab = Lab(read_boxed(arguments.folder), StoreReader.open(arguments.store), arguments.feature)
    rows = []
    for name in arguments.classes or lab.images.classes:
        rows.append(lab.measure(name, arguments))
        print(json.dumps(rows[-1]), flush=True)
    means = {key: round(float(np.mean([row[key] for row in rows])), 4) for key in FIGURES}
    print(json.dumps({"class": "mean"} | means))
    print(json.dumps({"examples": MANY, "train_s": round(time_many(lab.store), 3)}))


MANY = 10_000
FIGURES = ("AP_all", "ECE_all", "AP", "ratio", "ECE_unadjusted", "ECE", "ECE_worst", "train_s")


def time_many(store: StoreReader) -> float:
    """Return the seconds that learning from `MANY` made examples of 1,280 values takes."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(MANY, 1280)).astype(np.float32)
    positive = random.random(MANY) < 0.2
    vectors[positive, :20] += 1
    vectors = unit_rows(vectors)
    started = time.perf_counter()
    learn_concept("made", "conv", store.spec, vectors, positive)
    return time.perf_counter() - started


class Lab:
    """Labelled images, and the store that describes them."""

    def __init__(self, boxed: BoxedImages, store: StoreReader, feature: TapKind) -> None:
        self.boxed = boxed
        self.images = boxed.images
        self.store = store
        self.collection = Collection(store)
        self.guesser = BoxGuesser(boxed, seed=0)
        self.feature = feature
        infos = [store.find_image(path) for path in self.images.paths]
        self.ids: IdArray = np.array([-1 if info is None else info.id for info in infos], np.int64)

    def measure(self, name: str, arguments: argparse.Namespace) -> dict[str, str | float]:
        """Return the figures of a class."""
        labels = self.images.labels[:, self.images.classes.index(name)]
        train = np.flatnonzero(self.images.is_train & (labels >= 0) & (self.ids >= 0))
        whole = self.judge(self.teach(name, train, labels[train] == 1), labels)
        figures, times = [], []
        located: dict[str, float] = {}
        for seed in range(arguments.seeds):
            order = np.random.default_rng(seed).permutation(train)
            positives = order[labels[order] == 1][: arguments.positives]
            if arguments.negatives:
                negatives = order[labels[order] == 0][: arguments.negatives]
            else:
                free = np.setdiff1d(np.flatnonzero(self.ids >= 0), positives)
                negatives = np.random.default_rng(seed).permutation(free)[:DRAWN]
            rows = np.concatenate([positives, negatives])
            marks = np.arange(len(rows)) < len(positives)
            started = time.perf_counter()
            concept = self.teach(name, rows, marks, drawn=not arguments.negatives)
            times.append(time.perf_counter() - started)
            figures.append(self.judge(concept, labels))
            if arguments.boxes and seed == 0:
                located = self.locate(concept)
        few = np.mean(figures, axis=0)
        values = (whole[0], whole[2], few[0], few[0] / whole[0], few[1], few[2])
        worst = max(figure[2] for figure in figures)
        found = zip(FIGURES, (*values, worst, np.median(times)), strict=True)
        measured = {key: round(float(value), 4) for key, value in found}
        return {"class": name} | measured | located

    def teach(
        self, name: str, rows: IdArray, positive: BoolArray, *, drawn: bool = False
    ) -> Concept:
        """Return the concept of these images, whose negatives may be `drawn` by chance."""
        vectors, spec = self.vectors(rows), self.store.spec
        return learn_concept(name, self.feature, spec, vectors, positive, ~positive & drawn)

    def locate(self, concept: Concept) -> dict[str, float]:
        """Return how many right hits in val have a box that is right, and a centred box that is.

        Hits are images that are tagged; right ones have a true box.
        """
        column = self.images.classes.index(concept.name)
        applied = apply_concept(self.store, concept)
        likely = dict(zip(applied.image_ids.tolist(), applied.probabilities.tolist(), strict=True))
        rows = [
            row
            for row, shown in self.boxed.boxes
            if shown == column
            and not self.images.is_train[row]
            and likely.get(int(self.ids[row]), 0.0) >= TAG_THRESHOLD
        ]
        found: dict[str, list[bool]] = {"concept": [], "centred box": []}
        for row in rows:
            pixels = load_image(self.images.paths[row]).pixels
            [box] = locate_concept(self.collection.extractor, concept.model.weights, [pixels])
            guess = self.guesser.boxes(pixels.shape[1], pixels.shape[0])["centred box"]
            truths = self.boxed.boxes[row, column]
            for way, one in (("concept", box), ("centred box", guess)):
                found[way].append(max(one.iou(truth) for truth in truths) >= 0.5)
        return {"located": len(rows)} | {
            f"CorLoc, {way}": round(float(np.mean(right)), 4) for way, right in found.items()
        }

    def vectors(self, rows: IdArray) -> FloatArray:
        """Return the vectors of images, in order."""
        index = self.store.vector_index(self.store.find_kind(self.feature, "image"))
        places, _, vectors = index.rows_of_images(self.ids[rows])
        return vectors[np.argsort(places)]

    def judge(self, concept: Concept, labels: LabelArray) -> Sequence[float]:
        """Return AP, and ECE before and after the share of positives is re-estimated, on val."""
        applied = apply_concept(self.store, concept)
        rows = np.flatnonzero(~self.images.is_train & (labels >= 0) & (self.ids >= 0))
        found = dict(zip(applied.image_ids.tolist(), applied.probabilities.tolist(), strict=True))
        adjusted = np.array([found[image_id] for image_id in self.ids[rows].tolist()])
        scores = concept.model.scores(self.vectors(rows))
        unadjusted = concept.calibration.probabilities(scores)
        positive = labels[rows] == 1
        return (
            ranked_average_precision(scores, labels[rows]),
            expected_calibration_error(unadjusted, positive),
            expected_calibration_error(adjusted, positive),
        )


if __name__ == "__main__":
    main()
