"""Labels of a page as a file, and read from one."""

from __future__ import annotations

import json

import pytest

from tests.ui.page_routes.conftest import Fetched
from ui.page_routes.labels import MOST_BYTES


def test_labels_are_saved_and_read_again(fetched: Fetched) -> None:
    right, wrong = (fetched.id_of(name) for name in ("rocket.png", "coffee.png"))
    saved = fetched.http.get("/page/labels.json", params={"right": right, "wrong": wrong})
    assert saved.headers["content-disposition"] == 'attachment; filename="labels.json"'
    entries = {entry["path"]: entry["match"] for entry in saved.json()["labels"]}
    assert entries == {"photos/rocket.png": True, "photos/coffee.png": False}
    read = fetched.http.post("/page/labels", content=saved.content).json()
    assert read == {"labels": {str(right): True, str(wrong): False}, "unknown": []}


def test_images_of_another_collection_are_named(fetched: Fetched) -> None:
    file = {"format": "cbir labels 1", "labels": [{"path": "gone.png", "match": True}]}
    read = fetched.http.post("/page/labels", content=json.dumps(file)).json()
    assert read == {"labels": {}, "unknown": ["gone.png"]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"milk, bread", "The labels file is not valid"),
        (b"x" * (MOST_BYTES + 1), "has more than 4 MB"),
    ],
)
def test_a_file_that_is_none(fetched: Fetched, content: bytes, says: str) -> None:
    answer = fetched.http.post("/page/labels", content=content)
    assert (answer.status_code, says in answer.json()["error"]) == (422, True), answer.text


def test_labels_of_what_is_no_image(fetched: Fetched) -> None:
    answer = fetched.http.get("/page/labels.json", params={"right": "1,cat"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("right in the address must be numbers of images")
    foreign = fetched.http.post(
        "/page/labels", content=b"{}", headers={"Origin": "http://elsewhere.example"}
    )
    assert foreign.status_code == 403
