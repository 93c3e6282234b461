"""How files go through the pipeline: like shapes together, and out again in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from indexer import pipeline
from indexer.features.engine import Activations
from indexer.images import Pixels
from indexer.pipeline import Pipeline
from indexer.scan import scan_places
from tests.colour_grid import ColourGridEngine
from tests.desk import Desk
from tests.pictures import plain, shades

SIZES = [(64, 64), (128, 32), (32, 128)]


class NotesShapes(ColourGridEngine):
    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def run(self, images: Sequence[Pixels]) -> list[Activations]:
        self.shapes += [image.shape for image in images]
        return super().run(images)


@pytest.mark.parametrize("batched", [False, True])
def test_items_come_in_order_with_their_own_features(desk: Desk, batched: bool) -> None:
    colours = shades(50)
    for i, colour in enumerate(colours):
        plain(desk.photos / f"{i:02}.png", colour, SIZES[i % 3])
    (desk.photos / "20.png").write_bytes(b"no image")
    desk.engine.batched = batched
    with desk.store.writing():
        tasks = scan_places(desk.store, [desk.photos]).tasks
    line = Pipeline(desk.extractor, lambda *_: False, window=16)
    items = [item for window in line.run(tasks) for item in window]
    assert [item.task for item in items] == tasks
    for item, colour in zip(items, colours, strict=True):
        if item.task.path.name == "20.png":
            assert item.features is None
            assert "not an image" in (item.reason or "")
            continue
        assert item.features is not None
        mean = np.array([*colour, *(255 - np.array(colour))], np.float32)
        assert item.features.conv @ mean / np.linalg.norm(mean) > 0.999


def test_images_of_like_shape_follow_on_each_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "WINDOW", 24)
    desk.engine = notes = NotesShapes()
    for i, colour in enumerate(shades(48)):
        plain(desk.photos / f"{i:02}.png", colour, SIZES[i % 3])
    with desk.store.writing():
        tasks = scan_places(desk.store, [desk.photos]).tasks
    for _ in Pipeline(desk.extractor, lambda *_: False, workers=1).run(tasks):
        pass
    changes = sum(a != b for a, b in zip(notes.shapes, notes.shapes[1:], strict=False))
    assert len(notes.shapes) == 48
    assert changes <= 5  # three shapes in each of two windows; in order of the files it is 47
