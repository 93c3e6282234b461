"""Tasks that settings of features are compared on: classification, and retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray
from indexer.errors import InvalidLabelsError
from retrieval.evaluation.judging import (
    RESAMPLES,
    FigureName,
    Judgement,
    Rows,
    judge,
    usual_figure,
)
from retrieval.evaluation.labelled import LabelledImages
from retrieval.evaluation.manifest import Manifest
from retrieval.evaluation.metrics import average_precision
from retrieval.evaluation.probes import fit_probe, sample_training_rows
from retrieval.evaluation.tap_features import Crop

TaskName = Literal["classification", "retrieval"]


class Task(Protocol):
    """Judges vectors (N, D) of its `items` on one half of its questions, and on the other.

    `learned_from` (N,) marks the items that a whitening may be learned from.
    """

    @property
    def name(self) -> TaskName: ...

    @property
    def figure(self) -> str: ...

    @property
    def items(self) -> Sequence[Path | Crop]: ...

    @property
    def learned_from(self) -> npt.NDArray[np.bool_]: ...

    def judge_halves(self, vectors: FloatArray) -> tuple[Judgement, Judgement]: ...

    def only(self, usable: npt.NDArray[np.bool_]) -> Task: ...


@dataclass(frozen=True)
class ClassificationTask:
    """A ridge classifier, trained on the training part and judged on halves of the test part."""

    images: LabelledImages
    name: TaskName = "classification"

    @property
    def figure(self) -> FigureName:
        """What is measured."""
        return usual_figure(self.images)

    @property
    def items(self) -> Sequence[Path | Crop]:
        """The images."""
        return self.images.paths

    @property
    def learned_from(self) -> npt.NDArray[np.bool_]:
        """The training part."""
        return self.images.is_train

    def only(self, usable: npt.NDArray[np.bool_]) -> ClassificationTask:
        """Return the task without the images that cannot be used."""
        return ClassificationTask(self.images.only(usable))

    def judge_halves(self, vectors: FloatArray) -> tuple[Judgement, Judgement]:
        """Return what a linear model of these vectors (N, D) reaches on each half."""
        images = self.images
        rows = sample_training_rows(images, None, 0)
        scores = fit_probe(vectors, images, rows, "ridge", self.figure).scores
        first, second = split_halves(np.flatnonzero(~images.is_train))
        return judge(scores, images, first, self.figure), judge(scores, images, second, self.figure)


@dataclass(frozen=True)
class RetrievalTask:
    """The cosine ranking of a database by whole queries; halves are halves of the queries.

    `queries` (Q,) and `database` (N,) are rows of `items`, `positives` and `junk` (Q, N) tell of
    the database; a query with no positives is left out.
    """

    items: Sequence[Path | Crop]
    queries: Rows
    database: Rows
    positives: npt.NDArray[np.bool_]
    junk: npt.NDArray[np.bool_]
    name: TaskName = "retrieval"
    figure: str = "mAP"

    @classmethod
    def from_manifest(cls, manifest: Manifest) -> RetrievalTask:
        """Return the queries of a manifest, crops where they have boxes."""
        database: list[Path | Crop] = [manifest.folder / entry for entry in manifest.database]
        queries = [q for q in manifest.queries if q.positives]
        asked = [q.image if q.box is None else Crop(q.image, q.box) for q in queries]
        entries = np.array(manifest.database)
        return cls(
            [*database, *asked],
            len(database) + np.arange(len(asked)),
            np.arange(len(database)),
            np.array([np.isin(entries, sorted(q.positives)) for q in queries]),
            np.array([np.isin(entries, sorted(q.junk)) for q in queries]),
        )

    @classmethod
    def from_labelled(cls, images: LabelledImages) -> RetrievalTask:
        """Return each image as a query for the others that show one of its classes."""
        shown = (images.labels == 1).astype(np.float32)
        rows = np.arange(len(images))
        alike = (shown @ shown.T) > 0
        same = np.eye(len(images), dtype=bool)
        return cls(images.paths, rows, rows, alike & ~same, same)

    @property
    def learned_from(self) -> npt.NDArray[np.bool_]:
        """The database, of which a whitening sees no labels."""
        marks = np.zeros(len(self.items), bool)
        marks[self.database] = True
        return marks

    def only(self, usable: npt.NDArray[np.bool_]) -> RetrievalTask:
        """Return the task without the images that cannot be used."""
        places = np.cumsum(usable) - 1
        in_database = usable[self.database]
        positives = self.positives[:, in_database]
        asked = usable[self.queries] & positives.any(axis=1)
        if asked.sum() < 2:
            raise InvalidLabelsError("Fewer than two queries can be asked; check the images.")
        return RetrievalTask(
            [item for item, is_usable in zip(self.items, usable, strict=True) if is_usable],
            places[self.queries[asked]],
            places[self.database[in_database]],
            positives[asked],
            self.junk[asked][:, in_database],
        )

    def judge_halves(self, vectors: FloatArray) -> tuple[Judgement, Judgement]:
        """Return the mean average precision of these vectors (N, D) on each half."""
        scores = vectors[self.queries] @ vectors[self.database].T
        precisions = np.array(
            [
                _precision(row, positives, junk)
                for row, positives, junk in zip(scores, self.positives, self.junk, strict=True)
            ]
        )
        first, second = split_halves(np.arange(len(precisions)))
        return _judge_mean(precisions[first]), _judge_mean(precisions[second])


def split_halves(rows: Rows) -> tuple[Rows, Rows]:
    """Return two halves of rows, by chance, the same for all settings."""
    order = np.random.default_rng(0).permutation(rows)
    return np.sort(order[: len(rows) // 2]), np.sort(order[len(rows) // 2 :])


def _precision(
    scores: FloatArray, positives: npt.NDArray[np.bool_], junk: npt.NDArray[np.bool_]
) -> float:
    order = np.argsort(-scores, kind="stable")
    order = order[~junk[order]]
    return average_precision(positives[order], int((positives & ~junk).sum()))


def _judge_mean(values: npt.NDArray[np.float64]) -> Judgement:
    """Return the mean of values in per cent, and of bootstrap samples of them."""
    random = np.random.default_rng(0)
    counts = random.multinomial(len(values), np.full(len(values), 1 / len(values)), RESAMPLES)
    return Judgement(100 * float(values.mean()), 100 * (counts @ values) / len(values), None)
