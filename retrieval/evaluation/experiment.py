"""A classification experiment, from labelled images to results: what `cbir eval classify` runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from indexer.choices import EngineName, Pooling
from indexer.errors import InvalidLabelsError
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.registry import get_backbone
from indexer.features.spec import FeatureSpec
from indexer.progress import Progress, no_progress, prefixed
from indexer.store.reader import StoreReader
from retrieval.evaluation.classification import Contender, Result, classify
from retrieval.evaluation.contenders import (
    Baseline,
    FeatureSet,
    ScratchChoice,
    handcrafted_contender,
    read_stored,
    scratch_contender,
)
from retrieval.evaluation.datasets import VOC_LISTS, read_dataset
from retrieval.evaluation.feature_cache import FeatureCache
from retrieval.evaluation.judging import FigureName, usual_figure
from retrieval.evaluation.labelled import LabelledImages
from retrieval.evaluation.probes import ProbeName
from retrieval.evaluation.tap_features import TapChoice, describe_taps


@dataclass(frozen=True)
class Experiment:
    """What is compared, how it is trained, and how it is judged.

    `taps` are all of each backbone where it is empty. Vectors come from `store`, if it is given,
    instead of from backbones. `figure` is the usual one for the images where it is None,
    `per_class` adds fewer training images, and `folds` cross-validates instead of splitting once.
    """

    dataset: Path
    backbones: tuple[str, ...] = (DEFAULT_BACKBONE,)
    taps: tuple[str, ...] = ()
    poolings: tuple[Pooling, ...] = (FeatureSpec.pooling,)
    joined: bool = True
    size_px: int = FeatureSpec.size_px
    store: Path | None = None
    baselines: tuple[Baseline, ...] = ("colours",)
    scratch: ScratchChoice = field(default_factory=ScratchChoice)
    model: ProbeName = "svm"
    figure: FigureName | None = None
    per_class: tuple[int, ...] = ()
    test_share: float = 0.5
    folds: int | None = None
    voc_lists: tuple[str, str] = VOC_LISTS
    seeds: int = 1
    cached: bool = True
    engine: EngineName = "auto"


class ExperimentRun:
    """An experiment whose images were read and described.

    `images` are those of the first seed, `failed` by path and reason those that were left out, and
    `figure` is what is measured.
    """

    def __init__(self, experiment: Experiment, progress: Progress = no_progress) -> None:
        self.experiment = experiment
        self._progress = progress
        self._draws = read_dataset(
            experiment.dataset,
            voc_lists=experiment.voc_lists,
            test_share=experiment.test_share,
            seeds=experiment.seeds,
        )
        self.figure: FigureName = experiment.figure or usual_figure(self._draws[0])
        if self.figure == "accuracy" and not self._draws[0].exclusive:
            raise InvalidLabelsError("Images with several labels have no accuracy; measure mAP.")
        self.failed: list[tuple[str, str]] = []
        self._contenders = self._describe()

    @property
    def images(self) -> LabelledImages:
        """The images of the first seed."""
        return self._draws[0]

    def results(self) -> Iterator[Result]:
        """Train and judge one contender after the other; those with fewer images first."""
        counts = [*sorted(self.experiment.per_class), None]
        folds = self.experiment.folds
        yield from classify(
            self._draws, self._contenders, counts, self.figure, folds=folds, progress=self._progress
        )

    def _describe(self) -> list[Contender]:
        """Return what is compared; images that cannot be used are left out of all."""
        own = self.experiment
        if own.store is None:
            sets = [self._describe_by(name) for name in own.backbones]
        else:
            sets = [read_stored(StoreReader.open(own.store), self.images.paths)]
        reasons = dict(failure for found in sets for failure in found.failed)
        self.failed = sorted(reasons.items())
        usable = np.logical_and.reduce([found.usable for found in sets])
        self._draws = [images.only(usable) for images in self._draws]
        contenders: list[Contender] = []
        for found in sets:
            contenders += found.contenders(usable, own.model, self.figure)
        return contenders + [self._baseline(name) for name in own.baselines]

    def _describe_by(self, name: str) -> FeatureSet:
        own, network = self.experiment, get_backbone(name)
        taps = own.taps or tuple(network.taps)
        choice = TapChoice(network, taps, own.poolings, own.size_px, own.engine)
        found = describe_taps(
            self.images.paths,
            choice,
            cache=FeatureCache() if own.cached else None,
            progress=prefixed(self._progress, name),
        )
        conv, fc = f"{network.default_conv} {own.poolings[0]}", network.default_fc
        pair = (conv, fc) if own.joined and {conv, fc} <= found.vectors.keys() else None
        return FeatureSet(name, found.vectors, found.failed, pair)

    def _baseline(self, name: Baseline) -> Contender:
        own = self.experiment
        if name == "scratch":
            return scratch_contender(own.scratch, self._progress)
        cache = FeatureCache() if own.cached else None
        return handcrafted_contender(name, own.model, self.figure, cache, self._progress)
