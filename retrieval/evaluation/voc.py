"""PASCAL VOC: its own lists of images and classes, and a copy that torchvision fetches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from indexer.errors import InvalidLabelsError
from retrieval.evaluation.labelled import NOT_COUNTED, LabelledImages

FETCHED = "VOC2007"
SERVED = ("trainval", "test")  # the lists of a copy that was fetched


def is_voc(folder: Path) -> bool:
    """Return whether a folder holds PASCAL VOC in its own layout."""
    return any(folder.glob("**/ImageSets/Main"))


def fetch_voc(folder: Path) -> Path:
    """Return the folder with PASCAL VOC 2007, which torchvision fetches unless it is there.

    Raises `InvalidLabelsError` where it cannot be fetched.
    """
    from torchvision.datasets import VOCDetection

    folder.mkdir(parents=True, exist_ok=True)
    for image_set in SERVED:
        list_of_images = folder / "VOCdevkit/VOC2007/ImageSets/Main" / f"{image_set}.txt"
        try:
            VOCDetection(str(folder), "2007", image_set, download=not list_of_images.is_file())
        except (OSError, RuntimeError) as error:
            raise InvalidLabelsError(
                f"PASCAL VOC 2007 cannot be fetched to {folder}: {error}. Unpack it there "
                "yourself, as VOCdevkit/VOC2007, or name the folder that holds it."
            ) from error
    return folder


def find_lists(folder: Path) -> Path:
    """Return the folder with the lists of images and classes; raises `InvalidLabelsError`."""
    home = next(iter(sorted(folder.glob("**/ImageSets/Main"))), None)
    if home is None:
        raise InvalidLabelsError(f"{folder} has no folder ImageSets/Main, as PASCAL VOC has.")
    return home


def read_voc(folder: Path, train: str = "train", test: str = "val") -> LabelledImages:
    """Read PASCAL VOC in its own layout: `ImageSets/Main/CLASS_SPLIT.txt` and `JPEGImages`.

    `train` and `test` name the lists, such as trainval and test.

    The lists say 1 for an image that shows the class, -1 for one that does not, and 0 for one with
    difficult objects only, which the protocol does not count. Raises `InvalidLabelsError`.
    """
    home = find_lists(folder)
    classes = sorted(p.name[: -len(f"_{train}.txt")] for p in home.glob(f"*_{train}.txt"))
    if not classes:
        raise InvalidLabelsError(f"{home} has no lists such as dog_{train}.txt.")
    found: dict[str, dict[str, int]] = {}
    parts: dict[str, str] = {}
    for split in (train, test):
        for name in classes:
            for image, mark in _read_list(home / f"{name}_{split}.txt"):
                found.setdefault(image, {})[name] = mark
                parts[image] = split
    images = sorted(found)
    marks = np.array([[found[i].get(c, -1) for c in classes] for i in images], np.int8)
    labels = np.select([marks == 1, marks == 0], [1, NOT_COUNTED], 0).astype(np.int8)
    pictures = home.parents[1] / "JPEGImages"
    return LabelledImages(
        name=f"{home.parents[1].name} {train} -> {test}",
        classes=tuple(classes),
        paths=tuple(pictures / f"{image}.jpg" for image in images),
        labels=labels,
        is_train=np.array([parts[image] == train for image in images]),
        exclusive=False,
    )


def _read_list(path: Path) -> list[tuple[str, int]]:
    try:
        lines = path.read_text("utf-8").split("\n")
        return [(line.split()[0], int(line.split()[1])) for line in lines if line.strip()]
    except (OSError, ValueError, IndexError) as error:
        raise InvalidLabelsError(f"{path} is not a list of images and marks: {error}.") from error
