from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from indexer.build import Builder
from indexer.errors import NoImagesError
from indexer.relocate import relocate_images
from indexer.remove import remove_images
from indexer.run import BuildOptions, IndexReport
from indexer.store.records import FileState
from indexer.store.statistics import summarize
from indexer.store.store import Store
from tests.colour_grid import colour_spec
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, ORANGE, RED, WHITE, plain

# --- changes that dates hide -----------------------------------------------------------------


def rewrite_quietly(path: Path, colour: tuple[int, int, int]) -> None:
    """Give a file other bytes of the same number, and its old dates."""
    before = path.stat()
    plain(path, colour)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def bmp(desk: Desk) -> Path:
    path = plain(desk.photos / "a.bmp", RED)
    desk.index()
    return path


def test_other_bytes_of_the_same_size_and_date_are_found(desk: Desk, bmp: Path) -> None:
    rewrite_quietly(bmp, BLUE)
    assert desk.index().updated == 1
    desk.check_vectors()


def test_a_file_replaced_by_another_one_of_the_same_size_and_date(desk: Desk, bmp: Path) -> None:
    other = plain(desk.photos.parent / "other.bmp", BLUE)
    shutil.copystat(bmp, other)
    other.replace(bmp)
    assert desk.index().updated == 1
    desk.check_vectors()


def test_check_compares_bytes(desk: Desk, bmp: Path) -> None:
    rewrite_quietly(bmp, BLUE)
    [row] = desk.store.known_files().values()
    stat = bmp.stat()
    hidden = FileState.of(row.file.root_id, row.file.path, stat)  # as if nothing told of it
    desk.store.move([(row.id, hidden)])
    assert desk.index().unchanged == 1
    report = desk.index(options=BuildOptions(check=True))
    assert (report.updated, report.unchanged) == (1, 0)
    desk.check_vectors()
    assert desk.index(options=BuildOptions(check=True)).unchanged == 1
    assert desk.engine.runs == 2


def test_another_inode_alone_costs_no_description(desk: Desk, bmp: Path) -> None:
    shutil.copy2(bmp, desk.photos.parent / "copy.bmp")
    (desk.photos.parent / "copy.bmp").replace(bmp)
    report = desk.index()
    assert (report.unchanged, report.updated, desk.engine.runs) == (1, 0, 1)


def test_a_store_that_never_knew_inodes_learns_them(desk: Desk, bmp: Path) -> None:
    [row] = desk.store.known_files().values()
    file = row.file
    old = FileState(file.root_id, file.path, file.size_bytes, file.mtime_ns)
    desk.store.move([(row.id, old)])
    assert (desk.index().unchanged, desk.engine.runs) == (1, 1)
    [row] = desk.store.known_files().values()
    assert row.file.ctime_ns == bmp.stat().st_ctime_ns
    rewrite_quietly(bmp, BLUE)
    assert desk.index().updated == 1


# --- what is remembered ----------------------------------------------------------------------


def run(desk: Desk, *places: Path, **options: Any) -> IndexReport:
    """Index places, or all that is known."""
    return Builder(desk.store, desk.extractor, BuildOptions(**options)).run(places)


def test_without_places_all_folders_are_brought_up_to_date(desk: Desk, tmp_path: Path) -> None:
    plain(desk.photos / "a.png", RED)
    plain(tmp_path / "more" / "b.png", GREEN)
    run(desk, desk.photos, tmp_path / "more")
    plain(desk.photos / "c.png", BLUE)
    (tmp_path / "more" / "b.png").unlink()
    plain(tmp_path / "more" / "d.png", ORANGE)
    report = run(desk)
    assert (report.added, report.removed, report.unchanged) == (2, 1, 1)


def test_without_places_a_folder_that_is_gone_is_a_warning(desk: Desk, tmp_path: Path) -> None:
    plain(desk.photos / "a.png", RED)
    plain(tmp_path / "drive" / "b.png", GREEN)
    run(desk, desk.photos, tmp_path / "drive")
    (tmp_path / "drive").rename(tmp_path / "unplugged")
    report = run(desk)
    assert (report.unchanged, report.removed) == (1, 0)
    [(path, reason)] = report.warnings
    assert (path, "no file or folder" in reason) == (str(tmp_path / "drive"), True)


def test_without_places_and_folders_there_is_nothing_to_do(desk: Desk) -> None:
    with pytest.raises(NoImagesError, match="cbir index PHOTOS"):
        run(desk)


def test_a_file_given_by_name_does_not_bring_its_neighbours_in(desk: Desk) -> None:
    path = plain(desk.photos / "a.png", RED)
    plain(desk.photos / "b.png", GREEN)
    run(desk, path)
    run(desk)
    assert desk.paths() == ["a.png"]
    plain(path, BLUE)
    assert run(desk).updated == 1
    path.unlink()
    assert run(desk).removed == 1
    run(desk, desk.photos)
    assert desk.paths() == ["b.png"]
    plain(desk.photos / "c.png", WHITE)
    run(desk)
    assert desk.paths() == ["b.png", "c.png"]


def test_excludes_are_remembered_replaced_and_forgotten(desk: Desk) -> None:
    for name in ("a.png", "b.png", "sub/c.png"):
        plain(desk.photos / name, RED)
    run(desk, desk.photos, exclude=("b.*",))
    for again in (run(desk), run(desk, desk.photos)):
        assert again.unchanged == 2
    run(desk, desk.photos, exclude=("sub",))
    assert desk.paths() == ["a.png", "b.png"]
    run(desk, desk.photos, exclude=())
    assert desk.paths() == ["a.png", "b.png", "sub/c.png"]


def test_excludes_of_a_folder_hold_below_it_and_from_above(desk: Desk) -> None:
    for name in ("sub/a.png", "sub/deep/b.png", "c.png"):
        plain(desk.photos / name, RED)
    run(desk, desk.photos / "sub", exclude=("deep",))
    run(desk, desk.photos)
    assert desk.paths() == ["c.png", "sub/a.png"]


def test_options_for_a_part_are_not_remembered_for_the_whole(desk: Desk) -> None:
    for name in ("a.png", "sub/b.png"):
        plain(desk.photos / name, RED)
    run(desk, desk.photos)
    run(desk, desk.photos / "sub", exclude=("x*",), max_pixels=5)
    [options] = desk.store.root_options().values()
    assert (options.exclude, desk.store.max_pixels > 5) == ((), True)


def test_the_limit_is_inherited(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    assert desk.store.max_pixels == 200_000_000
    run(desk, desk.photos, max_pixels=300_000_000)
    assert desk.store.max_pixels == 300_000_000


def test_what_was_passed_over_is_kept_by_suffix(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    for name in ("x.mp4", "y.mp4", "README"):
        (desk.photos / name).write_bytes(b"x")
    desk.index()
    assert summarize(desk.store).skipped == {".mp4": 2, "": 1}
    (desk.photos / "x.mp4").unlink()
    desk.index(desk.photos / "a.png")  # a part of it tells nothing of the rest
    assert summarize(desk.store).skipped == {".mp4": 2, "": 1}
    desk.index()
    assert summarize(desk.store).skipped == {".mp4": 1, "": 1}


# --- removing for good -----------------------------------------------------------------------


def test_removed_and_excluded_images_stay_out(desk: Desk) -> None:
    for name in ("a[1].png", "a1.png", "sub/a[1].png", "sub/b.png"):
        plain(desk.photos / name, RED)
    desk.index()
    assert remove_images(desk.store, [desk.photos / "a[1].png"], exclude=True) == 1
    run(desk)
    assert desk.paths() == ["a1.png", "sub/a[1].png", "sub/b.png"]
    remove_images(desk.store, [desk.photos / "sub"], exclude=True)
    run(desk)
    assert desk.paths() == ["a1.png"]


def test_a_folder_removed_as_a_whole_is_forgotten(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    desk.index()
    remove_images(desk.store, [desk.photos], exclude=True)
    assert desk.store.roots() == {}


def test_removed_images_come_back_unless_excluded(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    desk.index()
    remove_images(desk.store, [desk.photos / "a.png"])
    assert desk.index().added == 1


def test_removing_a_file_removes_its_pages(desk: Desk) -> None:
    for name in ("a.tif", "a.tif2.png"):
        plain(desk.photos / name, RED)
    desk.index()
    rows = desk.store.known_files().values()
    [row] = [row for row in rows if row.file.path == "a.tif"]
    page = FileState(row.file.root_id, "a.tif#page=2", 1, 1)
    desk.store.move([(row.id, page)])
    assert remove_images(desk.store, [desk.photos / "a.tif"]) == 1
    assert desk.paths() == ["a.tif2.png"]


# --- relocating ------------------------------------------------------------------------------


def test_a_renamed_folder_is_relocated_without_reading(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    plain(desk.photos / "sub" / "b.png", GREEN)
    desk.index()
    new = desk.photos.with_name("renamed")
    desk.photos.rename(new)
    report = relocate_images(desk.store, desk.photos, new)
    assert (report.moved, report.missing) == (2, [])
    assert list(desk.store.roots().values()) == [new]
    desk.photos = new
    assert desk.index().unchanged == 2
    assert desk.engine.runs == 2


def test_a_folder_in_a_folder(desk: Desk) -> None:
    for name in ("old/a.png", "old/deep/b.png", "older/c.png"):
        plain(desk.photos / name, RED)
    desk.index()
    (desk.photos / "old").rename(desk.photos / "new")
    assert relocate_images(desk.store, desk.photos / "old", desk.photos / "new").moved == 2
    assert desk.paths() == ["new/a.png", "new/deep/b.png", "older/c.png"]
    assert (desk.index().unchanged, desk.engine.runs) == (3, 3)


def test_into_itself(desk: Desk) -> None:
    for name, colour in (("a.png", RED), ("sub/a.png", GREEN)):
        plain(desk.photos / name, colour)
    desk.index()
    (desk.photos / "sub").rename(desk.photos / "kept")
    (desk.photos / "sub").mkdir()
    (desk.photos / "a.png").rename(desk.photos / "sub" / "a.png")
    (desk.photos / "kept").rename(desk.photos / "sub" / "sub")
    assert relocate_images(desk.store, desk.photos, desk.photos / "sub").moved == 2
    desk.photos = desk.photos / "sub"
    assert desk.paths() == ["a.png", "sub/a.png"]
    assert (desk.index().unchanged, desk.engine.runs) == (2, 2)


def test_a_folder_above_several(desk: Desk, tmp_path: Path) -> None:
    for name in ("one/a.png", "two/b.png"):
        plain(tmp_path / "drive" / name, RED)
    desk.index(tmp_path / "drive" / "one", tmp_path / "drive" / "two")
    (tmp_path / "drive").rename(tmp_path / "disk")
    assert relocate_images(desk.store, tmp_path / "drive", tmp_path / "disk").moved == 2
    expected = [tmp_path / "disk" / "one", tmp_path / "disk" / "two"]
    assert list(desk.store.roots().values()) == expected


def test_what_is_known_at_the_new_place_already_is_not_kept_twice(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    desk.index()
    new = desk.photos.with_name("copy")
    shutil.copytree(desk.photos, new)
    desk.index(new)
    shutil.rmtree(desk.photos)
    assert relocate_images(desk.store, desk.photos, new).moved == 1
    assert list(desk.store.roots().values()) == [new]
    assert len(desk.store.known_files()) == 1


def test_one_file(desk: Desk, tmp_path: Path) -> None:
    path = plain(desk.photos / "a.png", RED)
    plain(desk.photos / "b.png", GREEN)
    desk.index()
    (tmp_path / "else").mkdir()
    path.rename(tmp_path / "else" / "z.png")
    assert relocate_images(desk.store, path, tmp_path / "else" / "z.png").moved == 1
    assert desk.store.find_image(tmp_path / "else" / "z.png") is not None


def test_what_is_not_there_is_told(desk: Desk) -> None:
    for name in ("a.png", "b.png"):
        plain(desk.photos / name, RED)
    desk.index()
    new = desk.photos.with_name("new")
    with pytest.raises(NoImagesError, match="None of the 2 images"):
        relocate_images(desk.store, desk.photos, new)
    with pytest.raises(NoImagesError, match="knows no image"):
        relocate_images(desk.store, new, desk.photos)
    desk.photos.rename(new)
    (new / "b.png").unlink()
    report = relocate_images(desk.store, desk.photos, new)
    assert (report.moved, report.missing) == (2, [str(new / "b.png")])


def test_a_store_of_an_older_version_has_no_options(tmp_path: Path) -> None:
    store = Store.create(tmp_path / ".cbir", colour_spec())
    root = store.add_root(tmp_path)
    assert store.root_options()[root].exclude == ()
    store.close()


def test_images_that_left_a_folder_empty_are_found_at_their_new_place(desk: Desk) -> None:
    for name, colour in (("old/a.png", RED), ("old/b.png", GREEN), ("c.png", BLUE)):
        plain(desk.photos / name, colour)
    desk.index()
    for name in ("a.png", "b.png"):
        (desk.photos / "old" / name).rename(desk.photos / name)
    report = desk.index()
    assert (report.moved, report.added, report.warnings) == (2, 0, [])
    assert desk.paths() == ["a.png", "b.png", "c.png"]
    (desk.photos / "c.png").rename(desk.photos / "old" / "c.png")
    desk.index()
    (desk.photos / "old" / "c.png").unlink()
    [(path, reason)] = desk.index().warnings
    assert (path, "knows 1 images" in reason) == (str(desk.photos / "old"), True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other links")
def test_an_image_whose_link_leads_nowhere_now_is_kept(desk: Desk, tmp_path: Path) -> None:
    plain(tmp_path / "drive" / "a.png", RED)
    plain(desk.photos / "b.png", GREEN)
    (desk.photos / "a.png").symlink_to(tmp_path / "drive" / "a.png")
    desk.index()
    (tmp_path / "drive").rename(tmp_path / "unmounted")
    report = desk.index()
    assert (report.removed, report.skipped) == (0, {"broken link": 1})
    [(path, reason)] = report.warnings
    assert path == str(desk.photos / "a.png")
    assert "link to nothing. Is the drive mounted?" in reason
    (desk.photos / "a.png").unlink()
    assert desk.index().removed == 1


@pytest.mark.parametrize("seconds", [-(10**10), 10**10, 253_402_300_799])
def test_files_of_any_date_are_indexed(desk: Desk, seconds: int) -> None:
    path = plain(desk.photos / "a.png", RED)
    os.utime(path, (0, seconds))
    assert desk.index().added == 1
    assert desk.index().unchanged == 1
