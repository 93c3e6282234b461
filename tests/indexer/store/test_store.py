from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import (
    StoreCorruptError,
    StoreError,
    StoreLockedError,
    StoreNotFoundError,
)
from indexer.features.extractor import ImageFeatures
from indexer.images.facts import ImageFacts
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.places import find_store
from indexer.store.records import Entry, FileState
from indexer.store.statistics import summarize
from indexer.store.store import Store
from indexer.store.vectors.protocol import VectorIndex
from tests.colour_grid import colour_spec

FACTS = ImageFacts(40, 30, "PNG", None, "Pinhole")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.create(tmp_path / ".cbir", colour_spec())
    yield made
    made.close()


def features(number: int) -> ImageFeatures:
    vectors = np.zeros((1, 8), np.float32)
    vectors[0, number % 8] = 1
    return ImageFeatures({"conv": vectors, "fc": vectors[:, ::-1]})


def entry(root: int, number: int, replaces: int | None = None) -> Entry:
    file = FileState(root, f"{number}.png", 10, 20, bytes([number]) * 32)
    return Entry(file, FACTS, features(number), replaces=replaces)


def index_of(store: Store, kind: str) -> VectorIndex:
    return store.vector_index(store.kind(kind))


def ids(store: Store) -> list[int]:
    return sorted(known.id for known in store.known_files().values())


def segments(store: Store) -> list[str]:
    return sorted(file.name for file in (store.path / "vectors").iterdir())


def test_a_commit_makes_images_and_vectors_live(store: Store, tmp_path: Path) -> None:
    root = store.add_root(tmp_path / "photos")
    store.commit([entry(root, 1), entry(root, 2)])

    infos = store.image_infos(ids(store))
    assert [info.path for info in infos.values()] == [
        tmp_path / "photos" / "1.png",
        tmp_path / "photos" / "2.png",
    ]
    assert infos[1].camera == "Pinhole"
    for kind in store.spec.kinds:
        index = store.vector_index(kind)
        assert len(index) == 2
        found, vectors = index.rows_of_image(2)
        assert found.tolist() == [2]
        np.testing.assert_array_equal(vectors, features(2).vectors[kind.name])


@pytest.mark.parametrize("counts", [(1,), (60, 40), (99,), (70, 31), (130, 1, 120)])
def test_regions_of_a_commit_keep_their_image_and_box(
    tmp_path: Path, counts: tuple[int, ...]
) -> None:
    store = Store.create(tmp_path / ".cbir", replace(colour_spec(), regions="grid"))
    root = store.add_root(tmp_path / "photos")
    random = np.random.default_rng(0)
    entries, expected, stored = [], [], []
    for number, count in enumerate(counts, 1):
        corners = random.integers(0, 10, (count, 2))
        boxes = np.hstack([corners, corners + random.integers(1, 10, (count, 2))])
        regions = np.eye(8, dtype=np.float32)[random.integers(0, 8, count)]
        described = ImageFeatures(
            features(number).vectors | {"region": regions}, (boxes / 20).astype(np.float32)
        )
        facts = replace(FACTS, width=20 * number, height=40)
        entries.append(replace(entry(root, number), facts=facts, features=described))
        stored.append(regions)
        expected += [tuple(box) for box in (boxes * [number, 2, number, 2]).tolist()]
    store.commit(entries)

    boxes_by_id = store.regions(list(range(1, sum(counts) + 1)))
    index = index_of(store, "region")
    assert [boxes_by_id[i].as_tuple() for i in sorted(boxes_by_id)] == expected
    first = 1
    for number, vectors in enumerate(stored, 1):
        found, own = index.rows_of_image(number)
        assert found.tolist() == [*range(first, first := first + len(vectors))]
        np.testing.assert_array_equal(own, vectors)
    store.close()


def test_a_failed_commit_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    root = store.add_root(tmp_path / "photos")
    store.commit([entry(root, 1)])
    before = store.known_files()
    with pytest.raises(StoreError):
        store.commit([entry(root, 2), entry(root, 1)])  # the second path is taken
    with pytest.raises(StoreError):
        store.commit([entry(root, 3, replaces=1), entry(99, 4)])  # there is no root 99

    assert store.known_files() == before
    assert len(index_of(store, "conv")) == 1


def test_vectors_that_cannot_be_written(store: Store, tmp_path: Path) -> None:
    root = store.add_root(tmp_path / "photos")
    shutil.rmtree(store.path / "vectors")
    (store.path / "vectors").write_text("in the way", "utf-8")
    with pytest.raises(StoreError, match="cannot be written"):
        store.commit([entry(root, 1)])
    assert store.known_files() == {}


def test_leftovers_of_a_killed_run_are_cleared(store: Store, tmp_path: Path) -> None:
    root = store.add_root(tmp_path / "photos")
    store.commit([entry(root, 1)])
    live = segments(store)
    for name in ("00000099-conv.ids.npy", "00000099-conv.vectors.npy"):
        (store.path / "vectors" / name).write_bytes(b"half")
    with store.writing():
        assert segments(store) == live


def test_ids_are_never_used_again(store: Store, tmp_path: Path) -> None:
    root = store.add_root(tmp_path / "photos")
    store.commit([entry(root, 1), entry(root, 2)])
    store.remove([2])
    store.close()
    reopened = Store.open(store.path)
    reopened.commit([entry(root, 2)])
    assert ids(reopened) == [1, 3]
    [match] = index_of(reopened, "conv").search(features(2).vectors["conv"], 5)
    assert match.ids.tolist() == [3, 1]
    reopened.close()


def test_a_replaced_image_gets_a_new_id(store: Store, tmp_path: Path) -> None:
    root = store.add_root(tmp_path / "photos")
    store.commit([entry(root, 1)])
    store.commit([entry(root, 1, replaces=1)])
    assert ids(store) == [2]
    assert len(index_of(store, "fc")) == 1


def test_removing_is_immediate_and_may_be_repeated(store: Store, tmp_path: Path) -> None:
    root = store.add_root(tmp_path / "photos")
    store.commit([entry(root, i) for i in range(1, 201)])
    store.remove(list(range(1, 200)))
    store.remove([1, 2])
    assert ids(store) == [200]
    assert len(index_of(store, "conv")) == 1
    store.remove([200])
    [match] = index_of(store, "conv").search(features(1).vectors["conv"], 3)
    assert match.ids.shape == (0,)


def test_only_one_writer(store: Store) -> None:
    other = Store.open(store.path)
    with store.writing(), pytest.raises(StoreLockedError, match="Another process"), other.writing():
        pass
    with other.writing():
        pass
    other.close()


def test_readers_need_no_lock(store: Store, tmp_path: Path) -> None:
    root = store.add_root(tmp_path / "photos")
    with store.writing():
        store.commit([entry(root, 1)])
        reader = Store.open(store.path)
        assert ids(reader) == [1]
        reader.close()


def test_a_store_moves_with_its_photos(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "old" / ".cbir", colour_spec())
    outside = tmp_path / "elsewhere"
    inner = store.add_root(tmp_path / "old" / "photos")
    outer = store.add_root(outside)
    store.commit([entry(inner, 1), entry(outer, 2)])
    store.close()
    (tmp_path / "old").rename(tmp_path / "new")

    moved = Store.open(tmp_path / "new" / ".cbir")
    paths = [info.path for info in moved.image_infos([1, 2]).values()]
    assert paths == [tmp_path / "new" / "photos" / "1.png", outside / "2.png"]
    found = moved.find_image(tmp_path / "new" / "photos" / "1.png")
    assert found is not None
    assert found.id == 1
    assert moved.find_image(tmp_path / "old" / "photos" / "1.png") is None
    moved.close()


def test_a_root_is_made_once(store: Store, tmp_path: Path) -> None:
    assert store.add_root(tmp_path) == store.add_root(tmp_path)
    assert store.roots() == {1: tmp_path}


def test_summary(store: Store, tmp_path: Path) -> None:
    root = store.add_root(tmp_path / "photos")
    bad = Entry(FileState(root, "bad.png", 1, 2), reason="is empty")
    store.commit([entry(root, 1), entry(root, 2), bad])
    summary = summarize(store)
    assert summary.images == 2
    assert summary.failed == [(str(tmp_path / "photos" / "bad.png"), "is empty")]
    assert summary.vectors == {"conv": 2, "fc": 2}
    assert summary.dimensions == {"conv": 8, "fc": 8}
    assert summary.bytes_on_disk > 0
    assert summary.roots == [str(tmp_path / "photos")]


def test_no_vectors_yet(store: Store) -> None:
    with pytest.raises(StoreError, match="cbir index"):
        index_of(store, "conv")


def test_kinds_are_found_by_name_and_by_what_they_describe(store: Store) -> None:
    assert store.kind("fc") == store.find_kind("fc", "image")
    with pytest.raises(StoreError, match="no region vectors"):
        store.kind("region")
    with pytest.raises(StoreError, match=r"no conv vectors of regions.*--rebuild --regions grid"):
        store.find_kind("conv", "region")
    with pytest.raises(StoreError, match=r"no fc vectors of regions.*--rebuild --regions sliding"):
        store.find_kind("fc", "region")


def test_a_store_is_found_upwards(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_store(deep) == store.path
    monkeypatch.chdir(deep)
    assert find_store() == store.path
    monkeypatch.setenv("CBIR_STORE", str(tmp_path / "named"))
    assert find_store() == tmp_path / "named"


def test_no_store(tmp_path: Path) -> None:
    (tmp_path / ".cbir").mkdir()
    with pytest.raises(StoreNotFoundError, match="cbir index PHOTOS"):
        Store.open(tmp_path / ".cbir")


def test_no_second_store_in_the_same_place(store: Store) -> None:
    with pytest.raises(StoreError, match="already"):
        Store.create(store.path, colour_spec())


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(StoreError, match="No store can be created"):
        Store.create(tmp_path / "file", colour_spec())


@pytest.mark.parametrize("text", ["{", "[]", '{"colour": "mauve"}', ""])
def test_a_damaged_spec(store: Store, text: str) -> None:
    store.close()
    connection = sqlite3.connect(store.path / "catalog.sqlite")
    with connection:
        connection.execute("UPDATE spec SET json = ?", (text,))
    connection.close()
    with pytest.raises(StoreCorruptError, match="spec"):
        Store.open(store.path)


def test_a_store_without_a_spec_was_never_finished(store: Store) -> None:
    store.close()
    (store.path / "catalog.sqlite").unlink()
    catalog = SqlAlchemyCatalog(store.path / "catalog.sqlite")
    catalog.create()
    catalog.close()
    with pytest.raises(StoreCorruptError, match="never finished"):
        Store.open(store.path)


def test_a_store_is_counted_while_its_files_come_and_go(store: Store) -> None:
    place = store.path / "settings.json.part"
    folder = store.path / "derived" / "17"
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            place.write_text("{}", "utf-8")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "map.npz").write_bytes(bytes(100))
            place.unlink()
            shutil.rmtree(folder)

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        sizes = [summarize(store).bytes_on_disk for _ in range(300)]
    finally:
        ended.set()
        other.join(60)
    assert max(sizes) - min(sizes) <= 2 + 100


def test_links_that_lead_nowhere_are_counted_as_links(store: Store) -> None:
    before = summarize(store).bytes_on_disk
    (store.path / "loop").symlink_to(store.path / "loop")
    (store.path / "gone").symlink_to(store.path / "none")
    after = summarize(store).bytes_on_disk
    assert before < after < before + 1_000
