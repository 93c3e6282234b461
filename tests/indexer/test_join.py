from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tests
from indexer import join
from indexer.adapt import adapt_store
from indexer.build import index_photos
from indexer.diagnosis import examine
from indexer.errors import StoreError
from indexer.images.find import find_images, walk_order
from indexer.join import join_stores
from indexer.parts import open_or_create_whole, open_parts
from indexer.run import IndexingStopped
from indexer.shard import Shard
from indexer.store.store import Store
from indexer.store.tags import read_tags, replace_tags, save_concept
from retrieval.query import Query
from tests.desk import Desk, noisy_desk
from tests.pictures import BLUE, GREEN, RED, coloured, plain
from tests.shards import build, build_parts, joined
from tests.store_contents import by_path, everything_in

# --- the same as one process -----------------------------------------------------------------


def test_four_shards_joined_are_what_one_process_makes(
    photos: Path, parts: list[Path], tmp_path: Path
) -> None:
    report = build(photos, tmp_path / "one")
    one = Store.open(tmp_path / "one")
    with joined(tmp_path / "whole", parts) as (whole, told):
        assert everything_in(whole) == everything_in(one)
        assert dataclasses.replace(told, elapsed_s=0, skipped={}) == dataclasses.replace(
            report, elapsed_s=0, skipped={}
        )
        assert len(told.failed) == 2
        assert whole.reader.state().roots == one.reader.state().roots
        assert (whole.shard, whole.index_type) == (None, one.index_type)
    assert examine(tmp_path / "whole").is_clean
    one.close()


def test_searches_give_the_same_hits_and_scores(
    photos: Path, parts: list[Path], tmp_path: Path
) -> None:
    build(photos, tmp_path / "one")
    with joined(tmp_path / "whole", parts):
        pass
    found = []
    for place in ("one", "whole"):
        desk = Desk(photos, Store.open(tmp_path / place))
        engine = desk.search()
        queries = [
            Query(path=photos / "b" / "same.png", k=50),
            Query(path=photos / "0.png", k=50, search="region"),
        ]
        found.append([engine.search(query) for query in queries])
        desk.store.close()
    assert found[0] == found[1]
    assert all(found[0])


def test_the_order_is_that_of_a_walk(photos: Path) -> None:
    walked = [Path(e.path).relative_to(photos).as_posix() for e in find_images(photos)]
    assert sorted(walked, key=walk_order) == walked


def test_a_joined_store_is_kept_up_to_date_as_any(
    photos: Path, parts: list[Path], tmp_path: Path
) -> None:
    with joined(tmp_path / "whole", parts) as (whole, report):
        images = report.added
        assert build(photos, tmp_path / "whole").unchanged == images
        plain(photos / "new.png", RED)
        (photos / "0.png").unlink()
        told = build(photos, tmp_path / "whole")
        assert (told.added, told.removed, whole.shard) == (1, 1, None)


# --- again -----------------------------------------------------------------------------------


def test_what_is_there_stays_and_what_changed_is_replaced(
    photos: Path, parts: list[Path], tmp_path: Path
) -> None:
    with joined(tmp_path / "whole", parts) as (whole, report):
        first = everything_in(whole)
    with joined(tmp_path / "whole", parts) as (whole, again):
        assert everything_in(whole) == first
        assert (again.added, again.updated) == (0, 0)
        assert (again.unchanged, again.failed) == (report.added, report.failed)

    plain(photos / "0.png", BLUE)  # it changed
    plain(photos / "bad.jpg", GREEN)  # it was bad
    pages = photos / "b" / "pages.tif"
    coloured(GREEN).save(pages)  # it had three pages
    plain(photos / "new.png", RED)
    build_parts(photos, tmp_path)
    with joined(tmp_path / "whole", parts) as (whole, told):
        assert (told.added, told.updated) == (2, 2)
        assert whole.find_image(photos / "b" / "pages.tif#page=2") is None
        build(photos, tmp_path / "one")
        one = Store.open(tmp_path / "one")
        assert by_path(whole) == by_path(one)
        one.close()
    assert examine(tmp_path / "whole").is_clean


def test_parts_can_be_joined_one_after_the_other(
    photos: Path, parts: list[Path], tmp_path: Path
) -> None:
    for part in parts:
        with joined(tmp_path / "whole", [part]) as (_, report):
            assert [path for path, reason in report.warnings if "no part holds" in reason] == [
                str(photos)
            ]
    build(photos, tmp_path / "one")
    one, whole = Store.open(tmp_path / "one"), Store.open(tmp_path / "whole")
    assert by_path(whole) == by_path(one)
    one.close()
    whole.close()


def test_a_part_that_is_missing_is_named(photos: Path, parts: list[Path], tmp_path: Path) -> None:
    with joined(tmp_path / "whole", [parts[0], parts[3]]) as (_, report):
        assert (str(photos), "shards that no part holds: 2/4, 3/4") in report.warnings


@pytest.mark.parametrize("stopped_after", [1, 2, 3])
def test_a_stopped_join_continues(
    photos: Path,
    parts: list[Path],
    tmp_path: Path,
    stopped_after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(join, "STEP_IMAGES", 7)
    steps = iter(range(1, 100))
    with open_parts(parts) as opened:
        with open_or_create_whole(tmp_path / "whole", opened) as whole:
            with pytest.raises(IndexingStopped) as stopped:
                join_stores(whole, opened, stop=lambda: next(steps) == stopped_after)
            kept = len(whole.known_files())
            assert kept >= 7 * stopped_after
            done = stopped.value.report
            assert done.added + len(done.failed) == kept
        with open_or_create_whole(tmp_path / "whole", opened) as whole:
            report = join_stores(whole, opened)
            assert report.unchanged == done.added
            build(photos, tmp_path / "one")
            one = Store.open(tmp_path / "one")
            assert everything_in(whole) == everything_in(one)
            one.close()


def test_a_killed_join_continues(photos: Path, parts: list[Path], tmp_path: Path) -> None:
    place = tmp_path / "whole"
    command = [sys.executable, "-m", "tests.indexer.slow_join", str(place), *map(str, parts)]
    process = subprocess.Popen(command, cwd=Path(tests.__file__).parent.parent)
    deadline = time.monotonic() + 60
    try:
        while not (place / "catalog.sqlite").exists() or _count(place) < 8:
            assert process.poll() is None, "the join ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    kept = _count(place)
    with joined(place, parts) as (whole, report):
        assert kept < len(whole.known_files())
        assert kept - len(report.failed) <= report.unchanged <= kept
        assert report.added + report.unchanged + len(report.failed) == len(whole.known_files())
        build(photos, tmp_path / "one")
        one = Store.open(tmp_path / "one")
        assert everything_in(whole) == everything_in(one)
        one.close()
    assert examine(place).is_clean


def _count(place: Path) -> int:
    """Return how many images a store that another process may be creating holds."""
    try:
        store = Store.open(place)
        count = len(store.known_files())
        store.close()
    except StoreError:
        return 0
    return count


# --- tags and keypoints ----------------------------------------------------------------------


def test_concepts_tags_and_keypoints_come_along(
    photos: Path, parts: list[Path], tmp_path: Path
) -> None:
    tagged: dict[str, float] = {}
    for number, place in enumerate(parts):
        store = Store.open(place)
        store.keep_keypoints(True)
        index_photos(store, [], Desk(photos, store).extractor)
        ids = sorted(row.id for row in store.known_files().values() if row.reason is None)[:2]
        infos = store.image_infos(ids)
        with store.writing():
            save_concept(store, "cat", '{"a": 1}')
            probabilities = dict.fromkeys(ids, 0.5 + number / 10)
            replace_tags(store, {"cat": probabilities})
        tagged |= {str(infos[i].path): probabilities[i] for i in ids}
        store.close()
    with joined(tmp_path / "whole", parts) as (whole, report):
        tags = read_tags(whole)["cat"]
        infos = whole.image_infos(tags)
        assert {str(infos[i].path): p for i, p in tags.items()} == tagged
        assert whole.keeps_keypoints
        kept = list((whole.path / "derived").rglob("*-keypoints-*"))
        assert len(kept) == report.added
    with joined(tmp_path / "whole", parts) as (whole, _):
        assert read_tags(whole)["cat"] == tags


def test_a_whitening_of_the_collection_comes_along(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path)
    adapt_store(desk.store)
    wanted = everything_in(desk.store)
    place = tmp_path / "whole"
    with joined(place, [desk.store.path]) as (whole, _):
        assert everything_in(whole) == wanted
        assert whole.adaptation() is not None
        file = whole.adaptation_file
    assert file is not None
    file.unlink()  # as if the run that made the store was killed at once
    with joined(place, [desk.store.path]):
        pass
    assert examine(place).is_clean
    desk.store.close()


# --- folders ----------------------------------------------------------------------


def test_empty_parts_make_no_store(tmp_path: Path) -> None:
    plain(tmp_path / "photos" / "a.png", RED)
    [number] = [n for n in (1, 2) if "a.png" not in Shard(n, 2)]
    build(tmp_path / "photos", tmp_path / "part", Shard(number, 2))
    with joined(tmp_path / "whole", [tmp_path / "part"]) as (_, report):
        assert report.added == 0
    assert not (tmp_path / "whole").exists()


def test_folders_inside_each_other(photos: Path, tmp_path: Path) -> None:
    """A file is in the innermost of the folders that the whole knows."""
    build(photos / "b", tmp_path / "inner")
    build(photos, tmp_path / "outer")
    with joined(tmp_path / "whole", [tmp_path / "inner"]) as (_, first):
        pass
    with joined(tmp_path / "whole", [tmp_path / "outer"]) as (whole, report):
        assert report.unchanged == first.added
        assert len(whole.roots()) == 2
        files = len(whole.known_files())
    outer = Store.open(tmp_path / "outer")
    assert len(outer.known_files()) == files
    outer.close()
    with joined(tmp_path / "other", [tmp_path / "outer"]) as (whole, _):
        before = everything_in(whole)
    with joined(tmp_path / "other", [tmp_path / "inner"]) as (whole, report):
        assert everything_in(whole) == before
        assert report.unchanged == first.added
