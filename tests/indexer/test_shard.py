from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.build import Builder
from indexer.errors import NoImagesError, StoreError
from indexer.reading import ReadingOptions
from indexer.relocate import relocate_images
from indexer.run import BuildOptions, IndexReport
from indexer.shard import Shard
from indexer.store.store import Store
from tests.colour_grid import colour_spec
from tests.desk import Desk
from tests.pictures import RED, plain, shades

IMAGES = 40
SHARDS = [Shard(number, 4) for number in range(1, 5)]


@given(st.text(), st.integers(1, 40))
def test_each_path_is_in_exactly_one_shard(path: str, count: int) -> None:
    assert sum(path in Shard(number, count) for number in range(1, count + 1)) == 1


def test_a_path_is_in_the_same_shard_on_every_machine() -> None:
    """Stores that were made before depend on it."""
    paths = ["a.jpg", "2019/summer/b.jpg", "Zürich/ü.png", "bad \udcff name.jpg"]
    homes = [[n for n in range(1, 17) if path in Shard(n, 16)] for path in paths]
    assert homes == [[6], [7], [6], [3]]


@pytest.mark.parametrize("text", ["3/16", "1/1", "999999999/999999999"])
def test_a_shard_is_read_and_written(text: str) -> None:
    assert str(Shard.parse(text)) == text
    options = ReadingOptions(shard=Shard.parse(text))
    assert ReadingOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "-1/4", "1/4/5", "1 /4", "1/4\n"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="3/16"):
        Shard.parse(text)


# --- indexing --------------------------------------------------------------------------------


@pytest.fixture
def many(desk: Desk) -> Desk:
    for number, colour in enumerate(shades(IMAGES)):
        plain(desk.photos / f"{number % 3}" / f"{number:02}.png", colour, (16, 16))
    (desk.photos / "notes.txt").write_text("x", "utf-8")
    (desk.photos / "bad.jpg").write_text("x", "utf-8")
    return desk


def part(desk: Desk, shard: Shard) -> Desk:
    """Return a desk on the same photos with a store of its own, beside them."""
    store = Store.create(desk.photos.parent / f"part{shard.number}", colour_spec())
    return Desk(desk.photos, store)


def run(desk: Desk, shard: Shard | None = None, places: tuple[Path, ...] = ()) -> IndexReport:
    return Builder(desk.store, desk.extractor, BuildOptions(shard=shard)).run(places)


def test_shards_hold_every_file_once(many: Desk) -> None:
    parts = [part(many, shard) for shard in SHARDS]
    reports = [run(own, shard, (many.photos,)) for own, shard in zip(parts, SHARDS, strict=True)]
    many.index()
    assert sorted(path for own in parts for path in own.paths()) == many.paths()
    assert all(own.paths() for own in parts)
    assert [len(report.failed) for report in reports].count(1) == 1
    assert {(r.removed, str(r.skipped)) for r in reports} == {(0, "{'.txt': 1}")}
    assert {r.added for r in reports} == {len(own.paths()) for own in parts}


def test_a_store_keeps_to_its_shard(many: Desk) -> None:
    own = part(many, SHARDS[1])
    run(own, SHARDS[1], (many.photos,))
    before = own.paths()
    assert run(own).unchanged == len(before)
    for number in range(IMAGES):
        shutil.copy(many.photos / "0" / "00.png", many.photos / f"new-{number}.png")
    report = run(own, None, (many.photos,))
    new = [f"new-{n}.png" for n in range(IMAGES) if f"new-{n}.png" in SHARDS[1]]
    assert own.paths() == sorted([*before, *new])
    assert (report.added, report.removed, own.store.shard) == (len(new), 0, SHARDS[1])


def test_other_folders_of_the_store_are_sharded_too(many: Desk, tmp_path: Path) -> None:
    own = part(many, SHARDS[1])
    run(own, SHARDS[1], (many.photos,))
    for number in range(IMAGES):
        shutil.copy(many.photos / "0" / "00.png", plain(tmp_path / "more" / f"{number}.png", RED))
    new = [n for n in range(IMAGES) if f"{n}.png" in SHARDS[1]]
    assert run(own, None, (tmp_path / "more",)).added == len(new)


def test_a_folder_inside_and_a_file_count_as_of_their_root(many: Desk) -> None:
    own = part(many, SHARDS[0])
    run(own, SHARDS[0], (many.photos,))
    before = own.paths()
    inside = [path for path in before if path.startswith("1/")]
    report = run(own, None, (many.photos / "1",))
    assert (report.unchanged, report.added, report.removed) == (len(inside), 0, 0)
    other = next(
        many.photos / path
        for path in ("0/00.png", "0/03.png", "0/06.png", "0/09.png", "0/12.png", "0/15.png")
        if path not in SHARDS[0]
    )
    report = run(own, None, (other,))
    assert (report.unchanged, report.added, report.failed, own.paths()) == (0, 0, [], before)


def test_a_removed_file_leaves_its_shard(many: Desk) -> None:
    own = part(many, SHARDS[0])
    run(own, SHARDS[0], (many.photos,))
    gone, *left = own.paths()
    (many.photos / gone).unlink()
    assert run(own).removed == 1
    assert own.paths() == left


def test_another_shard_is_refused(many: Desk) -> None:
    own = part(many, SHARDS[1])
    run(own, SHARDS[1], (many.photos,))
    before = own.paths()
    with pytest.raises(StoreError, match=r"shard 2/4 .* shard 3/4"):
        run(own, SHARDS[2])
    many.index()
    with pytest.raises(StoreError, match=r"all files .* shard 3/4"):
        run(many, SHARDS[2])
    assert own.paths() == before


def test_an_empty_shard_is_kept_and_an_empty_folder_refused(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    shard = next(shard for shard in SHARDS if "a.png" not in shard)
    own = part(desk, shard)
    assert run(own, shard, (desk.photos,)).added == 0
    own.store.close_or_discard()
    opened = Desk(desk.photos, Store.open(own.store.path))
    assert opened.store.shard == shard
    (desk.photos / "a.png").unlink()
    with pytest.raises(NoImagesError):
        run(opened, None, (desk.photos,))


def test_relocated_photos_stay_in_their_shard(many: Desk, tmp_path: Path) -> None:
    own = part(many, SHARDS[1])
    run(own, SHARDS[1], (many.photos,))
    (many.photos / "1").rename(tmp_path / "elsewhere")
    relocate_images(own.store, many.photos / "1", tmp_path / "elsewhere")
    assert {o.shard for o in own.store.root_options().values()} == {SHARDS[1]}
