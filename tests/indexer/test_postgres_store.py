"""A store with its catalogue in PostgreSQL is like one with a file: answers, crashes, damage."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from indexer.adapt import adapt_store
from indexer.diagnosis import examine
from indexer.doctor import Doctor
from indexer.errors import StoreCorruptError, StoreError, StoreLockedError
from indexer.exports.write import export_store
from indexer.features.extractor import FeatureExtractor
from indexer.optimize import optimize_store
from indexer.remove import remove_images
from indexer.store.config import StoreConfig
from indexer.store.filters import ImageFilter, count_folders, find_ids, images_at
from indexer.store.ordering import newest_first
from indexer.store.statistics import count_images, summarize
from indexer.store.store import Store
from indexer.store.tags import count_tags, read_concepts, replace_tags, save_concept, tags_of
from retrieval.query import Query
from tests.colour_grid import colour_extractor, colour_spec, region_spec
from tests.desk import Desk
from tests.exporting import merged
from tests.indexer.test_killed import TREE, start, wait_for_commits
from tests.pictures import noise, plain, shades
from tests.postgres import DATABASE, Server
from tests.store_contents import by_path

NAMES = ("B.png", "a.png", "ä/é.png", "ä/Z.png", "d/写真.png", "d/x y.png", "d.png", "q.png")
ODD_NAME = os.fsdecode(b"caf\xe9.png")
PHOTOS = 100


def fill(photos: Path) -> None:
    """Pictures with dates, cameras and names of all kinds, one that is none, and a blank one."""
    for seed, name in enumerate((*NAMES, ODD_NAME)):
        exif = Image.Exif()
        if seed % 2:
            exif[ExifTags.Base.DateTime] = f"{2010 + seed}:02:28 13:07:01"
            exif[ExifTags.Base.Model] = "Pinhole é"
        (photos / name).parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(noise(seed, 80, 80)).save(photos / name, exif=exif)
    (photos / "no picture.png").write_text("milk", "utf-8")
    Image.new("RGB", (80, 80), (9, 9, 9)).save(photos / "blank.png")


def made(folder: Path, name: str, url: str | None) -> Desk:
    store = Store.create(folder / name, region_spec("grid"), catalog_url=url)
    return Desk(folder / "photos", store)


@pytest.fixture
def pair(tmp_path: Path, postgres: Server) -> Iterator[tuple[Desk, Desk]]:
    """The same photos in a store with SQLite, and in one with PostgreSQL."""
    fill(tmp_path / "photos")
    desks = (made(tmp_path, "lite", None), made(tmp_path, "post", postgres.url))
    for desk in desks:
        desk.index()
    yield desks
    for desk in desks:
        desk.store.close()


@pytest.fixture
def desk(tmp_path: Path, postgres: Server) -> Iterator[Desk]:
    (tmp_path / "photos").mkdir()
    desk = made(tmp_path, ".cbir", postgres.url)
    yield desk
    desk.store.close()


@pytest.fixture
def quick(tmp_path: Path, postgres: Server) -> Iterator[Desk]:
    """A desk without regions, with 100 photos for `slow_build`."""
    (tmp_path / "photos").mkdir()
    for i, colour in enumerate(shades(PHOTOS)):
        plain(tmp_path / "photos" / f"{i:03}.png", colour, (16, 16))
    store = Store.create(tmp_path / ".cbir", colour_spec(), catalog_url=postgres.url)
    desk = Desk(tmp_path / "photos", store)
    yield desk
    desk.store.close()


def all_that_it_says(desk: Desk) -> dict[str, object]:
    """What a store answers to every kind of question."""
    store = desk.store
    engine = desk.search()
    found: dict[str, object] = {}
    for search in ("image", "region"):
        for name in (NAMES[3], ODD_NAME):
            query = Query(path=desk.photos / name, search=search, k=None)
            found[f"{search} {name!r}"] = [
                (hit.image_id, hit.path, hit.score, hit.region) for hit in engine.search(query)
            ]
    chosen = [
        ImageFilter(folder=desk.photos / "d"),
        ImageFilter(name="É"),
        ImageFilter(name="*.PNG", since=dt.date(2013, 2, 28)),
        ImageFilter(until=dt.date(2013, 2, 28)),
    ]
    found["filters"] = [find_ids(store, choice) for choice in chosen]
    found["places"] = [images_at(store, desk.photos / name) for name in (NAMES[0], "d", "none")]
    found["folders"] = count_folders(store)
    found["newest first"] = newest_first(store).tolist()
    found["census"] = count_images(store)
    summary = vars(summarize(store)).copy()
    summary.pop("bytes_on_disk")
    found["summary"] = summary
    found["known"] = store.known_files()
    found["tags"] = (read_concepts(store), count_tags(store), tags_of(store, 1))
    diagnosis = examine(store.path)
    found["doctor"] = (diagnosis.findings, diagnosis.images, diagnosis.vectors)
    state = store.reader.state()
    found["state"] = (state.spec, state.roots, state.segments, state.ivfs, state.removed.tolist())
    return found


def test_both_say_the_same(pair: tuple[Desk, Desk]) -> None:
    def both_say_the_same() -> None:
        lite, post = map(all_that_it_says, pair)
        for question, answer in lite.items():
            assert post[question] == answer, question

    both_say_the_same()
    for desk in pair:
        assert remove_images(desk.store, [desk.photos / "d"]) == 2
    both_say_the_same()
    for desk in pair:
        with desk.store.writing():
            for name in ("zebra", "Äpfel", "apple"):
                save_concept(desk.store, name, '{"a": 1}')
            replace_tags(desk.store, {"zebra": {1: 0.1 + 0.2}, "Äpfel": {1: 0.3, 2: 0.5}})
        adapt_store(desk.store)
        desk.store.index_type = "balanced"
        optimize_store(desk.store)
    both_say_the_same()
    for desk in pair:
        Image.fromarray(noise(77, 80, 80)).save(desk.photos / "later.png")
        desk.index()
        desk.store.close()
    pair[1].store = Store.open(pair[1].store.path)
    pair[0].store = Store.open(pair[0].store.path)
    (pair[0].photos / NAMES[0]).rename(pair[0].photos / "moved.png")
    for desk in pair:
        desk.index()
    both_say_the_same()


def test_the_rows_have_the_same_checksums(pair: tuple[Desk, Desk]) -> None:
    for query in (
        "SELECT id, path, taken_at, camera, reason, checksum FROM images ORDER BY id",
        "SELECT id, image_id, x0, y0, x1, y1, checksum FROM regions ORDER BY id",
    ):
        lite, post = (rows_of(desk, query) for desk in pair)
        assert len(lite) > len(NAMES)
        assert lite == post


def rows_of(desk: Desk, query: str) -> list[tuple[object, ...]]:
    with desk.store.catalog.moment() as ask:
        return [tuple(row) for row in ask(query, ())]


def test_a_killed_run_leaves_the_last_commit_and_the_next_one_finishes(quick: Desk) -> None:
    for wanted in (1, 40):
        process = start(quick)
        try:
            wait_for_commits(process, quick, wanted)
        finally:
            process.kill()
            process.wait()
        committed = quick.paths()
        assert wanted <= len(committed) < PHOTOS
        assert len(committed) % 16 == 0  # whole commits only
        quick.check_vectors()
    assert quick.index().added == PHOTOS - len(committed)
    quick.check_vectors()


IN_A_COMMIT = """
import sys, time
from pathlib import Path
from indexer.store.store import Store
store = Store.open(Path(sys.argv[1]))
with store.writing(), store.catalog.transaction() as change:
    change.add_root("half")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_writer_killed_in_a_commit_leaves_nothing_and_no_lock(desk: Desk) -> None:
    command = [sys.executable, "-c", IN_A_COMMIT, str(desk.store.path)]
    process = subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(StoreLockedError), desk.store.writing():
            pass
        process.kill()
    with desk.store.writing():
        assert desk.store.roots() == {}
        assert desk.store.add_root(desk.photos) > 0


def test_a_server_that_stops_in_a_run_is_named_and_the_next_run_goes_on(
    quick: Desk, postgres: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    process = start(quick)
    try:
        wait_for_commits(process, quick, 1)
        postgres.stop()
        assert process.wait(60) == 1
    finally:
        process.kill()
        postgres.start()
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("indexer.errors.StoreError: The catalogue of the store at")
    assert f"127.0.0.1:{postgres.port}, which cannot be reached" in error
    committed = len(quick.paths())  # this process connects again
    assert 0 < committed < PHOTOS
    report = quick.index()
    assert (report.added, report.unchanged) == (PHOTOS - committed, committed)
    quick.check_vectors()


def test_writers_exclude_each_other(desk: Desk) -> None:
    other = Store.open(desk.store.path)
    with desk.store.writing():
        with pytest.raises(StoreLockedError, match="perhaps on another machine"), other.writing():
            pass
        with pytest.raises(StoreLockedError):
            Store.delete(desk.store.path)
    with other.writing():
        pass
    with desk.store.writing():
        pass
    other.close()
    assert not (desk.store.path / "lock").exists()


def test_who_lost_the_lock_writes_no_more(desk: Desk, postgres: Server) -> None:
    other = Store.open(desk.store.path)
    end_all = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    with desk.store.writing():
        postgres.run_sql(DATABASE, end_all)
        with pytest.raises(StoreError, match="cannot be reached"):
            desk.store.add_root(desk.photos / "first")
        with other.writing():  # another machine goes on
            pass
        with pytest.raises(StoreError, match="the writer's lock is gone"):
            desk.store.add_root(desk.photos / "second")
    assert other.roots() == {}
    other.close()


# --- damage ---------------------------------------------------------------------------------------


def mend(desk: Desk) -> list[str]:
    def load(store: Store) -> Callable[[], FeatureExtractor]:
        return lambda: colour_extractor(spec=store.spec, adaptation=store.adaptation())

    repair = Doctor(load).repair(desk.store.path, examine(desk.store.path))
    assert repair.after.is_clean, repair.after.findings
    return repair.done


def run_sql(desk: Desk, server: Server, *statements: str) -> None:
    config = StoreConfig.read(desk.store.path)
    assert config is not None
    without_keys = "SET session_replication_role TO replica"
    server.run_sql(DATABASE, without_keys, f"SET search_path TO {config.schema}", *statements)


def photos_of(desk: Desk) -> None:
    for seed in range(6):
        Image.fromarray(noise(seed, 80, 80)).save(desk.photos / f"{seed}.png")
    desk.index()


FAULTS = [
    ("DELETE FROM images WHERE id = 3", "damaged"),
    ("DELETE FROM regions WHERE image_id = 3", "damaged"),
    ("UPDATE images SET width = 7 WHERE id = 2", "1 images have damaged rows"),
    ("DELETE FROM segments WHERE id = 1", "does not agree with its checksum"),
    ("DROP TABLE regions", "regions"),
    ("DROP TABLE state", "state"),
    ("DROP TABLE alembic_version", "empty, or another program made it"),
]


@pytest.mark.parametrize(("fault", "found"), FAULTS)
def test_lost_rows_and_tables_are_seen_and_mended(
    desk: Desk, postgres: Server, fault: str, found: str
) -> None:
    photos_of(desk)
    before = desk.paths()
    desk.store.close()
    run_sql(desk, postgres, fault)
    diagnosis = examine(desk.store.path)
    assert not diagnosis.is_sound
    assert any(found in finding.what for finding in diagnosis.findings), diagnosis.findings
    assert mend(desk)
    mended = Desk(desk.photos, Store.open(desk.store.path))
    assert mended.paths() == before
    mended.check_vectors()
    mended.store.close()


def test_a_schema_that_is_gone_is_made_again_from_the_photos(desk: Desk, postgres: Server) -> None:
    photos_of(desk)
    desk.store.close()
    config = StoreConfig.read(desk.store.path)
    assert config is not None
    postgres.run_sql(DATABASE, f"DROP SCHEMA {config.schema} CASCADE")
    with pytest.raises(StoreCorruptError, match="empty, or another program made it"):
        Store.open(desk.store.path)
    assert "made again from its photos" in mend(desk)[0]
    assert StoreConfig.read(desk.store.path) == config


def test_deleting_a_store_deletes_its_schema_and_no_other(
    tmp_path: Path, desk: Desk, postgres: Server
) -> None:
    other = made(tmp_path, "other", postgres.url)
    config = StoreConfig.read(desk.store.path)
    assert config is not None
    desk.store.close()
    Store.delete(desk.store.path)
    assert not desk.store.path.exists()
    schemas = postgres.run_sql(DATABASE, "SELECT nspname FROM pg_namespace")
    assert (config.schema,) not in schemas
    assert other.store.is_empty()
    other.store.close()


def test_exports_are_alike_and_come_back(pair: tuple[Desk, Desk], tmp_path: Path) -> None:
    for desk, name in zip(pair, ("from lite", "from post"), strict=True):
        export_store(desk.store, tmp_path / name, format="numpy")
    lite, post = (
        {f.name: f.read_bytes() for f in (tmp_path / name).iterdir() if f.name != "export.json"}
        for name in ("from lite", "from post")
    )
    assert lite == post
    before = by_path(pair[0].store)
    ids = [known.id for known in pair[1].store.known_files().values()]
    with pair[1].store.writing():
        pair[1].store.remove(ids)
    pair[1].store.close()
    with merged(tmp_path / "post", tmp_path / "from lite") as (whole, report):
        assert by_path(whole) == before
        assert report.added > 0
