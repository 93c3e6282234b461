from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from indexer.arrays import Pixels
from indexer.errors import BlankQueryError
from indexer.images.decode import load_image
from indexer.images.ground import is_blank
from indexer.store.statistics import summarize
from retrieval.query import Query
from tests.desk import Desk
from tests.pictures import RED, noise, photo, plain


def white(width: int = 300, height: int = 200) -> Image.Image:
    return Image.new("RGB", (width, height), "white")


def with_line(colour: str) -> Pixels:
    picture = white()
    ImageDraw.Draw(picture).line((20, 20, 250, 150), fill=colour, width=1)
    return np.asarray(picture)


def speckled(deviation: float) -> Pixels:
    values = np.random.default_rng(1).normal(200, deviation, (200, 300, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("colour", ["white", "black", "#7f7f7f", "#c81e1e"])
@pytest.mark.parametrize("size", [(1, 1), (3, 500), (300, 200)])
def test_one_colour_is_blank(colour: str, size: tuple[int, int]) -> None:
    assert is_blank(np.asarray(Image.new("RGB", size, colour)))


def test_noise_and_a_hot_pixel_do_not_count() -> None:
    assert is_blank(speckled(3))
    hot = np.asarray(white()).copy()
    hot[20, 30] = 0
    assert is_blank(hot)


@pytest.mark.parametrize("pixels", [with_line("black"), with_line("#d8d8d8"), speckled(20)])
def test_faint_things_show(pixels: Pixels) -> None:
    assert not is_blank(pixels)


def test_pictures_show_something() -> None:
    assert not is_blank(noise(1, 60, 40))
    assert not is_blank(np.asarray(photo("chelsea")))
    ramp = np.repeat(np.linspace(0, 255, 300).astype(np.uint8)[None], 200, axis=0)
    assert not is_blank(np.dstack([ramp] * 3))


@pytest.fixture
def with_blanks(desk: Desk) -> Desk:
    for seed in range(3):
        Image.fromarray(noise(seed, 80, 80)).save(desk.photos / f"{seed}.png")
    white().save(desk.photos / "white.png")
    shutil.copy(desk.photos / "white.png", desk.photos / "copy.png")
    white(80, 80).save(desk.photos / "other.jpg")
    Image.new("LA", (50, 50), (0, 0)).save(desk.photos / "clear.png")
    return desk


def test_blank_images_are_kept_and_told(with_blanks: Desk) -> None:
    report = with_blanks.index()
    assert (report.added, report.failed) == (7, [])
    assert len(report.warnings) == 4
    assert all("shows nothing" in reason for _, reason in report.warnings)
    summary = summarize(with_blanks.store)
    assert (summary.images, len(summary.blank)) == (3, 4)
    again = with_blanks.index()
    assert (again.unchanged, again.added, with_blanks.engine.runs) == (7, 0, 3)


def test_no_search_finds_them(with_blanks: Desk) -> None:
    with_blanks.index()
    engine = with_blanks.search()
    hits = engine.search(Query(path=with_blanks.photos / "0.png", k=None))
    assert sorted(hit.path.name for hit in hits) == ["0.png", "1.png", "2.png"]


def test_a_blank_query_finds_its_own_bytes_and_nothing_else(
    with_blanks: Desk, tmp_path: Path
) -> None:
    with_blanks.index()
    engine = with_blanks.search()
    hits = engine.search(Query(path=with_blanks.photos / "white.png", k=None))
    assert [hit.path.name for hit in hits] == ["copy.png", "white.png"]
    assert {hit.score for hit in hits} == {1.0}
    assert {hit.verdict for hit in hits} == {"same picture"}
    white(90, 90).save(tmp_path / "new.png")
    with pytest.raises(BlankQueryError, match="nothing to find"):
        engine.search(Query(path=tmp_path / "new.png"))


def test_a_blank_image_of_the_store_finds_what_its_file_finds(with_blanks: Desk) -> None:
    with_blanks.index()
    known = with_blanks.store.known_files().values()
    [blank] = [row.id for row in known if row.file.path == "white.png"]
    engine = with_blanks.search()
    by_file = engine.search(Query(path=with_blanks.photos / "white.png"))
    assert engine.search(Query(image_id=blank)) == by_file
    assert len(by_file) == 2


def test_a_blank_image_that_gets_content_and_loses_it(desk: Desk) -> None:
    Image.fromarray(noise(0, 80, 80)).save(desk.photos / "other.png")
    path = desk.photos / "a.png"
    white().save(path)
    desk.index()
    plain(path, RED)
    assert desk.index().updated == 1
    assert desk.id_of("a.png")
    white(10, 10).save(path)
    assert desk.index().updated == 1
    assert desk.store.find_image(path) is None
    assert len(load_image(path).pixels) == 10


def test_blank_images_move_and_go(with_blanks: Desk) -> None:
    with_blanks.index()
    (with_blanks.photos / "clear.png").rename(with_blanks.photos / "moved.png")
    (with_blanks.photos / "other.jpg").unlink()
    report = with_blanks.index()
    assert (report.moved, report.removed, report.unchanged) == (1, 1, 5)
