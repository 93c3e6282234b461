"""How files go through the pipeline: in parts, several at a time, and out again in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from indexer import pipeline
from indexer.arrays import Pixels
from indexer.features.engines.protocols import Activations, T
from indexer.features.extractor import FeatureExtractor
from indexer.images.budget import Budget
from indexer.pipeline import Pipeline
from indexer.scan import scan_places
from indexer.sources.place import as_path
from indexer.tasks import ScanOptions, Task
from tests.colour_grid import ColourGridEngine
from tests.desk import Desk
from tests.pictures import plain, shades

SIZES = [(64, 64), (128, 32), (32, 128)]


class CountsCalls(ColourGridEngine):
    """Notes how many images came together."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[int] = []

    def run(self, images: Sequence[Pixels], use: Callable[[int, Activations], T]) -> list[T]:
        self.parts.append(len(images))
        return super().run(images, use)


def tasks_of(desk: Desk, count: int) -> list[Task]:
    """Write pictures of several shapes, of which number 20 cannot be read."""
    for i, colour in enumerate(shades(count)):
        plain(desk.photos / f"{i:02}.png", colour, SIZES[i % 3])
    if count > 20:
        (desk.photos / "20.png").write_bytes(b"no image")
    with desk.store.writing():
        return scan_places(desk.store, [desk.photos]).tasks


def no_extractor() -> FeatureExtractor:
    raise AssertionError("nothing is to be described")


@pytest.mark.parametrize(("workers", "part"), [(1, 16), (4, 7), (3, 1), (None, 100)])
def test_items_come_in_order_with_their_own_features(
    desk: Desk, workers: int | None, part: int
) -> None:
    tasks = tasks_of(desk, 50)
    line = Pipeline(desk.extractor, lambda *_: False, workers=workers, part=part)
    parts = list(line.run(tasks))
    assert [len(items) for items in parts[:-1]] == [part] * (len(parts) - 1)
    items = [item for some in parts for item in some]
    assert [item.task for item in items] == tasks
    for item, colour in zip(items, shades(50), strict=True):
        if item.task.path.name == "20.png":
            assert item.features is None
            assert "not a readable image" in (item.reason or "")
            continue
        assert item.features is not None
        assert item.facts is not None
        assert len(item.file.content_hash) == 32
        mean = np.array([*colour, *(255 - np.array(colour))], np.float32)
        [vector] = item.features.vectors["conv"]
        assert vector @ mean / np.linalg.norm(mean) > 0.999
    assert (desk.loads, desk.engine.runs) == (1, 49)


def test_a_budget_for_one_picture_is_enough_for_all(desk: Desk) -> None:
    tasks = tasks_of(desk, 50)
    first = Image.new("RGB", (16, 16), (0, 90, 200))
    first.putpixel((3, 3), (250, 250, 0))
    pages = [first.rotate(90), first.rotate(180), first.rotate(270)]
    first.save(desk.photos / "pages.tif", save_all=True, append_images=pages)
    with desk.store.writing():
        options = ScanOptions({"pages": "all"})
        tasks = scan_places(desk.store, [desk.photos], options).tasks
    budget = Budget(1)
    line = Pipeline(desk.extractor, lambda *_: False, workers=4, part=7, budget=budget)
    items = [item for some in line.run(tasks) for item in some]
    assert [item.task for item in items[:50]] == tasks[:50]
    assert [item.page for item in items[50:]] == [None, 1, 2, 3]
    assert sum(item.features is not None for item in items) == 53
    assert budget.used == 0


def test_pixels_that_wait_for_the_network_count(desk: Desk) -> None:
    desk.engine = counts = CountsCalls()
    tasks = tasks_of(desk, 10)
    budget = Budget(2 * 64 * 64 * 15)  # for two to be decoded, or one and some decoded ones
    for _ in Pipeline(desk.extractor, lambda *_: False, workers=1, part=10, budget=budget).run(
        tasks
    ):
        pass
    assert sum(counts.parts) == 10
    assert 1 < len(counts.parts) < 10


def test_the_images_of_a_part_go_to_the_network_together(desk: Desk) -> None:
    desk.engine = counts = CountsCalls()
    for _ in Pipeline(desk.extractor, lambda *_: False, part=4).run(tasks_of(desk, 10)):
        pass
    assert sorted(counts.parts) == [2, 4, 4]


def test_known_bytes_are_not_described_unless_asked(desk: Desk) -> None:
    tasks = tasks_of(desk, 3)
    [items] = Pipeline(no_extractor, lambda *_: True).run(tasks)
    assert [(item.features, item.reason, item.facts) for item in items] == [(None, None, None)] * 3
    [described] = Pipeline(desk.extractor, lambda *_: True).describe(items[1])
    assert described.features is not None
    assert described.file == items[1].file


def test_the_bytes_decide_whether_a_file_is_known(desk: Desk) -> None:
    tasks = tasks_of(desk, 4)
    [known] = Pipeline(no_extractor, lambda *_: True).run(tasks[2:3])
    line = Pipeline(
        desk.extractor, lambda _, content_hash: content_hash == known[0].file.content_hash
    )
    [items] = line.run(tasks)
    assert [item.features is None for item in items] == [False, False, True, False]


def test_files_that_vanish_or_cannot_be_read_have_a_reason(desk: Desk) -> None:
    tasks = tasks_of(desk, 3)
    as_path(tasks[0].path).unlink()
    as_path(tasks[2].path).unlink()
    as_path(tasks[2].path).mkdir()
    [items] = Pipeline(desk.extractor, lambda *_: False).run(tasks)
    reasons = [item.reason for item in items]
    assert reasons[0] == "vanished during the run"
    assert reasons[1] is None
    assert str(reasons[2]).startswith("cannot be read")


class Gate(ColourGridEngine):
    """Stands still at every image until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()
        self.seen: list[Pixels] = []

    def activate(self, image: Pixels) -> Activations:
        self.seen.append(image)
        assert self.opened.wait(60)
        return super().activate(image)


def test_only_a_few_parts_are_under_way(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PARTS_AHEAD", 1)
    tasks = tasks_of(desk, 20)
    read: list[str] = []

    def is_known(task: Task, _: bytes) -> bool:
        read.append(task.path.name)
        return False

    parts = Pipeline(desk.extractor, is_known, workers=2, part=2).run(tasks)
    with closing(parts):
        next(parts)
        # Two parts of two workers and one ahead, of which the first was handed over.
        assert len(read) <= 6
        next(parts)
        assert len(read) <= 8
    assert len(read) <= 8  # what had not begun is dropped


def test_closing_waits_for_what_has_begun(desk: Desk) -> None:
    desk.engine = gate = Gate()
    tasks = tasks_of(desk, 12)
    parts = Pipeline(desk.extractor, lambda *_: False, workers=2, part=1).run(tasks)
    timer = threading.Timer(0.05, gate.opened.set)
    timer.start()
    next(parts)
    parts.close()
    timer.join()
    assert len(gate.seen) < len(tasks)
    assert not [t for t in threading.enumerate() if t.name.startswith("worker_")]


class FaultError(Exception):
    """A bug, which is no fault of an image."""


class Faulty(ColourGridEngine):
    def activate(self, _: Pixels) -> Activations:
        raise FaultError


def test_a_fault_of_a_worker_is_raised_where_its_part_would_come(desk: Desk) -> None:
    tasks = tasks_of(desk, 5)
    desk.engine = Faulty()
    with pytest.raises(FaultError):
        list(Pipeline(desk.extractor, lambda *_: False, part=2).run(tasks))
