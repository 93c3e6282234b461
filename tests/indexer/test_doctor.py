"""What is damaged is seen, never believed, and mended from the photos by one command."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.corruption import harm
from indexer.adapt import adapt_store
from indexer.diagnosis import examine
from indexer.doctor import Doctor, Repair
from indexer.errors import CbirError, StoreCorruptError, StoreNotFoundError, UntrustedStoreError
from indexer.features.extractor import FeatureExtractor
from indexer.optimize import optimize_store
from indexer.remove import remove_images
from indexer.store.layout import KEYPOINTS
from indexer.store.settings import StoreSettings
from indexer.store.store import Store
from indexer.store.tags import read_concepts, replace_tags, save_concept, tags_of
from retrieval.query import Query
from tests.colour_grid import colour_extractor
from tests.desk import Desk, noisy_desk
from tests.pictures import noise

COUNT = 8
NAMES = [f"{number}.png" for number in range(COUNT)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, and a store with an index of each kind, a whitening and a tag."""
    folder = tmp_path_factory.mktemp("sound")
    desk = noisy_desk(folder, count=COUNT)
    store = desk.store
    Image.fromarray(noise(99, 80, 80)).save(desk.photos / "more.png")
    desk.index()
    (desk.photos / "more.png").unlink()
    desk.index()
    adapt_store(store)
    store.index_type = "balanced"
    optimize_store(store)
    with store.writing():
        save_concept(store, "cat", '{"a": 1}')
        replace_tags(store, {"cat": {1: 0.75, 2: 0.5}})
    for name in NAMES:
        assert store.derived.write(KEYPOINTS, b"points", desk.id_of(name))
    store.close()
    return folder


@pytest.fixture
def desk(sound: Path, tmp_path: Path) -> Desk:
    """A copy of that folder, its store closed."""
    shutil.copytree(sound, tmp_path / "copy")
    store = Store.open(tmp_path / "copy" / ".cbir")
    store.close()
    return Desk(tmp_path / "copy" / "photos", store)


Answers = dict[str, list[tuple[Any, ...]]]


def answers(desk: Desk) -> Answers:
    """What queries find; every hit of a search of whole images, and of regions."""
    store = Store.open(desk.store.path)
    opened = Desk(desk.photos, store)
    try:
        engine = opened.search()
        found: Answers = {}
        for search in ("image", "region"):
            hits = engine.search(Query(path=desk.photos / "3.png", search=search, k=None))
            found[search] = [(h.path.name, round(h.score, 3), h.region) for h in hits]
        found["tags"] = [*tags_of(store, 1).items()]
        return found
    finally:
        store.close()


def answers_or_error(desk: Desk) -> Answers | CbirError:
    try:
        return answers(desk)
    except CbirError as error:
        return error


def mend(desk: Desk) -> Repair:
    def load(store: Store) -> Callable[[], FeatureExtractor]:
        return lambda: colour_extractor(spec=store.spec, adaptation=store.adaptation())

    return Doctor(load).repair(desk.store.path, examine(desk.store.path))


def check_whole(desk: Desk) -> None:
    """Every photo is in the store once, with the vectors that it gives."""
    opened = Desk(desk.photos, Store.open(desk.store.path))
    try:
        assert opened.paths() == NAMES
        opened.check_vectors()
    finally:
        opened.store.close()


def run_sql(desk: Desk, *statements: str) -> None:
    connection = sqlite3.connect(desk.store.path / "catalog.sqlite")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_sound_store_is_clean(desk: Desk) -> None:
    found = examine(desk.store.path)
    assert (found.is_clean, found.findings, found.images) == (True, [], COUNT)
    assert found.vectors > 3 * COUNT
    check_whole(desk)


KINDS = {
    "catalogue": "catalog.sqlite",
    "settings": "settings.json",
    "ids": "vectors/*.ids.npy",
    "images": "vectors/*.images.npy",
    "vectors": "vectors/*.vectors.npy",
    "sums": "vectors/*.sums",
    "index": "vectors/*.faiss",
    "whitening": "adaptation-*.npz",
    "keypoints": "derived/*/*.bin",
}
WAYS = [("flipped", seed) for seed in range(4)]
WAYS += [("cut", 0), ("emptied", 0), ("deleted", 0), ("swapped", 0)]


@pytest.mark.parametrize(("way", "seed"), WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_never_believed_and_can_be_mended(
    desk: Desk, kind: str, way: str, seed: int
) -> None:
    before = answers(desk)
    harm(way, sorted(desk.store.path.glob(KINDS[kind])), random.Random(f"{kind} {way} {seed}"))
    found = answers_or_error(desk)
    if isinstance(found, CbirError):
        assert str(desk.store.path) in str(found)
        assert not examine(desk.store.path).is_clean
    else:
        assert found == before
    assert mend(desk).after.is_clean
    check_whole(desk)
    after = answers(desk)
    for search in ("image", "region"):
        assert {name for name, *_ in after[search]} == {name for name, *_ in before[search]}


ROWS: list[tuple[str, str]] = [
    ("UPDATE images SET path = 'elsewhere.png' WHERE path = '2.png'", "1 images have damaged rows"),
    ("UPDATE regions SET x1 = x1 + 1 WHERE image_id = 2 AND x0 = 0", "1 images have damaged rows"),
    ("DELETE FROM regions WHERE image_id = 2", "region vectors of 1 images are damaged"),
    ("DELETE FROM images WHERE path = '2.png'", "conv vectors of 1 images are damaged"),
    ("UPDATE tags SET probability = 0.99 WHERE image_id = 1", "1 tags are damaged"),
    ("UPDATE concepts SET json = '{}'", "1 concepts are damaged"),
    ("DELETE FROM segments WHERE kind = 'region'", "does not agree with its checksum"),
    ("UPDATE lists SET nprobe = 7 WHERE kind = 'region'", "does not agree with its checksum"),
    ("DELETE FROM state", "does not agree with its checksum"),
]


@pytest.mark.parametrize(("statement", "told"), ROWS)
def test_damaged_rows_are_found_and_mended(desk: Desk, statement: str, told: str) -> None:
    run_sql(desk, statement)
    found = examine(desk.store.path)
    assert any(told in finding.what for finding in found.findings), found.findings
    mended = mend(desk)
    assert mended.after.is_clean
    check_whole(desk)
    store = Store.open(desk.store.path)
    assert bool(read_concepts(store)) == ("concepts" not in statement)
    store.close()


def test_what_nobody_changed_keeps_its_id_and_its_tags(desk: Desk) -> None:
    run_sql(desk, "UPDATE images SET width = 7 WHERE path = '5.png'")
    before = {name: desk_id(desk, name) for name in NAMES if name != "5.png"}
    mend(desk)
    assert {name: desk_id(desk, name) for name in before} == before
    store = Store.open(desk.store.path)
    assert tags_of(store, 1) == {"cat": 0.75}
    store.close()


def desk_id(desk: Desk, name: str) -> int:
    store = Store.open(desk.store.path)
    info = store.find_image(desk.photos / name)
    store.close()
    assert info is not None
    return info.id


def test_photos_that_are_away_are_described_when_they_are_back(desk: Desk) -> None:
    [file] = desk.store.path.glob("vectors/*-region.vectors.npy")
    file.unlink()
    desk.photos.rename(desk.photos.with_name("away"))
    mended = mend(desk)
    assert mended.after.is_clean
    assert "8 images cannot be described, for their photos are not there" in mended.done[-1]
    desk.photos.with_name("away").rename(desk.photos)
    opened = Desk(desk.photos, Store.open(desk.store.path))
    assert opened.index().added == COUNT
    opened.store.close()
    check_whole(desk)


def test_a_lost_whitening_waits_for_all_photos(desk: Desk) -> None:
    [file] = desk.store.path.glob("adaptation-*.npz")
    file.write_bytes(b"")
    desk.photos.rename(desk.photos.with_name("away"))
    with pytest.raises(StoreCorruptError, match="Bring them back first"):
        mend(desk)
    desk.photos.with_name("away").rename(desk.photos)
    mend(desk)
    check_whole(desk)
    store = Store.open(desk.store.path)
    assert store.adaptation() is not None
    store.close()


def leave_vectors(store: Path) -> None:
    (store / "vectors" / "00000099-conv.vectors.npy").write_bytes(b"left")


def leave_keypoints(store: Path) -> None:
    (store / "derived" / "0" / "999-keypoints-1.bin").write_bytes(b"left")


@pytest.mark.parametrize("leave", [leave_vectors, leave_keypoints])
def test_what_is_left_over_is_deleted(desk: Desk, leave: Callable[[Path], None]) -> None:
    leave(desk.store.path)
    files = sum(1 for _ in desk.store.path.rglob("*"))
    found = examine(desk.store.path)
    assert [finding.gravity for finding in found.findings] == ["leftover"]
    assert mend(desk).after.is_clean
    assert sum(1 for _ in desk.store.path.rglob("*")) == files - 1


def test_photos_that_are_gone_are_a_note(desk: Desk) -> None:
    (desk.photos / "4.png").unlink()
    found = examine(desk.store.path)
    assert found.is_clean
    assert [f.what for f in found.findings] == [
        f"1 photos are gone from {desk.photos}; cbir index removes them."
    ]


def test_removed_images_that_are_still_in_segments_are_no_damage(desk: Desk) -> None:
    store = Store.open(desk.store.path)
    remove_images(store, [desk.photos / "4.png"])
    store.close()
    assert examine(desk.store.path).is_clean


def test_where_there_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        examine(tmp_path)


@pytest.mark.parametrize("spoil", [b"", b"not a database " * 500, None])
def test_a_lost_catalogue_is_made_again_from_the_photos(desk: Desk, spoil: bytes | None) -> None:
    file = desk.store.path / "catalog.sqlite"
    if spoil is None:
        file.unlink()
    else:
        file.write_bytes(spoil)
    with pytest.raises(StoreCorruptError, match=r"cbir doctor --repair|cbir index --rebuild"):
        Store.open(desk.store.path)
    mended = mend(desk)
    assert mended.after.is_clean
    assert "made again from its photos" in mended.done[0]
    check_whole(desk)
    store = Store.open(desk.store.path)
    assert store.index_type == "balanced"
    assert store.adaptation() is not None
    store.close()


def test_without_its_settings_a_lost_catalogue_needs_the_photos(desk: Desk) -> None:
    (desk.store.path / "catalog.sqlite").write_bytes(b"")
    (desk.store.path / "settings.json").unlink()
    with pytest.raises(StoreCorruptError, match="cbir index PHOTOS --rebuild --store"):
        mend(desk)


def test_settings_of_somebody_else_name_no_folders_elsewhere(desk: Desk) -> None:
    settings = StoreSettings.read(desk.store.path)
    assert settings is not None
    assert settings.is_sealed
    forged: dict[str, Any] = {**settings.__dict__, "roots": (("/etc", "{}"),), "is_sealed": False}
    StoreSettings(**forged).write(desk.store.path)
    (desk.store.path / "catalog.sqlite").unlink()
    with pytest.raises(UntrustedStoreError, match=r"/etc, outside its own folder"):
        mend(desk)
