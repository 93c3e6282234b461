"""Labelled images: which classes they show, and which of them are for training."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.errors import InvalidLabelsError
from indexer.images.find import find_images

LabelArray = npt.NDArray[np.int8]
NOT_COUNTED = -1


@dataclass(frozen=True)
class LabelledImages:
    """Images with labels, in a training and a test part.

    `labels` (N, C) are 1 for a class that an image shows, 0 for one that it does not, and -1 where
    that is not to be counted. `is_train` (N,) marks the training part. Classes that exclude each
    other are `exclusive`: then each row has a single 1.
    """

    name: str
    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: LabelArray
    is_train: npt.NDArray[np.bool_]
    exclusive: bool

    def __len__(self) -> int:
        return len(self.paths)

    def only(self, rows: npt.NDArray[np.bool_]) -> LabelledImages:
        """Return the images of these rows (N,); raises `InvalidLabelsError`.

        Classes of which either part then has no image are left out.
        """
        labels, is_train = self.labels[rows], self.is_train[rows]
        shown = labels == 1
        kept = shown[is_train].any(axis=0) & shown[~is_train].any(axis=0)
        if kept.sum() < 2 - (not self.exclusive):
            raise InvalidLabelsError(
                f"Too few images of {self.name} can be used: no two classes have images for "
                "training and for the test."
            )
        if self.exclusive and not kept.all():
            rows = rows & (self.labels[:, kept] == 1).any(axis=1)
            labels, is_train = self.labels[rows], self.is_train[rows]
        return LabelledImages(
            self.name,
            tuple(c for c, is_kept in zip(self.classes, kept, strict=True) if is_kept),
            tuple(path for path, is_kept in zip(self.paths, rows, strict=True) if is_kept),
            labels[:, kept],
            is_train,
            self.exclusive,
        )


def read_labelled(place: Path, *, test_share: float = 0.5, seed: int = 0) -> LabelledImages:
    """Read labelled images, whatever form they have.

    A folder has a folder of images for each class, of which `test_share`, chosen by chance, are for
    the test. A file is a manifest (JSON) with `labels` by
    image and `splits` named train and test, or a CSV file with the columns path and label, and
    split if it is given; paths are relative to the file. Raises `InvalidLabelsError`.
    """
    if place.is_dir():
        found = {p: p.relative_to(place).parts[0] for p in _images_below(place)}
        return from_labels(place.name, found, {}, test_share, seed)
    if place.suffix.lower() == ".csv":
        labels, parts = _read_csv(place)
    elif place.suffix.lower() == ".json":
        name, labels, parts = _read_manifest(place)
        return from_labels(name, labels, parts, test_share, seed)
    else:
        raise InvalidLabelsError(
            f"{place} is neither a folder of class folders nor PASCAL VOC, a manifest "
            "(.json) or a list of path and label (.csv)."
        )
    return from_labels(place.stem, labels, parts, test_share, seed)


def in_words(error: Exception) -> str:
    """Return what is wrong with a file of labels, for people."""
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def _images_below(folder: Path) -> list[Path]:
    found = [Path(entry.path) for entry in find_images(folder)]
    return [path for path in found if path.parent != folder]


def _read_csv(place: Path) -> tuple[dict[Path, str], dict[Path, str]]:
    try:
        with place.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        labels = {place.parent / row["path"]: row["label"] for row in rows}
        parts = {place.parent / row["path"]: row["split"] for row in rows if row.get("split")}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InvalidLabelsError(
            f"{place} is not a CSV file with the columns path and label: {in_words(error)}."
        ) from error
    return labels, parts


def _read_manifest(place: Path) -> tuple[str, dict[Path, str], dict[Path, str]]:
    try:
        data = json.loads(place.read_text("utf-8"))
        folder = place.parent / data["images"]
        splits = {folder / i: name for name, images in data["splits"].items() for i in images}
        parts = {path: name for path, name in splits.items() if name in ("train", "test")}
        labels = {folder / image: str(label) for image, label in data["labels"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidLabelsError(
            f"{place} is not a manifest with images, labels and splits: {in_words(error)}."
        ) from error
    name = str(data.get("name", place.stem))
    return name, {path: label for path, label in labels.items() if path in parts}, parts


def from_labels(
    name: str,
    labels: Mapping[Path, str],
    parts: Mapping[Path, str],
    test_share: float,
    seed: int,
) -> LabelledImages:
    """Return images of one label each; those without a part get one by chance."""
    paths = sorted(labels)
    classes = sorted(set(labels.values()))
    if len(classes) < 2:
        count = "only one class" if classes else "no images with a class"
        raise InvalidLabelsError(f"{name} has {count}; at least two classes are needed.")
    marks = np.zeros((len(paths), len(classes)), np.int8)
    marks[np.arange(len(paths)), [classes.index(labels[path]) for path in paths]] = 1
    is_train = _split(marks, test_share, seed)
    for row, path in enumerate(paths):
        if path in parts:
            is_train[row] = parts[path] == "train"
    _require_both(name, classes, marks, is_train)
    return LabelledImages(name, tuple(classes), tuple(paths), marks, is_train, exclusive=True)


def _split(marks: LabelArray, test_share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Return which images are for training: of each class all but a share, at least one."""
    random = np.random.default_rng(seed)
    is_train = np.ones(len(marks), bool)
    for column in marks.T:
        rows = random.permutation(np.flatnonzero(column))
        is_train[rows[: min(round(test_share * len(rows)), len(rows) - 1)]] = False
    return is_train


def _require_both(
    name: str, classes: Sequence[str], marks: LabelArray, is_train: npt.NDArray[np.bool_]
) -> None:
    for part, rows in (("training", marks[is_train]), ("test", marks[~is_train])):
        missing = [c for c, count in zip(classes, rows.sum(axis=0), strict=True) if not count]
        if missing:
            raise InvalidLabelsError(
                f"The {part} part of {name} has no image of {', '.join(missing[:5])}; each class "
                "needs at least two images."
            )
