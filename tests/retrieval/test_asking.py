"""A manifest's queries are asked of its own database, in a store that may hold more."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexer.errors import CbirError, ImageError, InvalidQueryError, InvalidRegionError, StoreError
from indexer.features.regions import Region
from retrieval.evaluation.asking import ask_queries, find_database, keep_asked
from retrieval.evaluation.manifest import Manifest, ManifestQuery
from retrieval.evaluation.scoring import score_protocols
from retrieval.query import Hit
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, ORANGE, RED, plain

COLOURS = {"red.png": RED, "orange.png": ORANGE, "green.png": GREEN, "blue.png": BLUE}
IMAGE = {"search": "image", "k": None}


@pytest.fixture
def painted(desk: Desk) -> Desk:
    for name, colour in COLOURS.items():
        plain(desk.photos / name, colour)
    desk.index()
    return desk


def asked(desk: Desk, name: str, positives: str, box: Region | None = None) -> ManifestQuery:
    return ManifestQuery(
        name, desk.photos / name, box, frozenset(positives.split()), frozenset([name])
    )


def collection(desk: Desk, *queries: ManifestQuery, without: str = "", **fields: Any) -> Manifest:
    database = [name for name in COLOURS if name not in without]
    return Manifest("painted", desk.photos, database, list(queries), {}, **fields)


def ask(desk: Desk, manifest: Manifest, **settings: Any) -> dict[str, list[Hit] | CbirError]:
    database = find_database(desk.store, manifest)
    return dict(ask_queries(desk.search(), manifest, database, IMAGE | settings))


def names(answer: list[Hit] | CbirError) -> list[str]:
    assert isinstance(answer, list)
    return [hit.path.name for hit in answer]


def test_the_search_is_limited_to_the_database(painted: Desk) -> None:
    manifest = collection(painted, asked(painted, "red.png", "orange.png"), without="green.png")
    [(query_id, answer)] = ask(painted, manifest).items()
    assert query_id == "red.png"
    assert names(answer) == ["red.png", "orange.png", "blue.png"]
    [scores] = score_protocols(
        [manifest], [(query_id, answer if isinstance(answer, list) else None)]
    )
    assert scores.as_dict()["mAP"] == 1.0  # the query itself is junk


def test_a_query_of_the_store_that_is_not_in_the_database(painted: Desk) -> None:
    manifest = collection(painted, asked(painted, "red.png", "orange.png"), without="red.png")
    assert names(ask(painted, manifest)["red.png"])[0] == "orange.png"


def test_a_query_that_is_not_in_the_database(painted: Desk, tmp_path: Path) -> None:
    outside = plain(tmp_path / "else.png", RED)
    query = ManifestQuery("q", outside, Region(0, 0, 9, 9), frozenset(["red.png"]), frozenset())
    answer = ask(painted, collection(painted, query), k=2)["q"]
    assert names(answer) == ["red.png", "orange.png"]


def test_queries_that_cannot_be_answered_stop_nothing(painted: Desk) -> None:
    (painted.photos / "note.png").write_text("milk, bread", "utf-8")
    manifest = collection(
        painted,
        *(asked(painted, name, "red.png") for name in ("gone.png", "note.png")),
        asked(painted, "blue.png", "red.png", Region(0, 0, 49, 32)),
        asked(painted, "red.png", "orange.png"),
    )
    seen: list[tuple[str, int, int, int]] = []

    def progress(step: str, done: int, total: int, *, failed: int = 0) -> None:
        seen.append((step, done, total, failed))

    database = find_database(painted.store, manifest)
    answers = dict(ask_queries(painted.search(), manifest, database, IMAGE, progress))
    assert isinstance(answers["gone.png"], ImageError)
    assert isinstance(answers["note.png"], ImageError)
    assert isinstance(answers["blue.png"], InvalidRegionError)
    assert names(answers["red.png"])[0] == "red.png"
    assert seen == [("Asking", 0, 4, 0), ("Asking", 4, 4, 3)]


def test_boxes_of_benchmarks_are_clipped(painted: Desk, tmp_path: Path) -> None:
    far = Region(40, 20, 500, 500)
    outside = ManifestQuery(
        "out", plain(tmp_path / "o.png", BLUE), far, frozenset(["blue.png"]), frozenset()
    )
    beyond = asked(painted, "red.png", "orange.png", Region(48, 0, 99, 9))
    gone = asked(painted, "gone.png", "red.png", far)
    queries = [asked(painted, "blue.png", "red.png", far), outside, beyond, gone]
    answers = ask(painted, collection(painted, *queries, clips_boxes=True))
    assert names(answers["blue.png"])[0] == "blue.png"
    assert names(answers["out"])[0] == "blue.png"
    assert isinstance(answers["red.png"], InvalidRegionError)  # nothing of it is in the image
    assert isinstance(answers["gone.png"], ImageError)


def test_a_search_that_the_store_does_not_have_stops_all(painted: Desk) -> None:
    manifest = collection(painted, asked(painted, "red.png", "orange.png"))
    with pytest.raises(StoreError):
        ask(painted, manifest, search="region")


def test_images_that_are_not_indexed(painted: Desk) -> None:
    manifest = Manifest("painted", painted.photos, [*COLOURS, "b.png", "a.png"], [], {})
    with pytest.raises(StoreError, match=r"2 of the 6 images .*photos/a\.png.*cbir index .*photos"):
        find_database(painted.store, manifest)
    empty = Manifest("painted", painted.photos, [], [], {})
    with pytest.raises(StoreError, match="has no images"):
        find_database(painted.store, empty)


def test_images_that_could_not_be_indexed_are_told_apart(painted: Desk) -> None:
    (painted.photos / "broken.png").write_text("no image", "utf-8")
    painted.index()
    manifest = Manifest("painted", painted.photos, [*COLOURS, "broken.png"], [], {})
    database = find_database(painted.store, manifest)
    assert (len(database.ids), database.unreadable) == (4, ("broken.png",))


def test_photos_indexed_by_way_of_a_link(desk: Desk, tmp_path: Path) -> None:
    for name, colour in COLOURS.items():
        plain(tmp_path / "real" / name, colour)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    desk.index(tmp_path / "link")
    real = Path(os.path.realpath(tmp_path / "real"))
    query = ManifestQuery("q", real / "red.png", None, frozenset(["red.png"]), frozenset())
    manifest = Manifest("painted", real, list(COLOURS), [query], {})
    [(_, answer)] = ask(desk, manifest).items()
    assert isinstance(answer, list)
    [scores] = score_protocols([manifest], [("q", answer)])
    assert scores.as_dict()["hit@1"] == 1.0


def test_queries_with_positives_in_some_protocol_are_asked(painted: Desk) -> None:
    first, second, third = (asked(painted, n, "") for n in ("red.png", "blue.png", "green.png"))
    easy = collection(painted, first, asked(painted, "blue.png", "red.png"), third)
    hard = collection(painted, asked(painted, "red.png", "blue.png"), second, third)
    assert [query.id for query in keep_asked([easy, hard]).queries] == ["red.png", "blue.png"]
    with pytest.raises(InvalidQueryError, match="No query of painted has a positive"):
        keep_asked([collection(painted, first)])


def test_answers_are_the_same_in_any_company(painted: Desk) -> None:
    queries = [asked(painted, name, "red.png") for name in [*COLOURS] * 5]
    named = [replace(query, id=f"{place}") for place, query in enumerate(queries)]
    answers = ask(painted, collection(painted, *named))
    assert len(answers) == 20  # more than are asked together
    for place, query in enumerate(named):
        [alone] = ask(painted, collection(painted, query)).values()
        assert answers[f"{place}"] == alone
