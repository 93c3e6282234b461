"""Duplicates over HTTP: searching as a job, listing, deciding."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import Result

from tests.pictures import PHOTOS, photo
from tests.ui.api.conftest import TOKEN, Server, serving
from tests.ui.api.test_image_api import ended
from ui.client import Client, ServerError


@pytest.fixture(scope="module")
def searched(
    tmp_path_factory: pytest.TempPathFactory, cbir: Callable[..., Result], _own_folders: None
) -> Iterator[Server]:
    """A server on photos that are there again, which were searched for."""
    folder = tmp_path_factory.mktemp("duplicates")
    (folder / "photos").mkdir()
    for name in PHOTOS:
        photo(name).resize((320, 240)).save(folder / "photos" / f"{name}.png")
        photo(name).resize((320, 240)).save(folder / "photos" / f"{name} small.jpg", quality=80)
    shutil.copy(folder / "photos" / "rocket.png", folder / "photos" / "again.png")
    store = folder / ".cbir"
    assert cbir("index", folder / "photos", "--store", store, "--regions", "none").exit_code == 0
    with serving(store) as server, server.client() as client:
        assert client.search_duplicates()["state"] == "done"
        yield server


@pytest.fixture
def http(searched: Server) -> Iterator[httpx.Client]:
    with searched.http() as http:
        yield http
        images = [row["image_id"] for row in http.get("/v1/images").json()["images"]]
        forgotten = {"images": images, "verdict": "forget"}
        assert http.post("/v1/duplicates/decisions", json=forgotten).status_code == 200


def groups(http: httpx.Client, **choice: Any) -> list[dict[str, Any]]:
    answer = http.get("/v1/duplicates", params=choice)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["groups"]
    return found


def ids(group: dict[str, Any]) -> list[int]:
    return [image["image_id"] for image in group["images"]]


def test_a_search_is_a_job_with_progress(http: httpx.Client) -> None:
    answer = http.post("/v1/duplicates/search", json={})
    assert answer.status_code == 202
    job = ended(http, answer.json()["id"])
    assert (job["kind"], job["state"], job["error"]) == ("duplicates", "done", None)
    assert job["report"] == {"groups": 4, "decided": 0, "compared": 9, "unread": 0}
    assert http.get("/v1/jobs").json()["jobs"][0] == job
    stopped = http.delete(f"/v1/jobs/{job['id']}").json()
    assert stopped["state"] == "done"


def test_groups_are_described_a_page_at_a_time(http: httpx.Client) -> None:
    page = http.get("/v1/duplicates", params={"limit": 3}).json()
    assert (len(page["groups"]), page["total"], page["compared"]) == (3, 4, 9)
    everything = groups(http)
    assert page["groups"] + groups(http, offset=3) == everything
    assert [group["group"] for group in everything] == [1, 2, 3, 4]
    assert groups(http, offset=4) == []
    first = everything[0]["images"][0]
    assert (first["role"], first["width"], first["height"]) == ("first", 320, 240)
    assert Path(first["path"]).stat().st_size == first["size_bytes"]


def test_kinds_and_filters(http: httpx.Client) -> None:
    assert groups(http, kind="part") == []
    assert len(groups(http, kind=["picture", "bytes"])) == 4
    [same] = groups(http, where="name:*.png")
    assert (same["kind"], [image["role"] for image in same["images"]]) == (
        "bytes",
        ["first", "copy"],
    )
    for asked in (
        http.get("/v1/duplicates", params={"where": "width >"}),
        http.post("/v1/duplicates/search", json={"where": "width >"}),
        http.get("/v1/duplicates", params={"kind": "twin"}),
    ):
        assert asked.status_code == 422
        assert asked.headers["content-type"] == "application/problem+json"


def test_what_is_decided_is_left_out_and_shown_on_request(http: httpx.Client) -> None:
    one, other = groups(http)[:2]
    chosen = ids(one)[::-1]
    for images, verdict in ((chosen, "original"), (ids(other), "keep")):
        answer = http.post("/v1/duplicates/decisions", json={"images": images, "verdict": verdict})
        assert answer.json() == {"images": images, "verdict": verdict}
    assert len(groups(http)) == 2
    decided = [group for group in groups(http, decided=True) if group["decided"]]
    assert [ids(group) for group in decided] == [chosen, ids(other)]
    http.post("/v1/duplicates/decisions", json={"images": ids(other), "verdict": "forget"})
    assert len(groups(http)) == 3


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"images": [1], "verdict": "keep"}, 422, "two images or more"),
        ({"images": [1, 1], "verdict": "original"}, 422, "two images or more"),
        ({"images": [1, 9999], "verdict": "keep"}, 404, "no image 9999"),
        ({"images": [], "verdict": "keep"}, 422, "images"),
        ({"images": [1, 2], "verdict": "delete"}, 422, "verdict"),
    ],
)
def test_decisions_that_cannot_be_kept(
    http: httpx.Client, asked: dict[str, Any], status: int, said: str
) -> None:
    answer = http.post("/v1/duplicates/decisions", json=asked)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_nobody_decides_without_the_token(searched: Server) -> None:
    with searched.http(None) as http:
        assert http.get("/v1/duplicates").status_code == 401
        asked = {"images": [1, 2], "verdict": "keep"}
        assert http.post("/v1/duplicates/decisions", json=asked).status_code == 401


def test_the_client(searched: Server, http: httpx.Client) -> None:
    with Client(searched.url, TOKEN) as client:
        found = list(client.duplicates(limit=1))
        assert found == groups(http)
        client.decide_duplicates(ids(found[0]), "keep")
        assert len(list(client.duplicates())) == len(found) - 1
        client.decide_duplicates(ids(found[0]), "forget")
        with pytest.raises(ServerError, match="two images or more"):
            client.decide_duplicates([1], "original")
        job = client.search_duplicates("name:coffee*", wait=False)
        assert ended(http, job["id"])["report"]["compared"] == 2
