from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image

from indexer.arrays import Pixels
from indexer.choices import PageChoice
from indexer.errors import UnreadableImageError
from indexer.images.decode import load_image
from indexer.images.page_paths import find_page, name_page, page_of
from indexer.run import BuildOptions
from retrieval.query import Query
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, ORANGE, RED, Colour, coloured, set_time

SMALL, LARGE = (24, 16), (96, 64)


def write_pages(path: Path, *pages: Image.Image) -> Path:
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def album(path: Path, *colours: Colour) -> Path:
    return write_pages(path, *(coloured(colour, LARGE) for colour in colours))


def colour_of(path: Path | str) -> tuple[int, ...]:
    return tuple(load_image(path).pixels[5, 5].tolist())


def pages(choice: PageChoice) -> BuildOptions:
    return BuildOptions(pages=choice)


@pytest.mark.parametrize(
    "path", ["a.tif", "a#page=0", "a#page=", "a#page=x", "#page=2", "a#page=02"]
)
def test_a_path_without_a_page(path: str) -> None:
    assert page_of(path) == (path, None)


@pytest.mark.parametrize("page", [0, 1, 41])
def test_a_page_is_named_from_1(page: int) -> None:
    assert page_of(name_page("x/a b#c.tif", page)) == ("x/a b#c.tif", page)
    assert name_page("a.tif", page) == f"a.tif#page={page + 1}"


def test_a_file_whose_own_name_ends_like_a_page(tmp_path: Path) -> None:
    odd = tmp_path / "a.png#page=2"
    coloured(RED).save(odd, "PNG")
    assert find_page(odd) == (odd, None)
    assert colour_of(odd) == RED
    assert find_page(tmp_path / "b.png#page=2") == (tmp_path / "b.png", 1)


def test_a_page_by_its_path(tmp_path: Path) -> None:
    path = album(tmp_path / "a.tif", RED, GREEN, BLUE)
    assert colour_of(path) == RED
    assert [colour_of(f"{path}#page={n}") for n in (1, 2, 3)] == [RED, GREEN, BLUE]
    with pytest.raises(UnreadableImageError, match="it has 3 pages, not 4"):
        load_image(f"{path}#page=4")


def test_a_page_of_a_tiff_that_pillow_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    ramp = np.linspace(0, 1, 64 * 48).reshape(48, 64)
    with tifffile.TiffWriter(path) as file:
        for values in (ramp, ramp[::-1]):
            file.write(values.astype(np.float64))
    first, second = load_image(path), load_image(f"{path}#page=2")
    assert (first.pages, first.page, second.page) == (2, 0, 1)
    assert first.pixels[0].mean() < 10 < 240 < second.pixels[0].mean()
    with pytest.raises(UnreadableImageError, match="it has 2 pages, not 3"):
        load_image(f"{path}#page=3")


def test_the_pages_of_a_heic(tmp_path: Path) -> None:
    file = pillow_heif.from_pillow(coloured(RED, LARGE))
    file.add_from_pillow(coloured(BLUE, LARGE))
    path = tmp_path / "burst.heic"
    file.save(path, quality=90, primary_index=1)
    assert load_image(path).page == 1  # the file's own choice
    seen = [np.array(colour_of(f"{path}#page={n}")) for n in (1, 2)]
    assert all(abs(s - c).max() < 20 for s, c in zip(seen, (RED, BLUE), strict=True))


def test_auto_takes_one_picture_and_counts_the_others(desk: Desk) -> None:
    album(desk.photos / "a.tif", RED, GREEN, BLUE)
    report = desk.index()
    assert (report.added, report.pages_passed_over) == (1, 2)
    assert desk.paths() == ["a.tif"]


def test_all_pages_are_images_of_their_own(desk: Desk) -> None:
    album(desk.photos / "a.tif", RED, GREEN, BLUE)
    report = desk.index(options=pages("all"))
    assert (report.added, report.pages_passed_over) == (3, 0)
    assert desk.paths() == ["a.tif", "a.tif#page=2", "a.tif#page=3"]
    desk.check_vectors()
    again = desk.index()
    assert (again.unchanged, again.added, again.pages_passed_over) == (3, 0, 0)
    hits = desk.search().search(Query(path=desk.photos / "a.tif#page=2", k=1))
    assert hits[0].path == desk.photos / "a.tif#page=2"
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert not hits[0].is_missing


def test_the_main_picture_has_the_plain_path_whichever_page_it_is(desk: Desk) -> None:
    thumbnail = coloured(RED, SMALL)
    write_pages(desk.photos / "a.tif", thumbnail, coloured(GREEN, LARGE))
    desk.index()
    assert desk.paths() == ["a.tif"]
    assert colour_of(desk.photos / "a.tif") == GREEN
    assert desk.index(options=pages("all")).added == 1
    assert desk.paths() == ["a.tif", "a.tif#page=1"]
    desk.check_vectors()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("first", "a.tif"), ("largest", "a.tif#page=2"), ("auto", "a.tif")],
)
def test_the_first_or_the_largest(desk: Desk, choice: PageChoice, expected: str) -> None:
    larger = coloured(GREEN, (LARGE[0] + 10, LARGE[1] + 10))
    write_pages(desk.photos / "a.tif", coloured(RED, LARGE), larger)
    report = desk.index(options=pages(choice))
    assert (desk.paths(), report.pages_passed_over) == ([expected], 1)
    desk.check_vectors()


def test_another_choice_reads_files_with_pages_again_and_no_others(desk: Desk) -> None:
    album(desk.photos / "a.tif", RED, GREEN)
    coloured(BLUE).save(desk.photos / "b.tif")
    desk.index()
    report = desk.index(options=pages("all"))
    assert (report.added, report.updated, report.unchanged, desk.engine.runs) == (1, 1, 1, 4)
    report = desk.index(options=pages("auto"))
    assert (report.updated, report.unchanged) == (1, 1)
    assert desk.paths() == ["a.tif", "b.tif"]
    desk.check_vectors()


def test_a_moved_file_takes_its_pages_along(desk: Desk) -> None:
    path = album(desk.photos / "a.tif", RED, GREEN)
    desk.index(options=pages("all"))
    path.rename(desk.photos / "b.tif")
    report = desk.index()
    assert (report.moved, report.added, report.removed, desk.engine.runs) == (2, 0, 0, 2)
    assert desk.paths() == ["b.tif", "b.tif#page=2"]
    desk.check_vectors()


def test_a_file_that_lost_pages(desk: Desk) -> None:
    path = album(desk.photos / "a.tif", RED, GREEN, BLUE)
    desk.index(options=pages("all"))
    album(path, ORANGE, GREEN)
    set_time(path, 1_000)
    report = desk.index()
    assert (report.updated, report.added) == (2, 0)
    assert desk.paths() == ["a.tif", "a.tif#page=2"]
    desk.check_vectors()
    path.unlink()
    coloured(RED).save(desk.photos / "other.png")
    assert desk.index().removed == 2


def test_a_file_of_many_pages_is_described_a_few_at_a_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    extractor = desk.extractor()
    extract = extractor.extract

    def watched(images: Sequence[Pixels]) -> object:
        held.append(len(images))
        return extract(images)

    monkeypatch.setattr(extractor, "extract", watched)
    monkeypatch.setattr(desk, "extractor", lambda: extractor)
    album(desk.photos / "a.tif", *[RED, GREEN, BLUE, ORANGE] * 10)
    assert desk.index(options=pages("all")).added == 40
    assert max(held) <= 16


def test_a_page_of_one_file_is_not_the_own_picture_of_another_page(desk: Desk) -> None:
    album(desk.photos / "a.tif", RED, GREEN)
    desk.index(options=pages("all"))
    collection = desk.search().collection
    data = (desk.photos / "a.tif").read_bytes()
    assert [i.path.name for i in collection.same_files(data)] == ["a.tif"]
    assert [i.path.name for i in collection.same_files(data, 1)] == ["a.tif#page=2"]


def test_a_blank_or_damaged_page_does_not_hide_the_others(desk: Desk) -> None:
    blank = Image.new("RGB", LARGE, "white")
    write_pages(desk.photos / "a.tif", coloured(RED, LARGE), blank, coloured(BLUE, LARGE))
    report = desk.index(options=pages("all"))
    assert report.added == 3
    [(path, reason)] = report.warnings
    assert path.endswith("a.tif#page=2")
    assert "shows nothing" in reason


def test_an_mpo_has_pages(desk: Desk) -> None:
    out = io.BytesIO()
    coloured(RED, LARGE).save(
        out, "MPO", save_all=True, append_images=[coloured(BLUE, LARGE)], quality=95
    )
    (desk.photos / "stereo.mpo").write_bytes(out.getvalue())
    assert desk.index(options=pages("all")).added == 2
    assert desk.paths() == ["stereo.mpo", "stereo.mpo#page=2"]


def test_a_map_of_high_dynamic_range_is_no_page(desk: Desk) -> None:
    out = io.BytesIO()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" hdrgm:Version="1.0"/>'
    gain = coloured(BLUE, SMALL)
    coloured(RED, LARGE).save(out, "MPO", save_all=True, append_images=[gain], quality=95, xmp=xmp)
    (desk.photos / "phone.jpg").write_bytes(out.getvalue())
    report = desk.index(options=pages("all"))
    assert (report.added, report.pages_passed_over) == (1, 0)
    assert desk.paths() == ["phone.jpg"]
