from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from indexer import build
from indexer.build import Builder, index_photos
from indexer.errors import NoImagesError, StoreLockedError, UnreadableImageError
from indexer.run import BuildOptions, IndexingStopped
from indexer.sources.place import as_path
from indexer.store.statistics import warned_images
from indexer.store.store import Store
from retrieval.query import Query
from tests.colour_grid import colour_spec
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, ORANGE, RED, plain, set_time, shades
from tests.segments import files_of


def test_new_images_are_added(desk: Desk) -> None:
    plain(desk.photos / "red.png", RED)
    plain(desk.photos / "sub" / "größe 写真.jpg", BLUE)
    report = desk.index()
    assert (report.added, report.unchanged, report.failed) == (2, 0, [])
    assert report.elapsed_s > 0
    assert report.images_per_s > 0
    assert desk.paths() == ["red.png", "sub/größe 写真.jpg"]
    desk.check_vectors()


def test_unchanged_images_are_not_read_again(desk: Desk) -> None:
    plain(desk.photos / "red.png", RED)
    desk.index()
    report = desk.index()
    assert (report.added, report.updated, report.unchanged) == (0, 0, 1)
    assert (desk.engine.runs, desk.loads) == (1, 1)


def test_a_touched_image_keeps_its_vectors(desk: Desk) -> None:
    red = plain(desk.photos / "red.png", RED)
    desk.index()
    set_time(red, 1_000)
    report = desk.index()
    assert (report.unchanged, report.updated, desk.engine.runs) == (1, 0, 1)
    assert desk.index().unchanged == 1


def test_a_changed_image_is_described_anew(desk: Desk) -> None:
    path = plain(desk.photos / "a.png", RED)
    set_time(path, 1_000)
    desk.index()
    plain(path, BLUE)
    report = desk.index()
    assert (report.updated, report.added, report.removed) == (1, 0, 0)
    desk.check_vectors()


def test_a_renamed_image_is_not_described_again(desk: Desk) -> None:
    plain(desk.photos / "old.png", RED)
    plain(desk.photos / "other.png", BLUE)
    desk.index()
    red = desk.id_of("old.png")
    (desk.photos / "deep").mkdir()
    (desk.photos / "old.png").rename(desk.photos / "deep" / "new.png")
    report = desk.index()
    assert (report.moved, report.added, report.removed, report.unchanged) == (1, 0, 0, 1)
    assert desk.engine.runs == 2
    assert desk.id_of("deep/new.png") == red
    desk.check_vectors()


def test_the_network_is_not_loaded_where_nothing_is_to_be_described(desk: Desk) -> None:
    plain(desk.photos / "old.png", RED)
    touched = plain(desk.photos / "touched.png", BLUE)
    desk.index()
    (desk.photos / "old.png").rename(desk.photos / "new.png")
    set_time(touched, 1_000)
    desk.index()
    assert desk.loads == 1


def test_names_swapped_between_two_files(desk: Desk) -> None:
    a, b = plain(desk.photos / "a.png", RED), plain(desk.photos / "b.png", BLUE, (60, 60))
    set_time(a, 1_000)
    set_time(b, 2_000)
    desk.index()
    spare = desk.photos / "spare"
    a.rename(spare)
    b.rename(a)
    spare.rename(b)
    report = desk.index()
    assert report.failed == []
    assert desk.paths() == ["a.png", "b.png"]
    desk.check_vectors()


def test_a_chain_of_renames(desk: Desk) -> None:
    for i, (name, colour) in enumerate(zip("abc", (RED, GREEN, BLUE), strict=True)):
        set_time(plain(desk.photos / f"{name}.png", colour, (40 + i, 40)), 1_000 + i)
    desk.index()
    for old, new in (("c", "d"), ("b", "c"), ("a", "b")):
        (desk.photos / f"{old}.png").rename(desk.photos / f"{new}.png")
    report = desk.index()
    assert report.failed == []
    assert desk.paths() == ["b.png", "c.png", "d.png"]
    desk.check_vectors()


def test_a_deleted_image_is_forgotten(desk: Desk) -> None:
    for name, colour in (("red", RED), ("blue", BLUE)):
        plain(desk.photos / f"{name}.png", colour)
    desk.index()
    (desk.photos / "red.png").unlink()
    report = desk.index()
    assert (report.removed, report.unchanged) == (1, 1)
    assert desk.paths() == ["blue.png"]
    desk.check_vectors()


def test_the_same_bytes_under_two_names(desk: Desk) -> None:
    first = plain(desk.photos / "a.png", RED)
    shutil.copy(first, desk.photos / "b.png")
    assert desk.index().added == 2
    assert desk.paths() == ["a.png", "b.png"]
    (desk.photos / "b.png").rename(desk.photos / "c.png")
    report = desk.index()
    assert (report.moved, report.added, report.removed) == (1, 0, 0)
    assert desk.paths() == ["a.png", "c.png"]
    desk.check_vectors()


def test_two_new_files_with_the_bytes_of_one_that_is_gone(desk: Desk) -> None:
    plain(desk.photos / "old.png", RED)
    plain(desk.photos / "stays.png", BLUE)
    desk.index()
    shutil.copy(desk.photos / "old.png", desk.photos / "copy.png")
    (desk.photos / "old.png").rename(desk.photos / "new.png")
    report = desk.index()
    assert (report.moved, report.added, report.removed) == (1, 1, 0)
    assert desk.paths() == ["copy.png", "new.png", "stays.png"]
    desk.check_vectors()


def test_an_image_moved_from_one_place_to_another(desk: Desk) -> None:
    a, b = desk.photos / "a", desk.photos / "b"
    plain(a / "x.png", RED)
    plain(a / "y.png", ORANGE)
    plain(b / "z.png", BLUE)
    desk.index(a, b)
    (a / "x.png").rename(b / "x.png")
    report = desk.index(a, b)
    assert (report.moved, report.added, report.removed) == (1, 0, 0)
    assert desk.paths() == ["a/y.png", "b/x.png", "b/z.png"]
    desk.check_vectors()


def test_an_excluded_folder(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    plain(desk.photos / "raw" / "b.png", BLUE)
    desk.index(options=BuildOptions(exclude=("raw",)))
    assert desk.paths() == ["a.png"]


def test_an_image_over_the_limit_fails_alone(desk: Desk) -> None:
    plain(desk.photos / "big.png", RED, (100, 100))
    plain(desk.photos / "small.png", BLUE, (10, 10))
    report = desk.index(options=BuildOptions(max_pixels=5_000))
    assert report.added == 1
    [(path, reason)] = report.failed
    assert path.endswith("big.png")
    assert "--max-megapixels" in reason


def test_more_images_than_one_commit_holds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PART", 4)
    monkeypatch.setattr(build, "COMMIT_IMAGES", 8)
    for i, colour in enumerate(shades(30)):
        plain(desk.photos / f"{i:02}.png", colour)
    seen: list[tuple[str, int, int, int]] = []

    def note(step: str, done: int, total: int, *, failed: int = 0) -> None:
        seen.append((step, done, total, failed))

    report = Builder(desk.store, desk.extractor, progress=note).run([desk.photos])
    assert report.added == 30
    assert (seen[0], seen[-1]) == (("Indexing", 0, 30, 0), ("Indexing", 30, 30, 0))
    assert seen == sorted(seen)
    desk.check_vectors()


def test_progress_counts_what_failed(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    (desk.photos / "b.png").write_text("no picture", "utf-8")
    counts: list[int] = []

    def note(step: str, done: int, total: int, *, failed: int = 0) -> None:
        assert (step, total) == ("Indexing", 2)
        assert done <= total
        counts.append(failed)

    Builder(desk.store, desk.extractor, progress=note).run([desk.photos])
    assert (counts[0], counts[-1]) == (0, 1)


def test_moved_damaged_and_new_images_in_one_part(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    desk.index()
    (desk.photos / "a.png").rename(desk.photos / "b.png")
    (desk.photos / "c.png").write_bytes(b"not an image")
    plain(desk.photos / "d.png", BLUE)
    report = desk.index()
    assert (report.moved, report.added, len(report.failed)) == (1, 1, 1)
    assert desk.paths() == ["b.png", "d.png"]
    desk.check_vectors()


def test_one_writer_at_a_time(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    other = Store.open(desk.store.path)
    with other.writing(), pytest.raises(StoreLockedError):
        desk.index()
    other.close()
    assert desk.index().added == 1


def test_the_store_may_lie_among_the_photos(tmp_path: Path) -> None:
    plain(tmp_path / "a.png", RED)
    store = Store.create(tmp_path / "store", colour_spec())
    desk = Desk(tmp_path, store)
    assert desk.index().added == 1
    assert desk.index(tmp_path).unchanged == 1
    store.close()


def test_strict_stops_at_the_first_bad_image_and_keeps_the_rest(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    (desk.photos / "b.png").write_text("no picture", "utf-8")
    options = BuildOptions(strict=True)
    with pytest.raises(UnreadableImageError, match=r"b\.png"):
        desk.index(options=options)
    with pytest.raises(UnreadableImageError, match=r"b\.png"):
        desk.index(options=options)


def test_places_without_images(desk: Desk) -> None:
    with pytest.raises(NoImagesError, match="no images in"):
        desk.index()
    with pytest.raises(NoImagesError, match="no file or folder"):
        desk.index(desk.photos / "nowhere")


def test_an_empty_drive_is_not_taken_for_deleted_photos(desk: Desk) -> None:
    plain(desk.photos / "sub" / "a.png", RED)
    desk.index()
    shutil.rmtree(desk.photos / "sub")
    with pytest.raises(NoImagesError, match="mounted"):
        desk.index()
    assert desk.paths() == ["sub/a.png"]
    desk.photos.rmdir()
    with pytest.raises(NoImagesError, match="no file or folder"):
        desk.index()
    assert desk.paths() == ["sub/a.png"]


def test_a_renamed_root_keeps_its_vectors(desk: Desk) -> None:
    for i, colour in enumerate(shades(12)):
        plain(desk.photos / f"{i % 3}" / f"{i:02}.png", colour)
    desk.index()
    loads = desk.loads
    renamed = desk.photos.with_name("pictures")
    desk.photos.rename(renamed)
    plain(renamed / "new.png", ORANGE)
    report = desk.index(renamed)
    assert (report.moved, report.added, report.removed) == (12, 1, 0)
    assert desk.loads == loads + 1  # for the new one only
    paths = [as_path(info.path) for info in desk.store.image_infos(range(1, 50)).values()]
    assert len(paths) == len(set(paths)) == 13
    assert all(path.is_relative_to(renamed) and path.exists() for path in paths)
    hits = desk.search().search(Query(path=renamed / "0" / "03.png", k=None))
    assert len(hits) == 13
    assert hits[0].path == renamed / "0" / "03.png"
    report = desk.index(renamed)
    assert (report.unchanged, report.moved) == (13, 0)


def test_photos_of_an_unplugged_drive_are_kept(desk: Desk) -> None:
    drive, other = desk.photos / "drive", desk.photos / "other"
    plain(drive / "a.png", RED)
    plain(drive / "b.png", BLUE)
    plain(other / "c.png", GREEN)
    desk.index(drive)
    drive.rename(desk.photos / "unplugged")
    report = desk.index(other)
    assert (report.added, report.removed) == (1, 0)
    (desk.photos / "unplugged").rename(drive)
    assert desk.index(drive).unchanged == 2


def test_one_bad_place_among_several_is_a_warning(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    (desk.photos.parent / "empty").mkdir()
    nowhere, empty = desk.photos.parent / "nowhere", desk.photos.parent / "empty"
    report = desk.index(nowhere, desk.photos, empty)
    assert report.added == 1
    assert [path for path, _ in report.warnings] == [str(nowhere), str(empty)]
    with pytest.raises(NoImagesError, match="nowhere"):
        desk.index(nowhere, desk.photos, options=BuildOptions(strict=True))
    with pytest.raises(NoImagesError, match="nowhere"):
        desk.index(nowhere, empty)


def test_a_subfolder_that_is_suddenly_empty_keeps_its_images(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    plain(desk.photos / "drive" / "b.png", BLUE)
    plain(desk.photos / "drive" / "deep" / "c.png", GREEN)
    desk.index()
    shutil.rmtree(desk.photos / "drive")
    (desk.photos / "drive").mkdir()
    report = desk.index()
    assert (report.unchanged, report.removed) == (1, 0)
    [(path, reason)] = report.warnings
    assert path == str(desk.photos / "drive")
    assert "knows 2 images below it" in reason
    assert "mounted" in reason
    assert desk.paths() == ["a.png", "drive/b.png", "drive/deep/c.png"]
    (desk.photos / "drive").rmdir()  # now it is gone, and not empty
    assert desk.index().removed == 2


def test_what_is_known_below_an_unreadable_folder_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(desk.photos / "a.png", RED)
    plain(desk.photos / "private" / "b.png", BLUE)
    desk.index()
    real = os.scandir

    def scandir(path: Path | int) -> object:
        if not isinstance(path, int) and Path(path).name == "private":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        report = desk.index()
        assert (report.unchanged, report.removed) == (1, 0)
        assert report.warnings == [
            (str(desk.photos / "private"), "cannot be read (Permission denied)")
        ]
        with pytest.raises(NoImagesError, match="private"):
            desk.index(options=BuildOptions(strict=True))
    assert desk.index().unchanged == 2


def test_damage_is_skipped_or_taken_with_a_warning(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    data = bytearray(plain(desk.photos / "b.png", BLUE).read_bytes())
    place = data.index(b"IEND") - 8
    data[place] ^= 0xFF  # the checksum of the pixels
    (desk.photos / "b.png").write_bytes(data)
    report = desk.index()
    assert report.added == 1
    [(path, reason)] = report.failed
    assert path.endswith("b.png")
    assert "--damaged take" in reason
    options = BuildOptions(damaged="take", retry_failed=True)
    report = desk.index(options=options)
    assert (report.added, report.failed) == (1, [])
    [(path, reason)] = report.warnings
    assert path.endswith("b.png")
    assert "checksum" in reason
    assert warned_images(desk.store) == report.warnings
    assert desk.index(options=options).warnings == []  # it is unchanged
    assert warned_images(desk.store) == report.warnings


def test_other_files_and_further_pages_are_counted(desk: Desk) -> None:
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    first.save(desk.photos / "two.tif", save_all=True, append_images=[second, second])
    (desk.photos / "film.mp4").write_bytes(b"x")
    report = desk.index()
    assert report.added == 1
    assert report.pages_passed_over == 2
    assert report.skipped == {".mp4": 1}


def test_a_run_that_is_told_to_stop_keeps_what_it_has(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "PART", 12)
    for number in range(40):
        plain(desk.photos / f"{number}.png", RED)
    builder = Builder(desk.store, desk.extractor, stop=lambda: True)
    with pytest.raises(KeyboardInterrupt):
        builder.run([desk.photos])
    report = desk.index()
    assert (report.added, report.unchanged) == (40 - 12, 12)


# --- an index run as a whole ----------------------------------------------------------------------


def test_indexing_brings_the_vectors_and_their_indexes_up_to_date(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "PART", 1)
    monkeypatch.setattr(build, "COMMIT_IMAGES", 1)
    for i, colour in enumerate(shades(6)):
        plain(desk.photos / f"{i}.png", colour)
    steps: list[str] = []
    report = index_photos(
        desk.store,
        [desk.photos],
        desk.extractor,
        progress=lambda step, *_, **__: steps.append(step),
    )
    assert report.added == 6
    assert report.elapsed_s > 0
    assert dict.fromkeys(steps).keys() == {
        "Indexing",
        "conv: merging segments",
        "fc: merging segments",
    }
    for kind in desk.store.spec.kinds:
        assert len(files_of(desk.store).rows(kind.name).segments) == 1
    desk.check_vectors()


def test_a_stopped_run_tells_what_it_did(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PART", 2)
    for i, colour in enumerate(shades(10)):
        plain(desk.photos / f"{i}.png", colour)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) == 3

    with pytest.raises(IndexingStopped) as stopped:
        index_photos(desk.store, [desk.photos], desk.extractor, stop=stop)
    assert stopped.value.report.added == 6
    assert len(desk.paths()) == 6
    desk.check_vectors()
    assert index_photos(desk.store, [desk.photos], desk.extractor).added == 4


def test_a_run_that_is_interrupted_at_the_indexes_keeps_all_images(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(desk.photos / "a.png", RED)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "update_indexes", interrupt)
    with pytest.raises(IndexingStopped) as stopped:
        index_photos(desk.store, [desk.photos], desk.extractor)
    assert stopped.value.report.added == 1
    assert desk.paths() == ["a.png"]


def test_a_single_file_is_compared_with_itself_and_its_pages_alone(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        plain(desk.photos / f"{name}.png", RED)
    plain(desk.photos / "a.png.png", BLUE)  # a name that begins like another
    desk.index()
    ids = {name: desk.id_of(f"{name}.png") for name in ("a", "b", "c")}
    plain(desk.photos / "b.png", BLUE)
    report = desk.index(desk.photos / "b.png", desk.photos / "a.png")
    assert (report.updated, report.unchanged, report.removed) == (1, 1, 0)
    assert desk.paths() == ["a.png", "a.png.png", "b.png", "c.png"]
    assert (desk.id_of("a.png"), desk.id_of("c.png")) == (ids["a"], ids["c"])
