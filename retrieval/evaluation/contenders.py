"""Contenders: deep features of taps and of stores, handcrafted ones, and nets from scratch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, HalfArray, Pixels, unit_rows
from indexer.images.decode import load_image
from indexer.images.resize import resize_pixels
from indexer.progress import Progress, no_progress
from indexer.store.reader import StoreReader
from retrieval.collection import Collection
from retrieval.evaluation.classification import Contender, Scored, probe_contender
from retrieval.evaluation.feature_cache import FeatureCache, key_of
from retrieval.evaluation.handcrafted import (
    HandcraftedFeatures,
    bags_of_words,
    colour_histograms,
    fisher_vectors,
)
from retrieval.evaluation.judging import FigureName, Rows
from retrieval.evaluation.labelled import LabelledImages
from retrieval.evaluation.probes import ProbeName, fit_probe

Baseline = Literal["colours", "bow", "fisher", "scratch"]
Architecture = Literal["vgg16", "efficientnet_lite0"]
Handcrafted = Literal["colours", "bow", "fisher"]
HANDCRAFTED: dict[Handcrafted, tuple[str, Callable[..., HandcraftedFeatures]]] = {
    "colours": ("colour histogram", colour_histograms),
    "bow": ("bag of words", bags_of_words),
    "fisher": ("Fisher vector", fisher_vectors),
}
SCRATCH_MARGIN = 1.15  # of the images kept, over the network's input: crops are cut from them


@dataclass(frozen=True)
class ScratchChoice:
    """How a network is trained from scratch; what is None depends on the machine.

    On a GPU it is VGG-16 for 120 epochs at 160 pixels, else a smaller network for fewer and smaller
    images, so that it ends in minutes.
    """

    architecture: Architecture | None = None
    epochs: int | None = None
    side_px: int | None = None


@dataclass(frozen=True)
class FeatureSet:
    """Unit vectors (N, D) of images by name, all from one backbone; `failed` by path and reason.

    Rows of images that failed are zero. `pair` names a conv and an fc feature to be joined.
    """

    backbone: str
    vectors: dict[str, FloatArray]
    failed: list[tuple[str, str]]
    pair: tuple[str, str] | None = None

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Which images (N,) have vectors."""
        rows = next(iter(self.vectors.values()))
        return np.asarray(rows.any(axis=1))

    def contenders(
        self, rows: npt.NDArray[np.bool_], model: ProbeName, figure: FigureName
    ) -> list[Contender]:
        """Return a probe on each of the features of these images, and on the pair joined."""
        vectors = {name: v[rows] for name, v in self.vectors.items()}
        if self.pair is not None:
            vectors[" + ".join(self.pair)] = join(*(vectors[name] for name in self.pair))
        return [probe_contender(n, self.backbone, v, model, figure) for n, v in vectors.items()]


def join(*vectors: FloatArray) -> FloatArray:
    """Return unit vectors (N, D) side by side, as unit vectors; rows of zeros stay."""
    whole = np.concatenate(vectors, axis=1)
    joined = np.zeros_like(whole)
    usable = whole.any(axis=1)
    joined[usable] = unit_rows(whole[usable])
    return joined


def read_stored(store: StoreReader, paths: Sequence[Path]) -> FeatureSet:
    """Return the vectors of whole images that a store holds."""
    collection = Collection(store)
    infos = [store.find_image(path) for path in paths]
    spec = store.spec
    vectors: dict[str, FloatArray] = {}
    for kind in spec.kinds_of("image"):
        name = kind.taps[0] if kind.feature == "fc" else f"{kind.taps[0]} {spec.pooling}"
        index = collection.index(kind)
        rows: list[FloatArray | None] = []
        for info in infos:
            try:
                rows.append(None if info is None else index.rows_of_image(info.id)[1][0])
            except KeyError:
                rows.append(None)  # it shows nothing, or could not be read
        zeros = np.zeros(next((len(row) for row in rows if row is not None), 0), np.float32)
        vectors[name] = np.stack([zeros if row is None else row for row in rows])
    conv, fc = vectors
    missing = [p for p, row in zip(paths, vectors[fc], strict=True) if not row.any()]
    reason = f"the store at {store.path} has no vectors of it"
    return FeatureSet(spec.backbone, vectors, [(str(p), reason) for p in missing], (conv, fc))


def handcrafted_contender(
    name: Handcrafted,
    model: ProbeName,
    figure: FigureName,
    cache: FeatureCache | None = None,
    progress: Progress = no_progress,
) -> Contender:
    """Return a probe on handcrafted features, which are learned on the training part."""
    title, describe = HANDCRAFTED[name]
    kept: dict[bytes, FloatArray | HalfArray] = {}

    def score(images: LabelledImages, rows: Rows, seed: int) -> Scored:
        part = images.is_train.tobytes()  # the vocabulary is learned once for a training part
        if part not in kept:
            kept.clear()
            key = key_of(images.paths, name, part.hex())
            found = cache and cache.find(key)
            if not found:
                made = describe(images.paths, images.is_train, progress=progress)
                found = {"vectors": made.vectors}
                if cache:
                    cache.keep(key, found)
            kept[part] = found["vectors"]
        fitted = fit_probe(kept[part], images, rows, model, figure, seed=seed)
        return Scored(fitted.scores, kept[part].shape[1], fitted.strength)

    return Contender(title, None, score)


def scratch_contender(choice: ScratchChoice, progress: Progress = no_progress) -> Contender:
    """Return a network that is trained from random weights, on a GPU if there is one."""
    import torch

    from retrieval.evaluation.scratch import Schedule, train_from_scratch

    on_gpu = torch.cuda.is_available()
    architecture: Architecture = choice.architecture or (
        "vgg16" if on_gpu else "efficientnet_lite0"
    )
    schedule = Schedule() if on_gpu else replace(Schedule(), epochs=10, side_px=64)
    if choice.epochs is not None:
        schedule = replace(schedule, epochs=choice.epochs)
    if choice.side_px is not None:
        schedule = replace(schedule, side_px=choice.side_px)

    def score(images: LabelledImages, rows: Rows, seed: int) -> Scored:
        is_train = np.zeros(len(images), bool)
        is_train[rows] = True
        found = train_from_scratch(
            load_squares(images.paths, round(SCRATCH_MARGIN * schedule.side_px)),
            images.labels,
            is_train,
            architecture,
            schedule,
            seed=seed,
            device="cuda" if on_gpu else "cpu",
            progress=progress,
        )
        return Scored(found.scores)

    name = f"from scratch, {schedule.epochs} epochs at {schedule.side_px} px on a "
    name += "GPU" if on_gpu else "CPU"
    return Contender(name, architecture, score, has_chance=True, on_curve=False)


def load_squares(paths: Sequence[Path], side_px: int) -> Pixels:
    """Return all images (N, side, side, 3), squeezed to squares."""

    def load(path: Path) -> Pixels:
        return resize_pixels(load_image(path, at_least=side_px).pixels, (side_px, side_px))

    with ThreadPoolExecutor() as threads:
        return np.stack(list(threads.map(load, paths)))
