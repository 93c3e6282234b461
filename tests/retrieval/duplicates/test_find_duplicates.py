"""Searching a store for duplicates: what is found, kept, continued and decided."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from indexer.errors import InvalidQueryError
from indexer.keypoints import update_keypoints
from indexer.store.decisions import choose_original, forget_all, keep_all
from indexer.store.layout import DUPLICATES
from retrieval.collection import Collection
from retrieval.duplicates.groups import Group
from retrieval.duplicates.search import (
    Duplicates,
    find_duplicates,
    groups_of,
    read_duplicates,
)
from tests.desk import Desk
from tests.pictures import PHOTOS, photo

SIZE = (400, 300)


@pytest.fixture
def shelf(desk: Desk) -> Desk:
    """Photos, of which some are there again."""
    for name in PHOTOS:
        photo(name).resize(SIZE).save(desk.photos / f"{name}.png")
    coffee = photo("coffee").resize(SIZE)
    ImageOps.mirror(coffee).save(desk.photos / "mirrored.jpg")
    coffee.crop((60, 40, 360, 280)).save(desk.photos / "cut.jpg")
    shutil.copy(desk.photos / "rocket.png", desk.photos / "rocket again.png")
    for tone in (60, 160):
        Image.new("RGB", SIZE, (tone,) * 3).save(desk.photos / f"blank {tone}.png")
    (desk.photos / "broken.jpg").write_text("no picture", "utf-8")
    desk.index()
    return desk


def search(desk: Desk, allowed: list[int] | None = None) -> Duplicates:
    return find_duplicates(Collection(desk.store, extractor=desk.extractor()), allowed)


def names(desk: Desk, groups: list[Group]) -> list[tuple[str, list[str]]]:
    infos = desk.store.image_infos({i for group in groups for i in group.image_ids})
    return [(g.kind, [infos[i].path.name for i in g.image_ids]) for g in groups]


def id_of(desk: Desk, name: str) -> int:
    info = desk.store.find_image(desk.photos / name)
    assert info is not None
    return info.id


FOUND = [
    ("picture", ["coffee.png", "mirrored.jpg"]),
    ("bytes", ["rocket.png", "rocket again.png"]),
    ("part", ["coffee.png", "cut.jpg"]),
]


def test_all_kinds_are_found_and_nothing_else(shelf: Desk) -> None:
    found = search(shelf)
    assert names(shelf, found.groups) == FOUND
    assert found.decided == []
    assert found.compared == len(PHOTOS) + 5
    assert not found.unread


def test_nothing_is_compared_twice(shelf: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first = search(shelf)

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a pair was compared again")

    monkeypatch.setattr("retrieval.duplicates.find.relate", refuse)
    assert search(shelf).groups == first.groups
    assert read_duplicates(shelf.store).groups == first.groups


def test_without_new_photos_nothing_is_read_again(
    shelf: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = search(shelf)

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("keypoints were read again")

    monkeypatch.setattr("retrieval.duplicates.find.keypoints_of", refuse)
    assert search(shelf).groups == first.groups
    shelf.store.remove([id_of(shelf, "mirrored.jpg")])
    assert names(shelf, search(shelf).groups) == FOUND[1:]
    some = [id_of(shelf, name) for name in ("coffee.png", "cut.jpg", "astronaut.png")]
    assert names(shelf, search(shelf, some).groups) == FOUND[2:]


def test_photos_that_were_searched_apart_are_searched_together(shelf: Desk) -> None:
    for name in ("coffee.png", "cut.jpg", "mirrored.jpg"):
        assert search(shelf, [id_of(shelf, name)]).groups == []
    assert names(shelf, search(shelf).groups) == FOUND


def test_an_interruption_keeps_what_was_compared(shelf: Desk) -> None:
    asked = [0]

    def stop() -> bool:
        asked[0] += 1
        return asked[0] > 2

    with pytest.raises(KeyboardInterrupt):
        find_duplicates(Collection(shelf.store, extractor=shelf.extractor()), stop=stop)
    assert names(shelf, search(shelf).groups) == FOUND


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"relations": [{"kind": "x"}]}', b"\xff", b"[" * 9999]
)
def test_a_damaged_file_of_findings_is_made_again(shelf: Desk, data: bytes) -> None:
    search(shelf)
    assert shelf.store.derived.write(DUPLICATES, data)
    assert names(shelf, search(shelf).groups) == FOUND


def test_removed_photos_are_no_duplicates_and_new_ones_are(shelf: Desk) -> None:
    search(shelf)
    (shelf.photos / "mirrored.jpg").unlink()
    ImageOps.grayscale(photo("chelsea").resize(SIZE)).save(shelf.photos / "grey.png")
    shelf.update()
    assert ("picture", ["coffee.png", "mirrored.jpg"]) not in names(
        shelf, read_duplicates(shelf.store).groups
    )
    found = names(shelf, search(shelf).groups)
    assert ("picture", ["chelsea.png", "grey.png"]) in found
    assert len(found) == 3


def test_only_photos_that_are_allowed_are_compared(shelf: Desk) -> None:
    allowed = [id_of(shelf, name) for name in ("coffee.png", "cut.jpg", "rocket.png")]
    found = search(shelf, allowed)
    assert names(shelf, found.groups) == [("part", ["coffee.png", "cut.jpg"])]
    assert found.compared == 3


def test_decisions_are_honoured(shelf: Desk) -> None:
    search(shelf)
    coffee, mirrored = id_of(shelf, "coffee.png"), id_of(shelf, "mirrored.jpg")
    rockets = [id_of(shelf, name) for name in ("rocket.png", "rocket again.png")]
    with shelf.store.writing():
        choose_original(shelf.store, mirrored, [coffee, mirrored])
        keep_all(shelf.store, rockets)
    found = search(shelf)
    assert names(shelf, found.groups) == [("part", ["mirrored.jpg", "cut.jpg"])]
    assert names(shelf, found.decided) == [("picture", ["mirrored.jpg", "coffee.png"])]
    assert names(shelf, found.kept) == [("bytes", ["rocket.png", "rocket again.png"])]
    with shelf.store.writing():
        forget_all(shelf.store, [mirrored, *rockets])
    assert names(shelf, read_duplicates(shelf.store).groups) == FOUND


def test_a_new_copy_opens_a_decided_group_again(shelf: Desk) -> None:
    search(shelf)
    coffee, mirrored = id_of(shelf, "coffee.png"), id_of(shelf, "mirrored.jpg")
    with shelf.store.writing():
        choose_original(shelf.store, mirrored, [coffee])
    ImageOps.grayscale(photo("coffee").resize(SIZE)).save(shelf.photos / "grey.png")
    shelf.update()
    found = search(shelf)
    assert found.decided == []
    assert names(shelf, found.groups)[0][1][0] == "mirrored.jpg"


def test_the_groups_of_an_image(shelf: Desk) -> None:
    found = search(shelf)
    kinds = [group.kind for group in groups_of(found, id_of(shelf, "coffee.png"))]
    assert kinds == ["picture", "part"]
    with pytest.raises(InvalidQueryError, match="no group of duplicates"):
        groups_of(found, id_of(shelf, "astronaut.png"))


def test_a_photo_that_is_gone_is_compared_by_its_bytes_alone(shelf: Desk) -> None:
    (shelf.photos / "mirrored.jpg").unlink()
    (shelf.photos / "rocket again.png").unlink()
    found = search(shelf)
    assert names(shelf, found.groups) == [FOUND[1], FOUND[2]]
    assert found.unread == {id_of(shelf, "mirrored.jpg")}


def test_a_photo_that_comes_back_is_compared_then(shelf: Desk) -> None:
    update_keypoints(shelf.store)  # they stay while the photo is away
    away = (shelf.photos / "mirrored.jpg").rename(shelf.photos.parent / "away.jpg")
    missing = search(shelf)
    assert names(shelf, missing.groups) == [FOUND[1], FOUND[2]]
    assert id_of(shelf, "mirrored.jpg") in missing.unread
    away.rename(shelf.photos / "mirrored.jpg")
    assert names(shelf, search(shelf).groups) == FOUND


def test_a_store_of_nothing(desk: Desk, tmp_path: Path) -> None:
    del tmp_path
    Image.new("RGB", SIZE, (90, 90, 90)).save(desk.photos / "blank.png")
    desk.index()
    found = search(desk)
    assert (found.groups, found.compared) == ([], 1)
