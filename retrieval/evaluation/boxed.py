"""Labelled images with boxes, or masks, of what they show."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from indexer.errors import ImageError, InvalidLabelsError, InvalidRegionError
from indexer.features.regions import Region
from retrieval.evaluation.labelled import LabelledImages, from_labels, in_words, read_labelled
from retrieval.evaluation.voc import find_lists, is_voc, read_voc

Mask = npt.NDArray[np.bool_]
_FAULTS = (OSError, ValueError, KeyError, TypeError, InvalidRegionError)


@dataclass(frozen=True)
class MaskFile:
    """A mask in a file: the pixels of `value`, or all that are not 0 where it is None."""

    path: Path
    value: int | None = None

    def read(self) -> Mask:
        """Return the mask (height, width); raises `ImageError`."""
        try:
            with Image.open(self.path) as image:
                values = np.asarray(image if image.mode == "P" else image.convert("L"))
        except (OSError, ValueError, SyntaxError) as error:
            raise ImageError(str(self.path), f"it cannot be read as a mask: {error}") from error
        return np.asarray(values != 0 if self.value is None else values == self.value)


@dataclass(frozen=True)
class BoxedImages:
    """Labelled images; `boxes` and `masks` by (row, class) of what an image shows of a class."""

    images: LabelledImages
    boxes: Mapping[tuple[int, int], list[Region]]
    masks: Mapping[tuple[int, int], MaskFile]


def read_boxed(
    place: Path,
    *,
    voc_lists: tuple[str, str] = ("train", "val"),
    test_share: float = 0.5,
    seed: int = 0,
) -> BoxedImages:
    """Read labelled images with boxes or masks; raises `InvalidLabelsError`.

    A folder holds PASCAL VOC, with `Annotations` and perhaps `SegmentationClass`. A CSV file has
    the columns path, label, perhaps split, and x0, y0, x1 and y1 or mask, a file in which what is
    not black is the object; an image may have several lines. A manifest (JSON) has labels and boxes
    by image.
    """
    if place.is_dir() and is_voc(place):
        return _read_voc_boxes(place, voc_lists)
    if place.suffix.lower() == ".csv":
        return _read_csv_boxes(place, test_share, seed)
    if place.suffix.lower() == ".json":
        return _read_manifest_boxes(place, test_share, seed)
    raise InvalidLabelsError(
        f"{place} is neither PASCAL VOC, a manifest (.json) with labels and boxes, nor a list of "
        "path, label and box or mask (.csv)."
    )


def _read_voc_boxes(place: Path, voc_lists: tuple[str, str]) -> BoxedImages:
    """Read the boxes of VOC that are not difficult, and its masks of classes."""
    images = read_voc(place, *voc_lists)
    home = find_lists(place).parents[1]
    boxes: dict[tuple[int, int], list[Region]] = {}
    masks: dict[tuple[int, int], MaskFile] = {}
    for row, path in enumerate(images.paths):
        for name, box in _read_annotation(home / "Annotations" / f"{path.stem}.xml"):
            if name in images.classes:
                boxes.setdefault((row, images.classes.index(name)), []).append(box)
        mask = home / "SegmentationClass" / f"{path.stem}.png"
        if mask.is_file():
            for column in np.flatnonzero(images.labels[row] == 1):
                masks[row, int(column)] = MaskFile(mask, int(column) + 1)
    return BoxedImages(images, boxes, masks)


def _read_annotation(path: Path) -> list[tuple[str, Region]]:
    """Return the objects of an annotation; corners are pixels, counted from 1."""
    if not path.is_file():
        return []
    try:
        found = []
        for thing in ElementTree.parse(path).getroot().iter("object"):
            corners = [
                float(thing.findtext(f"bndbox/{name}", ""))
                for name in ("xmin", "ymin", "xmax", "ymax")
            ]
            if thing.findtext("difficult", "0").strip() != "1":
                x0, y0, x1, y1 = (round(value) for value in corners)
                found.append((thing.findtext("name", ""), _region(x0 - 1, y0 - 1, x1, y1)))
    except (*_FAULTS, ElementTree.ParseError) as error:
        raise InvalidLabelsError(f"{path} is not an annotation of VOC: {error}.") from error
    return found


def _region(x0: int, y0: int, x1: int, y1: int) -> Region:
    return Region(max(0, x0), max(0, y0), x1, y1)


def _read_csv_boxes(place: Path, test_share: float, seed: int) -> BoxedImages:
    images = read_labelled(place, test_share=test_share, seed=seed)
    rows = {path: row for row, path in enumerate(images.paths)}
    boxes: dict[tuple[int, int], list[Region]] = {}
    masks: dict[tuple[int, int], MaskFile] = {}
    try:
        with place.open(encoding="utf-8-sig", newline="") as file:
            for line in csv.DictReader(file):
                key = (rows[place.parent / line["path"]], images.classes.index(line["label"]))
                if line.get("x0"):
                    corners = [round(float(line[name])) for name in ("x0", "y0", "x1", "y1")]
                    boxes.setdefault(key, []).append(_region(*corners))
                if line.get("mask"):
                    masks[key] = MaskFile(place.parent / line["mask"])
    except (*_FAULTS, csv.Error) as error:
        raise InvalidLabelsError(
            f"{place} has a box that is not valid: {in_words(error)}."
        ) from error
    return BoxedImages(images, boxes, masks)


def _read_manifest_boxes(place: Path, test_share: float, seed: int) -> BoxedImages:
    try:
        data = json.loads(place.read_text("utf-8"))
        folder = place.parent / data["images"]
        labels = {folder / image: str(label) for image, label in data["labels"].items()}
        splits = data.get("splits", {})
        parts = {folder / image: name for name, found in splits.items() for image in found}
        given = {
            folder / image: [_region(*map(round, box)) for box in found]
            for image, found in data["boxes"].items()
        }
        name = str(data.get("name", place.stem))
    except (*_FAULTS, AttributeError) as error:
        raise InvalidLabelsError(
            f"{place} is not a manifest with images, labels and boxes: {in_words(error)}."
        ) from error
    images = from_labels(name, labels, parts, test_share, seed)
    boxes = {
        (row, int(images.labels[row].argmax())): given[path]
        for row, path in enumerate(images.paths)
        if path in given
    }
    return BoxedImages(images, boxes, {})
