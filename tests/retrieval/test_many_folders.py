"""A search of a collection in many folders asks the catalogue and the file system a few things."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import indexer.store.places
from indexer.store.reader import StoreReader
from retrieval.engine import SearchEngine
from tests.colour_grid import colour_extractor
from tests.desk import Desk
from tests.pictures import plain

FOLDERS = 12


@pytest.fixture
def folders(desk: Desk) -> list[Path]:
    made = [desk.photos.parent / f"folder-{i}" for i in range(FOLDERS)]
    for place, folder in enumerate(made):
        folder.mkdir()
        plain(folder / "photo.png", (20 * place, 90, 200))
    desk.index(*made)
    return made


def test_each_folder_is_looked_up_once(
    desk: Desk, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, asked = indexer.store.places.resolve_root, Counter[str]()

    def counted(store: Path, path: str) -> object:
        asked[path] += 1
        return resolve(store, path)

    monkeypatch.setattr("indexer.store.reader.resolve_root", counted)
    reader = StoreReader.open(desk.store.path)
    for _ in range(5):
        infos = reader.image_infos(range(1, FOLDERS + 1))
    reader.close()
    assert [infos[i].path for i in sorted(infos)] == [folder / "photo.png" for folder in folders]
    assert set(asked.values()) == {1}


def test_a_moved_folder_is_at_its_new_place(desk: Desk, folders: list[Path]) -> None:
    [before] = desk.store.image_infos([1]).values()
    [root_id] = [i for i, root in desk.store.roots().items() if root == folders[0]]
    desk.store.move_root(root_id, folders[0].parent / "moved")
    [after] = desk.store.image_infos([1]).values()
    assert before.path == folders[0] / "photo.png"
    assert after.path == folders[0].parent / "moved" / "photo.png"


@pytest.mark.usefixtures("folders")
def test_images_are_looked_up_together_and_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = SearchEngine(desk.store, extractor=colour_extractor()).collection
    ids = [*desk.store.image_infos(range(1, FOLDERS + 1))]
    look_up, calls = type(desk.store).image_infos, list[int]()

    def counted(store: StoreReader, wanted: list[int]) -> object:
        calls.append(len(wanted))
        return look_up(store, wanted)

    monkeypatch.setattr(type(desk.store), "image_infos", counted)
    monkeypatch.setattr("retrieval.loaded.DECODERS", 1)
    for _ in range(2):
        assert None not in collection.local_features(ids)
        assert None not in collection.pictures(ids)
    assert calls == [FOLDERS, FOLDERS]
