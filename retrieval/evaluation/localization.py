"""Localisation and segmentation: linear concepts find what they were taught, without boxes.

Concepts are trained on labels of whole images. Where they are in a test image is held against true
boxes or masks, beside ways that look at no image: a centred box, the whole image and a random box.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from indexer.arrays import FloatArray, Pixels
from indexer.choices import EngineName
from indexer.errors import ImageError, InvalidLabelsError
from indexer.features.backbones import Backbone
from indexer.features.engines.load import load_engine
from indexer.features.engines.protocols import activations_of
from indexer.features.preprocess import input_size
from indexer.features.regions import Region
from indexer.images.decode import load_image
from indexer.images.resize import resize_pixels
from indexer.progress import Progress, no_progress
from retrieval.concept_maps import box_of_heat, concept_heat
from retrieval.evaluation.boxed import BoxedImages, Mask
from retrieval.evaluation.feature_cache import FeatureCache
from retrieval.evaluation.judging import INTERVAL, RESAMPLES
from retrieval.evaluation.probes import fit_weights
from retrieval.evaluation.tap_features import TapChoice, describe_taps
from retrieval.segment import segment_object

What = Literal["boxes", "masks"]
CONCEPT = "concept"
GOOD_IOU = 0.5
AREAS = tuple(np.arange(1, 21) / 20)  # of a centred box, as shares of the image's
BATCH = 16


@dataclass(frozen=True)
class LocalizationRow:
    """How well a way finds objects: means over the classes, with 95 % intervals over the images.

    `iou` is the mean of the best IoU with a true box, or with the true mask, and `correct` the
    share of at least 0.5 (CorLoc, Deselaers et al. 2010), both in per cent.
    """

    way: str
    objects: int
    iou: float
    iou_interval: tuple[float, float]
    correct: float
    correct_interval: tuple[float, float]


Found = Mapping[str, Mapping[int, Sequence[float]]]
"""IoUs by way and class."""


def evaluate_localization(
    boxed: BoxedImages,
    backbone: Backbone,
    tap: str,
    *,
    what: What = "boxes",
    size_px: int,
    engine: EngineName = "auto",
    seed: int = 0,
    cache: FeatureCache | None = None,
    progress: Progress = no_progress,
) -> list[LocalizationRow]:
    """Train a concept for each class on the training part, and look for it in the test part.

    Only images that show a class, and have true boxes or masks of it, are asked. Raises
    `InvalidLabelsError` where there are none.
    """
    images = boxed.images
    asked = _asked(boxed, what)
    choice = TapChoice(backbone, (tap,), ("spoc",), size_px, engine)
    train = np.flatnonzero(images.is_train)
    paths = [images.paths[i] for i in train]
    features = describe_taps(paths, choice, cache=cache, progress=progress)
    [vectors] = features.vectors.values()
    weights = fit_weights(vectors[features.usable], images.labels[train[features.usable]])
    guesser = BoxGuesser(boxed, seed)
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row, pixels, maps in _mapped(images.paths, sorted(asked), choice, progress):
        for column in asked[row]:
            heat = concept_heat(maps, weights[column], pixels.shape[1::-1])
            boxes = {CONCEPT: box_of_heat(heat)} | guesser.boxes(*pixels.shape[1::-1])
            if what == "boxes":
                ious = _compare_boxes(boxes, boxed.boxes[row, column])
            else:
                ious = _compare_masks(boxes, pixels, heat, boxed.masks[row, column].read())
            for way, iou in ious.items():
                found[way][column].append(iou)
    return _summarise(found)


def _asked(boxed: BoxedImages, what: What) -> dict[int, list[int]]:
    """Return the test images, by row, and the classes that are looked for in each."""
    images = boxed.images
    asked: dict[int, list[int]] = defaultdict(list)
    for row, column in boxed.boxes if what == "boxes" else boxed.masks:
        if not images.is_train[row] and images.labels[row, column] == 1:
            asked[row].append(column)
    if not asked:
        raise InvalidLabelsError(f"No test image of {images.name} has {what} of what it shows.")
    return asked


def _compare_boxes(boxes: Mapping[str, Region], truths: Sequence[Region]) -> dict[str, float]:
    return {way: max(box.iou(truth) for truth in truths) for way, box in boxes.items()}


def _compare_masks(
    boxes: Mapping[str, Region], pixels: Pixels, heat: FloatArray, truth: Mask
) -> dict[str, float]:
    """Return the IoU of the mask that the heat suggests, and of the other boxes, filled."""
    masks = {way: _filled(box, (pixels.shape[0], pixels.shape[1])) for way, box in boxes.items()}
    masks[CONCEPT] = segment_object(Image.fromarray(pixels), boxes[CONCEPT], heat)
    return {way: mask_iou(mask, truth) for way, mask in masks.items()}


class BoxGuesser:
    """Boxes that are placed without looking at an image.

    The centred one covers the share of the area that finds most objects of the training part, and
    random ones have the sizes of objects there.
    """

    def __init__(self, boxed: BoxedImages, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        objects = _training_objects(boxed)
        self._area = max(AREAS, key=lambda area: _count_found(area, objects)) if objects else 0.5
        sides = [
            ((b.x1 - b.x0) / width, (b.y1 - b.y0) / height)
            for boxes, width, height in objects
            for b in boxes
        ]
        self._sides = np.clip(np.array(sides or [(0.7, 0.7)], np.float32), 0.01, 1)

    def boxes(self, width: int, height: int) -> dict[str, Region]:
        """Return a box for each way."""
        w, h = self._random.choice(self._sides)
        x, y = self._random.uniform(0, 1 - w), self._random.uniform(0, 1 - h)
        return {
            "centred box": _centred(self._area, width, height),
            "whole image": Region(0, 0, width, height),
            "random box": _box(x, y, w, h, width, height),
        }


def _training_objects(boxed: BoxedImages) -> list[tuple[list[Region], int, int]]:
    """Return the boxes of a class in a training image, with the image's width and height."""
    found = []
    for (row, _), boxes in boxed.boxes.items():
        if boxed.images.is_train[row]:
            try:
                facts = load_image(boxed.images.paths[row], at_least=1).facts
            except ImageError:
                continue  # it is not trained on either
            found.append((boxes, facts.width, facts.height))
    return found


def _count_found(area: float, objects: Sequence[tuple[list[Region], int, int]]) -> int:
    """Return how many images a centred box of this share of the area is right for."""
    return sum(
        max(_centred(area, width, height).iou(box) for box in boxes) >= GOOD_IOU
        for boxes, width, height in objects
    )


def _centred(area: float, width: int, height: int) -> Region:
    side = area**0.5
    return _box((1 - side) / 2, (1 - side) / 2, side, side, width, height)


def _box(x: float, y: float, w: float, h: float, width: int, height: int) -> Region:
    x0, y0 = int(x * width), int(y * height)
    x1, y1 = min(width, round((x + w) * width)), min(height, round((y + h) * height))
    return Region(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))


def _filled(box: Region, shape: tuple[int, int]) -> Mask:
    mask = np.zeros(shape, bool)
    mask[box.y0 : box.y1, box.x0 : box.x1] = True
    return mask


def mask_iou(first: Mask, second: Mask) -> float:
    """Return the intersection over union of two masks (height, width) of the same size."""
    if first.shape != second.shape:
        raise InvalidLabelsError(
            f"A mask has {second.shape[1]} × {second.shape[0]} pixels, its image "
            f"{first.shape[1]} × {first.shape[0]}."
        )
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 0.0


def _mapped(
    paths: Sequence[Path], rows: Sequence[int], choice: TapChoice, progress: Progress
) -> Iterator[tuple[int, Pixels, FloatArray]]:
    """Yield each image that can be read, with the activations (C, h, w) of the tap."""
    inference = load_engine(choice.backbone, choice.taps, choice.engine)
    [tap] = choice.taps
    for start in range(0, len(rows), BATCH):
        loaded = []
        for row in rows[start : start + BATCH]:
            try:
                loaded.append((row, load_image(paths[row]).pixels))
            except ImageError:
                continue  # it is in no figure: what it shows cannot be looked for
        views = [
            resize_pixels(p, input_size(p.shape[1], p.shape[0], choice.size_px, choice.backbone))
            for _, p in loaded
        ]
        described = activations_of(inference, views)
        for (row, pixels), activations in zip(loaded, described, strict=True):
            yield row, pixels, activations[tap]
        progress("Locating", min(start + BATCH, len(rows)), len(rows))


def _summarise(found: Found) -> list[LocalizationRow]:
    random = np.random.default_rng(0)
    rows = []
    for way, by_class in found.items():
        ious = [np.array(values) for values in by_class.values()]
        samples = [
            [random.choice(values, len(values)) for values in ious] for _ in range(RESAMPLES)
        ]
        measured = []
        for measure in (_mean_iou, _correct):
            low, high = np.percentile([measure(sample) for sample in samples], INTERVAL)
            measured.append((measure(ious), (float(low), float(high))))
        rows.append(LocalizationRow(way, sum(map(len, ious)), *measured[0], *measured[1]))
    return rows


def _mean_iou(by_class: Sequence[npt.NDArray[np.float64]]) -> float:
    return 100 * float(np.mean([values.mean() for values in by_class]))


def _correct(by_class: Sequence[npt.NDArray[np.float64]]) -> float:
    return 100 * float(np.mean([(values >= GOOD_IOU).mean() for values in by_class]))
