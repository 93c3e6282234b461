from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tests
from indexer import join
from indexer.adapt import adapt_store
from indexer.build import index_photos
from indexer.diagnosis import examine
from indexer.errors import (
    ConceptError,
    NoImagesError,
    SpecMismatchError,
    StoreChangedError,
    StoreCorruptError,
    StoreError,
    UntrustedStoreError,
)
from indexer.features.spec import FeatureSpec
from indexer.images.find import find_images, walk_order
from indexer.join import join_stores
from indexer.parts import open_or_create_whole, open_parts
from indexer.relocate import relocate_images
from indexer.run import BuildOptions, IndexingStopped, IndexReport
from indexer.shard import Shard
from indexer.store.contents import StoreContents
from indexer.store.reader import StoreReader
from indexer.store.store import Store
from indexer.store.tags import read_tags, replace_tags, save_concept
from retrieval.query import Query
from tests.colour_grid import region_spec
from tests.desk import Desk, noisy_desk
from tests.pictures import BLUE, GREEN, RED, coloured, noise, plain
from tests.store_contents import everything_in

SHARDS = 4


def fill(photos: Path) -> None:
    """Put all sorts of files into a folder: several folders, pages, bad, blank and equal ones."""
    for number in range(26):
        folder = photos / ("", "b", "b/c", "B", "a b")[number % 5]
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(noise(number, 60 + number, 90 - number))
        picture.save(folder / f"{number}.png")
    first, *others = (coloured(colour, (60, 40)) for colour in (RED, GREEN, BLUE))
    first.save(photos / "b" / "pages.tif", save_all=True, append_images=others)
    shutil.copy(photos / "0.png", photos / "b" / "same.png")
    Image.new("RGB", (40, 40), "white").save(photos / "blank.png")
    (photos / "bad.jpg").write_text("milk, bread")
    (photos / "B" / "empty.png").touch()
    (photos / "notes.txt").write_text("x")


def build(
    photos: Path, store: Path, shard: Shard | None = None, spec: FeatureSpec | None = None
) -> IndexReport:
    """Index a folder into a store, which is created if there is none."""
    opened = Store.open(store) if store.exists() else Store.create(store, spec or region_spec())
    desk = Desk(photos, opened)
    options = BuildOptions(shard=shard, pages="all")
    report = index_photos(opened, [photos], desk.extractor, options)
    opened.close()
    return report


def build_parts(photos: Path, folder: Path, shards: int = SHARDS) -> list[Path]:
    places = [folder / f"part{number}" for number in range(1, shards + 1)]
    for number, place in enumerate(places, 1):
        build(photos, place, Shard(number, shards))
    return places


@contextmanager
def joined(place: Path, parts: list[Path]) -> Iterator[tuple[Store, IndexReport]]:
    with open_parts(parts) as opened, open_or_create_whole(place, opened) as whole:
        yield whole, join_stores(whole, opened)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    fill(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def parts(photos: Path, tmp_path: Path) -> list[Path]:
    return build_parts(photos, tmp_path)


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
        assert _by_path(whole) == _by_path(one)
        one.close()
    assert examine(tmp_path / "whole").is_clean


def _by_path(store: Store) -> dict[object, object]:
    """Return what a store holds by path, without ids."""
    held = everything_in(store)
    rows = {row[0]: row[1:] for row in held["images"]}
    found: dict[object, object] = {}
    for image_id, row in rows.items():
        boxes = [region[2:] for region in held["regions"] if region[1] == image_id]
        vectors = {}
        for kind, (_, owners, data) in held["vectors"].items():
            table = np.frombuffer(data, np.float16).reshape(len(owners), -1)
            vectors[kind] = table[np.array(owners) == image_id].tobytes()
        found[row[:2]] = (row, boxes, vectors)
    return found


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
    assert _by_path(whole) == _by_path(one)
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


def test_different_concepts_of_one_name_are_refused(parts: list[Path], tmp_path: Path) -> None:
    for text, place in zip("12", parts, strict=False):
        store = Store.open(place)
        with store.writing():
            save_concept(store, "cat", text)
        store.close()
    with (
        pytest.raises(ConceptError, match=r"part1.*part2.*'cat'"),
        joined(tmp_path / "whole", parts),
    ):
        pass
    assert not (tmp_path / "whole").exists()


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


# --- what is refused -------------------------------------------------------------------------


def test_other_specs_are_refused(photos: Path, parts: list[Path], tmp_path: Path) -> None:
    build(photos, tmp_path / "other", None, region_spec(scales=(0.7,)))
    with (
        pytest.raises(SpecMismatchError, match=r"part1 .*other .*scales=.*scales="),
        joined(tmp_path / "whole", [parts[0], tmp_path / "other"]),
    ):
        pass
    with (
        pytest.raises(SpecMismatchError, match=r"other .*part1 .*scales=.*scales="),
        joined(tmp_path / "other", [parts[0]]),
    ):
        pass


def test_too_many_parts_for_the_open_files(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (120, 120))
    with pytest.raises(StoreError, match="Join 2 at a time"), joined(tmp_path / "whole", parts):
        pass
    for two in (parts[:2], parts[2:]):
        with joined(tmp_path / "whole", two):
            pass


def test_a_part_cannot_be_the_whole(parts: list[Path]) -> None:
    with pytest.raises(StoreError, match="one of those"), joined(parts[0], parts):
        pass
    with pytest.raises(StoreError, match="shard 1/4 only"), joined(parts[0], parts[1:]):
        pass


def test_photos_that_are_elsewhere(photos: Path, parts: list[Path], tmp_path: Path) -> None:
    photos.rename(tmp_path / "mounted")
    with (
        pytest.raises(NoImagesError, match=f"{photos}.*cbir relocate {photos}"),
        joined(tmp_path / "whole", parts),
    ):
        pass
    for place in parts:
        store = Store.open(place)
        relocate_images(store, photos, tmp_path / "mounted")
        store.close()
    with joined(tmp_path / "whole", parts) as (whole, report):
        assert list(whole.roots().values()) == [tmp_path / "mounted"]
        assert report.added > 20


def test_somebody_elses_part_is_held_to_the_rules_of_trust(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "theirs").mkdir()
    shutil.copytree(parts[0], tmp_path / "theirs" / "part")
    store = Store.open(tmp_path / "theirs" / "part")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    relocated = tmp_path / "photos"
    store.move_root(1, relocated)
    store.close()
    with (
        pytest.raises(UntrustedStoreError, match="--trust"),
        joined(tmp_path / "mine" / "whole", [tmp_path / "theirs" / "part"]),
    ):
        pass
    monkeypatch.setenv("CBIR_TRUST", "1")
    with joined(tmp_path / "mine" / "whole", [tmp_path / "theirs" / "part"]) as (whole, report):
        assert report.added
        assert not whole.is_foreign


@pytest.mark.parametrize("file", ["*-region.vectors.npy", "*-conv.vectors.npy", "*.ids.npy"])
def test_a_damaged_part_is_refused(parts: list[Path], tmp_path: Path, file: str) -> None:
    damaged = next((parts[1] / "vectors").glob(file))
    data = bytearray(damaged.read_bytes())
    data[-3] ^= 0xFF
    damaged.write_bytes(data)
    with pytest.raises(StoreCorruptError, match="doctor"), joined(tmp_path / "whole", parts):
        pass


def test_a_part_that_changes_meanwhile(parts: list[Path]) -> None:
    reader = StoreReader.open(parts[0])
    contents = StoreContents(reader)
    ids = [row.id for row in contents.files]
    assert len(contents.entries(ids)) == len(ids)
    store = Store.open(parts[0])
    with store.writing():
        store.remove(ids[:1])
    store.close()
    with pytest.raises(StoreChangedError, match="part1"):
        contents.entries(ids[1:])
    reader.close()


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
