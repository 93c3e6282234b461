"""Labelled images that tests make, without any files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retrieval.evaluation.labelled import LabelledImages


def labelled(classes: int, per_class: int, *, exclusive: bool = True) -> LabelledImages:
    """Return images of each class in turn, every other one for training."""
    marks = np.repeat(np.eye(classes, dtype=np.int8), per_class, axis=0)
    return LabelledImages(
        "made",
        tuple(f"c{i}" for i in range(classes)),
        tuple(Path(f"{i}.png") for i in range(len(marks))),
        marks,
        np.arange(len(marks)) % 2 == 0,
        exclusive,
    )


def clouds(images: LabelledImages, spread: float = 0.3) -> np.ndarray:
    """Return features (N, 8) of images: a cloud round a centre for each class."""
    random = np.random.default_rng(1)
    centres = np.eye(len(images.classes), 8)
    return (images.labels @ centres + spread * random.normal(size=(len(images), 8))).astype(
        np.float32
    )
