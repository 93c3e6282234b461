"""A network that takes batches, as one on a GPU does, gives the same store as one that does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from indexer import pipeline
from indexer.features.engine import Activations
from indexer.images import Pixels
from tests.colour_grid import ColourGridEngine
from tests.desk import Desk
from tests.pictures import BLUE, RED, plain, shades


@pytest.fixture
def batched_desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose engine takes batches, four images each."""
    monkeypatch.setattr(pipeline, "WINDOW", 4)
    desk.engine.batched = True
    return desk


def test_several_batches(batched_desk: Desk) -> None:
    for i, colour in enumerate(shades(30)):
        plain(batched_desk.photos / f"{i:02}.png", colour)
    report = batched_desk.index()
    assert (report.added, batched_desk.engine.runs) == (30, 30)
    batched_desk.check_vectors()


class CountsBatches(ColourGridEngine):
    batched = True

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def run(self, images: Sequence[Pixels]) -> list[Activations]:
        self.batches.append(len(images))
        return super().run(images)


def test_images_go_through_the_network_together(batched_desk: Desk) -> None:
    batched_desk.engine = counts = CountsBatches()
    for i, colour in enumerate(shades(10)):
        plain(batched_desk.photos / f"{i}.png", colour)
    batched_desk.index()
    assert sorted(counts.batches) == [2, 4, 4]


def test_moved_damaged_and_new_images_in_one_batch(batched_desk: Desk) -> None:
    plain(batched_desk.photos / "a.png", RED)
    batched_desk.index()
    (batched_desk.photos / "a.png").rename(batched_desk.photos / "b.png")
    (batched_desk.photos / "c.png").write_bytes(b"not an image")
    plain(batched_desk.photos / "d.png", BLUE)
    report = batched_desk.index()
    assert (report.moved, report.added, len(report.failed)) == (1, 1, 1)
    assert batched_desk.paths() == ["b.png", "d.png"]
    batched_desk.check_vectors()


class BlindToBlue(ColourGridEngine):
    """Gives nothing for a picture that is all blue."""

    batched = True

    def activate(self, image: Pixels) -> Activations:
        activations = super().activate(image)
        seen = (image[0, 0] != BLUE).any()
        return {tap: a * np.float32(seen) for tap, a in activations.items()}


def test_an_image_without_direction_fails_alone(batched_desk: Desk) -> None:
    batched_desk.engine = BlindToBlue()
    plain(batched_desk.photos / "a.png", RED)
    plain(batched_desk.photos / "b.png", BLUE)
    plain(batched_desk.photos / "c.png", RED, (20, 20))
    report = batched_desk.index()
    [(path, reason)] = report.failed
    assert path.endswith("b.png")
    assert "no direction" in reason
    assert batched_desk.paths() == ["a.png", "c.png"]
