from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.pictures import plain, shades

NAMES = ["x.png", "a/x.png", "a/y.png", "a/b/x.png", "a/b/c/x.png"]


@pytest.fixture
def tree(desk: Desk) -> Desk:
    for name, colour in zip(NAMES, shades(len(NAMES)), strict=True):
        plain(desk.photos / name, colour)
    return desk


@pytest.mark.parametrize("order", list(itertools.permutations(["", "a", "a/b", "a/b/c"])))
def test_places_within_places_in_any_order_hold_each_image_once(
    tree: Desk, order: tuple[str, ...]
) -> None:
    for place in order:
        tree.index(tree.photos / place)
    for place in (*order, "a/b/c", ""):
        report = tree.index(tree.photos / place)
        assert (report.added, report.removed, report.moved) == (0, 0, 0)
    assert tree.paths() == sorted(NAMES)
    assert tree.engine.runs == len(NAMES)


def test_overlapping_places_in_one_run(tree: Desk) -> None:
    report = tree.index(tree.photos / "a", tree.photos, tree.photos / "a" / "x.png")
    assert report.added == len(NAMES)
    assert tree.paths() == sorted(NAMES)


def test_single_files(tree: Desk) -> None:
    assert tree.index(tree.photos / "a" / "x.png").added == 1
    assert tree.index(tree.photos / "a" / "x.png").unchanged == 1
    report = tree.index(tree.photos / "a" / "y.png")
    assert (report.added, report.removed) == (1, 0)
    assert tree.index(tree.photos).added == 3
    assert tree.paths() == sorted(NAMES)


def test_a_part_of_the_photos_leaves_the_rest_alone(tree: Desk) -> None:
    tree.index()
    (tree.photos / "a" / "b" / "x.png").unlink()
    (tree.photos / "x.png").unlink()
    report = tree.index(tree.photos / "a" / "b")
    assert report.removed == 1
    assert "x.png" in tree.paths()


def test_a_place_written_in_several_ways(tree: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.index()
    monkeypatch.chdir(tree.photos)
    for place in (Path(), Path("../photos"), Path("a/../"), tree.photos / "." / "a"):
        assert tree.index(place).added == 0
