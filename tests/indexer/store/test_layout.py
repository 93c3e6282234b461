"""cbir deletes its own files, in its own folders, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from indexer.errors import StoreError
from indexer.store.store import Store
from tests.desk import Desk
from tests.pictures import BLUE, RED, plain

# Names like those of a store, or not quite.
STRANGERS = ("vectors.npy", "00000001-conv.npy", "weights.faiss", "1-note.jpg", "adaptation-x.npz")


@pytest.fixture
def indexed(desk: Desk) -> Desk:
    plain(desk.photos / "red.png", RED)
    plain(desk.photos / "blue.png", BLUE)
    desk.index()
    return desk


def move_away(store: Path, name: str, elsewhere: Path) -> None:
    """Put a folder of the store elsewhere, with a file of the user's own, and link to it."""
    elsewhere.mkdir()
    target = elsewhere / name
    if (store / name).exists():
        shutil.move(store / name, target)
    else:
        target.mkdir()
    (store / name).symlink_to(target, target_is_directory=True)
    (target / "00000099-conv.vectors.npy").write_text("mine", "utf-8")


@pytest.mark.parametrize("name", ["vectors", "derived"])
def test_linked_folders_are_refused_before_anything_is_deleted(
    indexed: Desk, tmp_path: Path, name: str
) -> None:
    move_away(indexed.store.path, name, tmp_path / "elsewhere")
    before = sorted((tmp_path / "elsewhere" / name).iterdir())
    with pytest.raises(StoreError, match="is a link to"), indexed.store.writing():
        pass
    with pytest.raises(StoreError, match="is a link to"):
        Store.delete(indexed.store.path)
    with pytest.raises(StoreError, match="is a link to"):
        indexed.index()
    assert sorted((tmp_path / "elsewhere" / name).iterdir()) == before
    assert (indexed.store.path / "catalog.sqlite").exists()


def test_a_linked_folder_that_leads_nowhere_is_refused(indexed: Desk, tmp_path: Path) -> None:
    (indexed.store.path / "derived").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="is a link to"), indexed.store.writing():
        pass


def test_a_store_may_itself_be_linked(indexed: Desk, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(indexed.store.path, target_is_directory=True)
    with Store.open(link).writing():
        pass


@pytest.mark.parametrize("folder", ["vectors", "derived", "derived/0", "."])
def test_files_of_other_names_stay(indexed: Desk, folder: str) -> None:
    place = indexed.store.path / folder
    place.mkdir(parents=True, exist_ok=True)
    for name in STRANGERS:
        (place / name).write_text("mine", "utf-8")
    with indexed.store.writing():
        indexed.store.remove([indexed.id_of("red.png")])
    Store.delete(indexed.store.path)
    assert sorted(file.name for file in place.iterdir() if file.is_file()) == sorted(STRANGERS)
    assert not (indexed.store.path / "catalog.sqlite").exists()


def test_thumbnails_behind_a_link_stay(indexed: Desk, tmp_path: Path) -> None:
    image_id = indexed.id_of("red.png")
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / f"{image_id}-1f-2e-320.jpg"
    file.write_text("mine", "utf-8")
    (indexed.store.path / "derived").mkdir(exist_ok=True)
    (indexed.store.path / "derived" / "0").symlink_to(tmp_path / "elsewhere")
    indexed.store.remove([image_id])
    Store.delete(indexed.store.path)
    assert file.read_text("utf-8") == "mine"


def test_an_empty_store_folder_goes_with_the_store(indexed: Desk) -> None:
    (indexed.store.path / "derived" / "0").mkdir(parents=True)
    (indexed.store.path / "derived" / "0" / "1-1f-2e-320.jpg").write_bytes(b"")
    (indexed.store.path / "derived" / "map.npz").write_bytes(b"")
    Store.delete(indexed.store.path)
    assert not indexed.store.path.exists()
