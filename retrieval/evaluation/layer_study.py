"""The layer study: which backbone, tap, pooling, size and whitening serves a collection best.

Settings are chosen on one half of the questions and reported on the other, so that choosing the
best of many does not flatter it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexer.arrays import FloatArray
from indexer.choices import EngineName, Pooling
from indexer.errors import InvalidLabelsError
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.registry import get_backbone
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import principal_axes
from indexer.progress import Progress, no_progress, prefixed
from retrieval.evaluation.feature_cache import FeatureCache
from retrieval.evaluation.judging import Judgement, interval
from retrieval.evaluation.tap_features import TapChoice, TapFeatures, describe_taps
from retrieval.evaluation.tasks import Task, TaskName

WHITENED_DIMENSION = 512  # at most
SHRINKAGE = 0.1  # of the covariance towards a sphere: small variances are noise
IMAGES_PER_DIMENSION = 2  # with fewer, no more dimensions are kept


@dataclass(frozen=True)
class Setting:
    """How whole images are described: fc taps have no `pooling`."""

    backbone: str
    tap: str
    pooling: Pooling | None
    size_px: int
    is_whitened: bool

    @property
    def title(self) -> str:
        """The setting as people read it."""
        parts = [self.backbone, self.tap, self.pooling or "", f"{self.size_px} px"]
        return " ".join(part for part in (*parts, "whitened" if self.is_whitened else "") if part)

    def as_spec(self) -> dict[str, Any]:
        """Return the choices for `FeatureSpec.create`; raises `ValueError` for a whitened one."""
        if self.is_whitened:
            raise ValueError("a spec has no whitening of whole images")
        choices = {"backbone": self.backbone, "size_px": self.size_px}
        if self.pooling is None:
            return choices | {"fc": self.tap}
        return choices | {"conv": self.tap, "pooling": self.pooling}


def default_setting() -> Setting:
    """Return what `cbir index` does unless it is told otherwise."""
    spec = FeatureSpec.create()
    return Setting(spec.backbone, spec.conv, spec.pooling, spec.size_px, is_whitened=False)


@dataclass(frozen=True)
class SettingResult:
    """What a setting reaches on the half that it may be chosen by, and on the other."""

    setting: Setting
    task: TaskName
    figure: str
    dimension: int
    chosen_by: Judgement
    held_out: Judgement


@dataclass(frozen=True)
class Recommendation:
    """The best setting of a task on one half, against the default on the other.

    `gain` is in percentage points, with its 95 % interval (paired bootstrap); `is_better` tells
    whether that lies above 0.
    """

    best: SettingResult
    default: SettingResult
    gain: float
    low: float
    high: float

    @property
    def is_better(self) -> bool:
        """Whether the best setting beats the default on questions it was not chosen by."""
        return self.best.setting != self.default.setting and self.low > 0


@dataclass(frozen=True)
class Grid:
    """The settings that are tried; `taps` are all of each backbone where it is empty."""

    backbones: tuple[str, ...] = (DEFAULT_BACKBONE,)
    taps: tuple[str, ...] = ()
    poolings: tuple[Pooling, ...] = ("rmac", "gem", "spoc", "mac")
    sizes_px: tuple[int, ...] = (FeatureSpec.size_px,)
    whitens: bool = True
    engine: EngineName = "auto"
    cached: bool = True

    def choices(self) -> list[TapChoice]:
        """Return what has to be described, the default setting included."""
        default = default_setting()
        found = [
            TapChoice(
                get_backbone(name),
                self.taps or tuple(get_backbone(name).taps),
                self.poolings,
                size,
                self.engine,
            )
            for name in self.backbones
            for size in self.sizes_px
        ]
        if not any(_has(choice, default) for choice in found):
            taps, poolings = (default.tap,), (default.pooling or FeatureSpec.pooling,)
            network = get_backbone(default.backbone)
            found.insert(0, TapChoice(network, taps, poolings, default.size_px, self.engine))
        return found


def _has(choice: TapChoice, setting: Setting) -> bool:
    """Return whether a setting is among what is described."""
    return (
        choice.backbone.name == setting.backbone
        and choice.size_px == setting.size_px
        and setting.tap in choice.taps
        and setting.pooling in choice.poolings
    )


class LayerStudy:
    """Settings compared on tasks.

    `failed` are, by path, the reasons why images were left out, of the tasks that were described.
    """

    def __init__(self, tasks: Sequence[Task], grid: Grid, progress: Progress = no_progress) -> None:
        self.failed: dict[str, str] = {}
        self._tasks, self._grid, self._progress = tasks, grid, progress

    def results(self) -> Iterator[SettingResult]:
        """Yield what each setting reaches in each task; images that cannot be used are left out."""
        for task in self._tasks:
            found = self._describe(task)
            usable = np.logical_and.reduce([features.usable for _, features in found])
            own = task.only(usable)
            total = sum(len(features.vectors) for _, features in found)
            done = 0
            for choice, features in found:
                for name, vectors in features.vectors.items():
                    self._progress(f"Judging {task.name}", done, total)
                    whitens = self._grid.whitens
                    yield from _judge(own, choice, name, vectors[usable], whitens=whitens)
                    done += 1

    def _describe(self, task: Task) -> list[tuple[TapChoice, TapFeatures]]:
        cache = FeatureCache() if self._grid.cached else None
        found = []
        for choice in self._grid.choices():
            named = prefixed(self._progress, f"{choice.backbone.name}, {choice.size_px} px")
            features = describe_taps(task.items, choice, cache=cache, progress=named)
            self.failed |= dict(features.failed)
            found.append((choice, features))
        return found


def _judge(
    task: Task, choice: TapChoice, name: str, vectors: FloatArray, *, whitens: bool
) -> Iterator[SettingResult]:
    tap, _, pooling = name.partition(" ")
    for is_whitened in (False, True) if whitens else (False,):
        used = whiten(vectors, task) if is_whitened else vectors
        setting = Setting(
            choice.backbone.name,
            tap,
            next((p for p in choice.poolings if p == pooling), None),
            choice.size_px,
            is_whitened,
        )
        first, second = task.judge_halves(used)
        yield SettingResult(setting, task.name, task.figure, used.shape[1], first, second)


def whiten(vectors: FloatArray, task: Task) -> FloatArray:
    """Return vectors whitened by PCA, learned from the items that the task allows, without labels.

    Small variances are raised by shrinkage towards a sphere, so that their noise is not amplified.
    """
    sample = vectors[task.learned_from]
    size = min(vectors.shape[1], WHITENED_DIMENSION, max(2, len(sample) // IMAGES_PER_DIMENSION))
    return principal_axes(sample, size, 1.0, SHRINKAGE).apply(vectors)


def recommend(results: Sequence[SettingResult], task: TaskName) -> Recommendation:
    """Choose the best setting that a store can have, and compare it with the default.

    Whitened settings are reported only: a store does not whiten vectors of whole images. Raises
    `InvalidLabelsError` where nothing was measured on the task.
    """
    own = [r for r in results if r.task == task and not r.setting.is_whitened]
    if not own:
        raise InvalidLabelsError(f"Nothing was measured by {task}: these images have no such task.")
    default = next(r for r in own if r.setting == default_setting())
    best = max(own, key=lambda r: r.chosen_by.figure)
    gains = best.held_out.resampled - default.held_out.resampled
    low, high = interval([gains])
    return Recommendation(best, default, best.held_out.figure - default.held_out.figure, low, high)
