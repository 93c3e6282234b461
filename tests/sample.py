"""The sample pictures: subjects, and scenes whose boxes say where the subjects stand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from indexer.features.regions import Region
from indexer.store.store import Store
from retrieval.engine import SearchEngine

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
MANIFEST: dict[str, Any] = json.loads((SAMPLE / "manifest.json").read_text("utf-8"))
SCENES: dict[str, dict[str, Region]] = {
    scene: {subject: Region(*box) for subject, box in boxes.items()}
    for scene, boxes in MANIFEST["scenes"].items()
}
SUBJECTS = sorted({subject for boxes in SCENES.values() for subject in boxes})


def holding(subject: str) -> set[str]:
    """The scenes that hold a subject."""
    return {scene for scene, boxes in SCENES.items() if subject in boxes}


def subject_queries() -> list[tuple[str, str]]:
    return [(scene, subject) for scene, boxes in SCENES.items() for subject in boxes]


def is_centred_in(region: Region | None, box: Region) -> bool:
    assert region is not None
    x, y = (region.x0 + region.x1) / 2, (region.y0 + region.y1) / 2
    return box.x0 <= x < box.x1 and box.y0 <= y < box.y1


@dataclass
class Sample:
    """The sample pictures in a store, described by the real default network."""

    store: Store
    search: SearchEngine

    def path(self, name: str) -> Path:
        return SAMPLE / "images" / name

    def size(self, name: str) -> tuple[int, int]:
        with Image.open(self.path(name)) as image:
            return image.size
