"""Measuring features from the browser: what `cbir eval layers` and `cbir eval classify` do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from indexer.choices import Pooling
from indexer.features.spec import FeatureSpec
from retrieval.evaluation.classification import Result
from retrieval.evaluation.datasets import find_tasks
from retrieval.evaluation.experiment import Experiment, ExperimentRun
from retrieval.evaluation.judging import FigureName
from retrieval.evaluation.layer_study import Grid, LayerStudy, SettingResult
from retrieval.evaluation.tasks import TaskName
from ui.jobs import Job


@dataclass(frozen=True)
class LabChoice:
    """What is measured, and on which labelled images."""

    place: Path
    backbones: tuple[str, ...]
    poolings: tuple[Pooling, ...]
    sizes_px: tuple[int, ...]
    whitens: bool

    @property
    def folder(self) -> Path:
        """The folder that pictures may be shown from."""
        return self.place if self.place.is_dir() else self.place.parent

    @property
    def classified_px(self) -> int:
        """The input size of the classification: the usual one if it was chosen."""
        usual = FeatureSpec.size_px
        return usual if usual in self.sizes_px else self.sizes_px[0]


@dataclass(frozen=True)
class Classification:
    """Results of each feature and baseline, best first, by one figure."""

    name: str
    figure: FigureName
    results: list[Result]


@dataclass(frozen=True)
class Measured:
    """What was measured; `failed` are the images that were left out, by path and reason."""

    settings: list[SettingResult]
    tasks: tuple[TaskName, ...]
    classification: Classification | None
    failed: list[tuple[str, str]]


class MeasuringStopped(KeyboardInterrupt):
    """The user stopped the measuring."""


class MeasuringJob(Job):
    """Measures features on labelled images; those that were computed are kept if it is stopped."""

    def __init__(self, choice: LabChoice) -> None:
        super().__init__("Reading the labels and loading the networks")
        self.choice = choice
        self.measured: Measured | None = None
        self.start()

    def _work(self) -> None:
        try:
            self.measured = self._measure()
        except MeasuringStopped:
            self.stopped = True

    def _progress(self, step: str, done: int, total: int, *, failed: int = 0) -> None:
        super()._progress(step, done, total, failed=failed)
        if self._stopping.is_set():
            raise MeasuringStopped

    def _measure(self) -> Measured:
        own = self.choice
        tasks = find_tasks(own.place, ("retrieval", "classification"))
        grid = Grid(own.backbones, (), own.poolings, own.sizes_px, whitens=own.whitens)
        study = LayerStudy(tasks, grid, self._progress)
        settings = list(study.results())
        failed, classification = study.failed, None
        names = tuple(task.name for task in tasks)
        if "classification" in names:
            experiment = Experiment(
                own.place, own.backbones, poolings=own.poolings, size_px=own.classified_px
            )
            run = ExperimentRun(experiment, self._progress)
            results = sorted(run.results(), key=lambda result: -result.figure)
            classification = Classification(run.images.name, run.figure, results)
            failed |= dict(run.failed)
        return Measured(settings, names, classification, sorted(failed.items()))
