"""What a few examples teach: ranking and calibration of concepts, on PASCAL VOC.

Run: python -m benchmarks.concepts VOCFOLDER --store STORE [--classes bicycle] [--seeds 5]
STORE holds the photos of VOCFOLDER, see cbir index. A concept is taught from the first positives
and negatives of the part train, in an order by the seed, and from all of train. Average precision
and expected calibration error are those of the part val, the latter before and after the share of
positives is re-estimated on the whole store. With --negatives 0, they are drawn from all of it
by chance, unseen, as cbir teach does where none are given.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexer.arrays import BoolArray, FloatArray, IdArray
from indexer.choices import TapKind
from indexer.store.reader import StoreReader
from retrieval.concepts import Concept, apply_concept, learn_concept
from retrieval.evaluation.labelled import LabelArray, LabelledImages, read_voc
from retrieval.evaluation.metrics import expected_calibration_error, ranked_average_precision
from retrieval.evaluation.voc import read_voc
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
    arguments = parser.parse_args()
    lab = Lab(read_voc(arguments.folder), StoreReader.open(arguments.store), arguments.feature)
    rows = []
    for name in arguments.classes or lab.images.classes:
        rows.append(lab.measure(name, arguments))
        print(json.dumps(rows[-1]), flush=True)
    means = {key: round(float(np.mean([row[key] for row in rows])), 4) for key in FIGURES}
    print(json.dumps({"class": "mean"} | means))


FIGURES = ("AP_all", "ECE_all", "AP", "ratio", "ECE_unadjusted", "ECE", "ECE_worst", "train_s")


class Lab:
    """Labelled images, and the store that describes them."""

    def __init__(self, images: LabelledImages, store: StoreReader, feature: TapKind) -> None:
        self.images = images
        self.store = store
        self.feature = feature
        infos = [store.find_image(path) for path in images.paths]
        self.ids: IdArray = np.array([-1 if info is None else info.id for info in infos], np.int64)

    def measure(self, name: str, arguments: argparse.Namespace) -> dict[str, str | float]:
        """Return the figures of a class."""
        labels = self.images.labels[:, self.images.classes.index(name)]
        train = np.flatnonzero(self.images.is_train & (labels >= 0) & (self.ids >= 0))
        whole = self.judge(self.teach(name, train, labels[train] == 1), labels)
        figures, times = [], []
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
        few = np.mean(figures, axis=0)
        values = (whole[0], whole[2], few[0], few[0] / whole[0], few[1], few[2])
        worst = max(figure[2] for figure in figures)
        found = zip(FIGURES, (*values, worst, np.median(times)), strict=True)
        return {"class": name} | {key: round(float(value), 4) for key, value in found}

    def teach(
        self, name: str, rows: IdArray, positive: BoolArray, *, drawn: bool = False
    ) -> Concept:
        """Return the concept of these images, whose negatives may be `drawn` by chance."""
        vectors, spec = self.vectors(rows), self.store.spec
        return learn_concept(name, self.feature, spec, vectors, positive, ~positive & drawn)

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
