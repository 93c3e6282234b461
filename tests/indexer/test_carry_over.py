"""What people said of images, taken over into a store that is built again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from indexer.carry_over import Restored, keep_user_data, restore_user_data
from indexer.errors import StoreCorruptError, StoreError, UntrustedStoreError
from indexer.store.annotations import annotate, read_annotations
from indexer.store.decisions import Decisions, choose_original, keep_all, read_decisions
from indexer.store.layout import USER_DATA
from indexer.store.store import Store
from indexer.store.tags import read_concepts, read_tags, replace_tags, save_concept
from indexer.store.user_data import UserData
from tests.colour_grid import colour_spec
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, RED, plain


@pytest.fixture
def said(desk: Desk) -> Desk:
    """Three photos of which people said something, kept for the next store."""
    for name, colour in (("a", RED), ("sub/b", GREEN), ("c", BLUE)):
        plain(desk.photos / f"{name}.png", colour)
    desk.index()
    a, b, c = (desk.id_of(f"{name}.png") for name in ("a", "sub/b", "c"))
    with desk.store.writing():
        annotate(desk.store, {"title": {a: "sunset", b: "lawn"}, "price": {b: "12"}})
        save_concept(desk.store, "warm", concept(desk.store))
        save_concept(desk.store, "other", json.dumps({"fingerprint": "of another network"}))
        replace_tags(desk.store, {"warm": {a: 0.75}, "other": {b: 0.5}})
        keep_all(desk.store, [a, b])
        choose_original(desk.store, c, [b])
    return desk


def concept(store: Store) -> str:
    return json.dumps({"fingerprint": store.spec.image_fingerprint})


def again(desk: Desk) -> Desk:
    """Delete the store and index the photos again, from the last one to the first."""
    assert keep_user_data(desk.store.path) == []
    return deleted(desk)


def deleted(desk: Desk) -> Desk:
    desk.store.close()
    Store.delete(desk.store.path)
    new = Desk(desk.photos, Store.create(desk.store.path, colour_spec()))
    for file in sorted(desk.photos.rglob("*.png"), reverse=True):
        new.index(file)
    return new


def titles(desk: Desk) -> dict[str, dict[int, str]]:
    return {name: own for name, own in read_annotations(desk.store).items() if own}


def test_all_that_fits_is_taken_over(said: Desk) -> None:
    desk = again(said)
    restored = restore_user_data(desk.store)
    a, b, c = (desk.id_of(f"{name}.png") for name in ("a", "sub/b", "c"))
    assert (a, b, c) != (1, 3, 2)  # other ids than before
    assert titles(desk) == {"title": {a: "sunset", b: "lawn"}, "price": {b: "12"}}
    assert read_concepts(desk.store) == {"warm": concept(desk.store)}
    assert read_tags(desk.store) == {"warm": {a: 0.75}}
    decided = read_decisions(desk.store)
    assert decided == Decisions(frozenset({(b, a)}), frozenset({(c, b)}))
    assert decided.settle([a, b])
    assert decided.settle([b, c])
    assert restored is not None
    assert (restored.fields, restored.concepts, restored.decisions) == (2, ("warm",), 2)
    assert restored.left.concepts == {"other": '{"fingerprint": "of another network"}'}
    desk.store.close()


def test_nothing_kept_nothing_taken_over(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    desk.index()
    assert restore_user_data(desk.store) is None
    desk = again(desk)
    assert restore_user_data(desk.store) is None
    assert not (desk.store.path / USER_DATA).exists()
    desk.store.close()


def test_what_is_said_of_photos_that_are_away_waits_for_them(said: Desk) -> None:
    (said.photos / "sub").rename(said.photos.parent / "away")
    desk = again(said)
    restored = restore_user_data(desk.store)
    assert restored is not None
    assert (restored.fields, restored.decisions) == (1, 0)
    assert {*restored.left.decisions.values()} == {"keep", "copy"}
    (said.photos.parent / "away").rename(said.photos / "sub")
    desk.index()
    assert restore_user_data(desk.store) is not None
    assert titles(desk)["price"] == {desk.id_of("sub/b.png"): "12"}
    assert len(read_decisions(desk.store).verdicts) == 2
    desk.store.close()


def test_concepts_wait_for_their_network(said: Desk) -> None:
    desk = again(again(said))  # what was not taken over in between is not lost either
    restored = restore_user_data(desk.store)
    assert restored is not None
    assert restored.left == UserData(
        restored.left.images,
        concepts={"other": '{"fingerprint": "of another network"}'},
        tags=restored.left.tags,
    )
    assert json.loads((desk.store.path / USER_DATA).read_text("utf-8"))["kind"]
    desk.store.close()


def test_photos_are_known_by_their_bytes(said: Desk) -> None:
    assert keep_user_data(said.store.path) == []
    shutil.move(said.photos / "sub" / "b.png", said.photos / "moved.png")
    shutil.copy(said.photos / "a.png", said.photos / "sub" / "a.png")  # a has two places now
    desk = deleted(said)
    restore_user_data(desk.store)
    moved, a = desk.id_of("moved.png"), desk.id_of("a.png")
    assert titles(desk) == {"title": {a: "sunset", moved: "lawn"}, "price": {moved: "12"}}
    assert (desk.id_of("c.png"), moved) in read_decisions(desk.store).copies
    desk.store.close()


def test_a_changed_photo_keeps_its_fields_alone(said: Desk) -> None:
    assert keep_user_data(said.store.path) == []
    plain(said.photos / "sub" / "b.png", RED, (60, 50))
    desk = deleted(said)
    restore_user_data(desk.store)
    assert titles(desk)["price"] == {desk.id_of("sub/b.png"): "12"}
    assert read_decisions(desk.store).verdicts == {}
    desk.store.close()


def test_what_the_new_store_says_stays(said: Desk) -> None:
    desk = again(said)
    a, b, c = (desk.id_of(f"{name}.png") for name in ("a", "sub/b", "c"))
    with desk.store.writing():
        annotate(desk.store, {"title": {a: "dawn"}})
        save_concept(desk.store, "warm", "{}")
        choose_original(desk.store, b, [c])
    restore_user_data(desk.store)
    assert titles(desk)["title"] == {a: "dawn", b: "lawn"}
    assert read_concepts(desk.store)["warm"] == "{}"
    assert read_decisions(desk.store).copies == {(b, c)}
    desk.store.close()


def test_of_a_damaged_store_the_rest_is_kept(said: Desk) -> None:
    with said.store.catalog.transaction() as change:
        change.connection.execute(text("UPDATE annotations SET text = 'forged'"))
    assert keep_user_data(said.store.path) == ["fields"]
    desk = deleted(said)
    restored = restore_user_data(desk.store)
    assert restored is not None
    assert (restored.fields, restored.concepts, restored.decisions) == (0, ("warm",), 2)
    desk.store.close()


def test_of_a_store_that_cannot_be_read_nothing_is_kept(said: Desk) -> None:
    said.store.close()
    (said.store.path / "catalog.sqlite").write_bytes(b"This is not a database. " * 100)
    assert keep_user_data(said.store.path) == ["what was said of its photos"]
    assert not (said.store.path / USER_DATA).exists()


@pytest.mark.parametrize(
    "damaged",
    [
        '{"kind": "cbir user data 1", "data": "{\\"ima',
        "5",
        json.dumps({"kind": "cbir user data 9", "data": UserData().to_json(), "seal": ""}),
        json.dumps({"kind": "cbir user data 1", "data": "{}", "seal": ""}),
        json.dumps(
            {
                "kind": "cbir user data 1",
                "data": UserData((), {"title": {3: "of an image without a path"}}).to_json(),
                "seal": "",
            }
        ),
    ],
)
def test_a_damaged_file_is_named_and_stays(said: Desk, damaged: str) -> None:
    desk = again(said)
    file = desk.store.path / USER_DATA
    file.write_text(damaged, "utf-8")
    with pytest.raises(StoreCorruptError, match=r"user-data\.json is not what cbir wrote"):
        restore_user_data(desk.store)
    assert file.read_text("utf-8") == damaged
    assert titles(desk) == {}
    desk.store.close()


def test_somebody_elses_file_is_not_believed(said: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = again(said)
    file = desk.store.path / USER_DATA
    file.write_text(file.read_text("utf-8").replace("sunset", "forged"), "utf-8")
    monkeypatch.delenv("CBIR_TRUST", raising=False)
    with pytest.raises(UntrustedStoreError, match="--trust"):
        restore_user_data(desk.store)
    monkeypatch.setenv("CBIR_TRUST", "1")
    restored = restore_user_data(desk.store)
    assert isinstance(restored, Restored)
    assert "forged" in read_annotations(desk.store)["title"].values()
    desk.store.close()


def test_nothing_is_written_where_a_link_is_in_the_way(said: Desk, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", "utf-8")
    (said.store.path / f"{USER_DATA}.part").symlink_to(tmp_path / "mine")
    with pytest.raises(StoreError):
        keep_user_data(said.store.path)
    assert (tmp_path / "mine").read_text("utf-8") == "mine"
