"""What a page shows of one image."""

from __future__ import annotations

from typing import Any

import pytest

from indexer.store.reader import StoreReader
from retrieval.duplicates.find import Findings
from retrieval.duplicates.kept_findings import keep_findings, read_findings
from tests.ui.page_routes.conftest import Fetched


def facts(fetched: Fetched, of: str, **parameters: Any) -> dict[str, Any]:
    answer = fetched.http.get("/page/facts", params={"hit": fetched.id_of(of), **parameters})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def values(found: dict[str, Any], part: str = "rows") -> dict[str, str]:
    return {row["name"]: row["value"] for row in found[part]}


def test_what_is_known_of_an_image(fetched: Fetched) -> None:
    found = facts(fetched, "trips/coffee small.jpg")
    rows = values(found)
    assert rows["Size"] == "400 × 300 pixels"
    assert (rows["Taken"], rows["Camera"]) == ("unknown", "unknown")
    assert "espresso" in rows["Likeliest of 1,000 classes"]
    assert "Rank and score" not in rows
    assert next(iter(rows)) == "Size"
    path = fetched.photos / "trips" / "coffee small.jpg"
    assert (found["path"], found["folder"]) == (str(path), str(path.parent))
    assert (found["width"], found["height"]) == (400, 300)
    row = found["row"]
    assert (row["n"], row["w"], row["h"]) == ("coffee small.jpg", 400, 300)
    assert found["own"] == []


def test_of_a_hit_its_rank_and_what_matched(fetched: Fetched) -> None:
    asked = {"image": fetched.id_of("coffee.png"), "search": "region", "verify": "yes"}
    found = facts(fetched, "trips/coffee small.jpg", **asked)
    rows = values(found)
    assert rows["Rank and score"].startswith("3, 0.")
    assert rows["Matched"] == ",".join(map(str, (0, 0, 400, 300)))
    assert found["row"]["t"] == "same picture"
    other = facts(fetched, "trips/coffee small.jpg", **asked, name="rocket")
    assert "Rank and score" not in values(other)


def test_a_query_that_is_gone_leaves_the_facts(fetched: Fetched) -> None:
    found = facts(fetched, "rocket.png", image=999_999)
    assert "Rank and score" not in values(found)
    assert found["row"]["n"] == "rocket.png"


def test_which_images_are_the_same(fetched: Fetched) -> None:
    def alike(name: str) -> dict[str, str]:
        return {row["name"]: row["kind"] for row in facts(fetched, name)["duplicates"]}

    assert alike("coffee.png") == {
        "coffee again.png": "the same bytes",
        "coffee small.jpg": "the same picture",
    }
    assert alike("trips/coffee again.png") == {
        "coffee.png": "the same bytes",
        "coffee small.jpg": "the same picture",
    }
    assert set(alike("trips/coffee small.jpg")) == {"coffee.png"}
    assert alike("astronaut.png") == {"part.png": "it shows a part of this"}
    assert alike("trips/2019/part.png") == {"astronaut.png": "this shows a part of it"}
    assert alike("rocket.png") == {}


def test_what_a_new_search_finds_is_shown_at_once(fetched: Fetched) -> None:
    """It is kept beside the catalogue, without a commit."""
    derived = StoreReader.open(fetched.store).derived
    findings = read_findings(derived)
    assert facts(fetched, "astronaut.png")["duplicates"] != []
    assert keep_findings(derived, Findings())
    try:
        assert facts(fetched, "astronaut.png")["duplicates"] == []
    finally:
        assert keep_findings(derived, findings)
    assert facts(fetched, "astronaut.png")["duplicates"] != []


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("", 422, "hit in the address is ''; it must be a whole number"),
        ("hit=cat", 422, "hit in the address is 'cat'; it must be a whole number"),
        ("hit=999999", 404, "no image 999999 any more"),
    ],
)
def test_what_is_not_there_is_told(fetched: Fetched, query: str, status: int, says: str) -> None:
    answer = fetched.http.get(f"/page/facts?{query}")
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text
