"""Hits, the collection and its filters, a part at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pictures import PHOTOS
from tests.ui.page_routes.conftest import Fetched, asking

EVERY = 7  # images of the store


def fetch(fetched: Fetched, path: str, **parameters: Any) -> dict[str, Any]:
    answer = fetched.http.get(f"/page/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_hits_come_a_part_at_a_time(fetched: Fetched) -> None:
    image = fetched.id_of("coffee.png")
    first = fetch(fetched, "hits", image=image, count=3)
    assert [hit["n"] for hit in first["hits"]][-1] == "coffee small.jpg"
    assert {hit["n"] for hit in first["hits"][:2]} == {"coffee.png", "coffee again.png"}
    assert (first["total"], first["more"]) == (EVERY, True)
    rest = fetch(fetched, "hits", image=image, **{"from": 3})
    assert len(rest["hits"]) == EVERY - 3
    assert rest["more"] is False
    ids = [hit["id"] for hit in first["hits"] + rest["hits"]]
    assert len(set(ids)) == EVERY
    assert fetch(fetched, "hits", image=image, **{"from": 90})["hits"] == []


def test_hits_are_those_of_the_filter_and_of_the_way_to_compare(fetched: Fetched) -> None:
    image = fetched.id_of("coffee.png")
    named = fetch(fetched, "hits", image=image, name="*.jpg")["hits"]
    assert [hit["n"] for hit in named] == ["coffee small.jpg"]
    proved = fetch(fetched, "hits", image=image, search="region", verify="yes")["hits"]
    small = next(hit for hit in proved if hit["n"] == "coffee small.jpg")
    assert small["t"] == "same picture"
    assert len(small["q"]) == 8
    words = fetch(fetched, "hits", text="espresso", count=3)["hits"]
    assert "coffee.png" in [hit["n"] for hit in words]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "nothing to search for"),
        ("image=cat", "'cat' is not the number of an image"),
        ("image=1&from=-1", "from in the address is '-1'; it must be a whole number"),
        ("image=1&count=100000", "must be a whole number up to 500"),
        ("image=999999", "no image 999999"),
    ],
)
def test_what_cannot_be_asked_is_told(fetched: Fetched, query: str, says: str) -> None:
    answer = fetched.http.get(f"/page/hits?{query}")
    assert 400 <= answer.status_code < 500
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    "unusable",
    [
        {"since": "soon"},
        {"where": "width<"},
        {"tags": "unicorn"},
        {"box": "0,0,9000,9000"},
        {"also": "999999"},
    ],
)
def test_what_the_page_leaves_out_is_left_out(fetched: Fetched, unusable: dict[str, str]) -> None:
    """The page says why above its hits."""
    image = fetched.id_of("coffee.png")
    assert fetch(fetched, "hits", image=image, **unusable) == fetch(fetched, "hits", image=image)


def test_images_of_the_collection_come_in_one_order(fetched: Fetched) -> None:
    first = fetch(fetched, "images", count=4)
    rest = fetch(fetched, "images", **{"from": 4})
    names = [row["n"] for row in first["hits"] + rest["hits"]]
    assert sorted(names[:4]) == sorted(f"{name}.png" for name in PHOTOS)
    assert names[4:] == ["part.png", "coffee again.png", "coffee small.jpg"]
    assert (first["more"], rest["more"], first["total"]) == (True, False, EVERY)
    below = fetch(fetched, "images", folder=str(fetched.photos / "trips"), name="coffee")
    assert [row["n"] for row in below["hits"]] == ["coffee again.png", "coffee small.jpg"]
    assert below["total"] == 2


def test_folders_are_told_apart_by_their_ends(fetched: Fetched) -> None:
    found = fetch(fetched, "filters")
    assert found["folders"] == [
        {"path": str(fetched.photos), "text": "photos", "count": EVERY},
        {"path": str(fetched.photos / "trips"), "text": "photos/trips", "count": 3},
        {"path": str(fetched.photos / "trips" / "2019"), "text": "photos/trips/2019", "count": 1},
    ]
    assert found["tags"] == {}
    assert {"folder", "date", "width"} <= set(found["fields"])


def test_a_page_of_hits_is_small(fetched: Fetched) -> None:
    image = fetched.id_of("coffee.png")
    rows = fetch(fetched, "hits", image=image, search="region", verify="yes")["hits"]
    assert len(json.dumps(rows)) < 400 * len(rows)


def test_hits_do_not_name_the_folders(fetched: Fetched) -> None:
    text = fetched.http.get("/page/images").text
    assert str(fetched.photos) not in text
    assert "coffee small.jpg" in text


def test_a_bug_is_told_without_its_traceback(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("ui.page_routes.hits.as_rows", fail)
    with asking(fetched.store, raises=False) as http:
        answer = http.get("/page/images")
    assert answer.status_code == 500
    assert answer.json() == {"error": "The server has failed; its log says why."}
