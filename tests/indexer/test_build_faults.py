from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import build, fetching, pipeline
from indexer.arrays import Pixels
from indexer.features.engines.protocols import Activations
from indexer.images.decode import LoadedImage, load_image
from indexer.run import BuildOptions
from indexer.store.statistics import summarize
from indexer.store.store import Store
from tests.colour_grid import ColourGridEngine
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, ORANGE, RED, Colour, plain, set_time, shades


def test_one_bad_image_never_stops_a_run_and_is_remembered(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    (desk.photos / "bad.jpg").write_text("no picture", "utf-8")
    (desk.photos / "empty.jpg").touch()
    report = desk.index()
    assert report.added == 1
    reasons = {Path(path).name: reason for path, reason in report.failed}
    assert set(reasons) == {"bad.jpg", "empty.jpg"}
    assert "empty" in reasons["empty.jpg"]
    assert summarize(desk.store).images == 1

    again = desk.index()
    assert (again.added, again.unchanged, desk.loads) == (0, 1, 1)
    assert sorted(again.failed) == sorted(report.failed)


def test_a_mended_image_is_taken_up(desk: Desk) -> None:
    bad = desk.photos / "bad.png"
    bad.write_text("no picture", "utf-8")
    set_time(bad, 1_000)
    assert desk.index().added == 0
    plain(bad, RED)
    report = desk.index()
    assert (report.added, report.updated, report.failed) == (1, 0, [])
    desk.check_vectors()


def test_failed_images_are_tried_again_on_request(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.photos / "bad.png"
    path.write_text("no picture", "utf-8")
    set_time(path, 1_000)
    desk.index()
    tried: list[str] = []
    real = load_image

    def load(*arguments: Any, **options: Any) -> LoadedImage:
        tried.append(options["name"])
        return real(*arguments, **options)

    monkeypatch.setattr(pipeline, "load_image", load)
    assert len(desk.index().failed) == 1
    assert tried == []
    assert len(desk.index(options=BuildOptions(retry_failed=True)).failed) == 1
    assert tried == [str(path)]


def test_an_image_over_the_limit_is_tried_at_every_run(desk: Desk) -> None:
    plain(desk.photos / "big.png", RED, (100, 100))
    for _ in range(2):
        report = desk.index(options=BuildOptions(max_pixels=100))
        assert (report.added, len(report.failed)) == (0, 1)
    assert len(desk.index().failed) == 1  # the limit is remembered with the folder
    report = desk.index(options=BuildOptions(max_pixels=100 * 100))
    assert (report.added, report.failed) == (1, [])


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "I/O")])
def test_what_cannot_be_read_for_now_is_tried_at_every_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    plain(desk.photos / "a.png", RED)
    old = plain(desk.photos / "b.png", BLUE)
    desk.index()
    plain(old, GREEN)
    set_time(old, 1_000)
    plain(desk.photos / "new.png", ORANGE)

    def refuse(_: Path) -> object:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(fetching, "FileIO", refuse)
        report = desk.index()
    assert (report.unchanged, len(report.failed)) == (1, 2)
    assert desk.paths() == ["a.png", "b.png"]  # as it was known before
    report = desk.index()
    assert (report.added, report.updated, report.failed) == (1, 1, [])
    desk.check_vectors()


def test_an_image_that_broke_is_no_hit_any_more(desk: Desk) -> None:
    path = plain(desk.photos / "a.png", RED)
    plain(desk.photos / "b.png", BLUE)
    set_time(path, 1_000)
    desk.index()
    path.write_text("no picture", "utf-8")
    report = desk.index()
    assert (report.unchanged, len(report.failed)) == (1, 1)
    assert desk.paths() == ["b.png"]
    desk.check_vectors()


def test_a_failed_file_that_goes_away(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    (desk.photos / "bad.jpg").write_text("no picture", "utf-8")
    desk.index()
    (desk.photos / "bad.jpg").unlink()
    report = desk.index()
    assert (report.removed, report.failed) == (0, [])
    assert summarize(desk.store).failed == []


def test_a_folder_that_is_all_corrupt(desk: Desk) -> None:
    for i in range(70):
        (desk.photos / f"{i}.jpg").write_bytes(b"\xff\xd8" + bytes([i]) * 50)
    report = desk.index()
    assert (report.added, len(report.failed), desk.engine.runs) == (0, 70, 0)
    assert len(desk.index().failed) == 70


def test_files_too_large_to_be_held_are_read_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i, colour in enumerate(shades(3)):
        plain(desk.photos / f"{i}.png", colour)
    (desk.photos / "3.png").write_bytes(b"x" * 100)
    monkeypatch.setattr(fetching, "HELD_BYTES", 10)
    report = desk.index()
    assert (report.added, len(report.failed)) == (3, 1)
    desk.check_vectors()
    hashes = {k.file.path: k.file.content_hash for k in desk.store.known_files().values()}
    for name, content_hash in hashes.items():
        assert content_hash == hashlib.sha256((desk.photos / name).read_bytes()).digest()


class BlindToGreen(ColourGridEngine):
    """Gives nothing for a picture that is all green."""

    def activate(self, image: Pixels) -> Activations:
        activations = super().activate(image)
        seen = (image[0, 0] != (0, 255, 0)).any()
        return {tap: a * np.float32(seen) for tap, a in activations.items()}


def test_an_image_without_direction_fails_alone(desk: Desk) -> None:
    desk.engine = BlindToGreen()
    plain(desk.photos / "a.png", RED)
    plain(desk.photos / "green.png", (0, 255, 0))
    plain(desk.photos / "z.png", BLUE)
    report = desk.index()
    assert report.added == 2
    [(path, reason)] = report.failed
    assert path.endswith("green.png")
    assert "no direction" in reason
    assert desk.paths() == ["a.png", "z.png"]


class Interrupted(ColourGridEngine):
    """Ctrl-C at a picture of one colour."""

    def __init__(self, colour: Colour) -> None:
        super().__init__()
        self.colour = colour

    def activate(self, image: Pixels) -> Activations:
        if (image[0, 0] == self.colour).all():
            raise KeyboardInterrupt
        return super().activate(image)


@pytest.mark.parametrize("workers", [1, 4])
def test_an_interrupted_run_keeps_what_was_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(build, "PART", 4)
    colours = shades(20)
    for i, colour in enumerate(colours):
        plain(desk.photos / f"{i:02}.png", colour)
    desk.engine = Interrupted(colours[9])
    with pytest.raises(KeyboardInterrupt):
        desk.index(options=BuildOptions(workers=workers))
    assert len(desk.paths()) == 8

    reopened = Desk(desk.photos, Store.open(desk.store.path))
    report = reopened.index()
    assert (report.added, report.unchanged, reopened.engine.runs) == (12, 8, 12)
    reopened.check_vectors()
    reopened.store.close()


def test_an_interruption_forgets_no_moved_image(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "PART", 2)
    colours = shades(10)
    for i, colour in enumerate(colours):
        plain(desk.photos / f"{i}.png", colour)
    desk.index()
    for i in range(10):
        (desk.photos / f"{i}.png").rename(desk.photos / f"moved-{i}.png")
        plain(desk.photos / f"new-{i}.png", colours[i], (20, 20))
    desk.engine = Interrupted(colours[2])
    with pytest.raises(KeyboardInterrupt):
        desk.index()
    desk.engine = ColourGridEngine()
    desk.index()
    assert len(desk.paths()) == 20
    desk.check_vectors()


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names there are always Unicode")
def test_names_that_are_not_text(desk: Desk) -> None:
    good = os.fsdecode(b"caf\xe9.png")
    plain(desk.photos / good, RED)
    (desk.photos / os.fsdecode(b"bad\xff.jpg")).write_text("no picture", "utf-8")
    report = desk.index()
    assert (report.added, len(report.failed)) == (1, 1)
    assert desk.paths() == [good]
    again = desk.index()
    assert (again.unchanged, len(again.failed)) == (1, 1)
    desk.check_vectors()
