"""Searching over HTTP: the same answers as the engine's, by every kind of query."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from indexer.features.regions import Region
from retrieval.engine import SearchEngine
from retrieval.query import Query
from tests.pictures import PHOTOS
from tests.ui.api.conftest import Server
from ui.client import Client, ServerError

BOX = Region(40, 30, 200, 180)


@pytest.fixture(scope="module")
def engine(server: Server) -> SearchEngine:
    return SearchEngine.open(server.store)


@pytest.fixture
def client(server: Server) -> Any:
    with server.client() as client:
        yield client


def upload(http: httpx.Client, data: bytes, query: str = "{}") -> httpx.Response:
    return http.post("/v1/search/upload", files={"image": ("a.jpg", data)}, data={"query": query})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": 3},
        {"feature": "fc"},
        {"search": "region", "box": BOX},
        {"search": "region"},
        {"box": BOX, "context": 0.2, "turns": True, "search": "region"},
        {"search": "region", "verify": True, "candidates": 5},
        {"search": "region", "rerank": True, "candidates": 5},
        {"min_confidence": 0.5},
        {"allowed": frozenset({1, 2, 3})},
    ],
)
def test_a_client_gets_what_the_engine_gives(
    client: Client, engine: SearchEngine, server: Server, options: dict[str, Any]
) -> None:
    path = server.photos / f"{PHOTOS[0]}.jpg"
    for source in ({"path": path}, {"data": path.read_bytes()}, {"image_id": 2}):
        query = Query(**source, **options)
        assert client.search(query) == engine.search(query)


def test_a_text_and_a_vector_are_answered_too(client: Client, engine: SearchEngine) -> None:
    kind = engine.store.find_kind("conv", "image")
    vector = tuple(map(float, engine.collection.index(kind).rows_of_image(1)[1][0]))
    for query in (Query(text="cup", search="image", feature="fc"), Query(vector=vector)):
        assert client.search(query) == engine.search(query)


def test_the_defaults_are_those_of_the_command_line(
    http: httpx.Client, server: Server, engine: SearchEngine
) -> None:
    data = (server.photos / f"{PHOTOS[1]}.jpg").read_bytes()
    answer = upload(http, data, json.dumps({"box": list(BOX.as_tuple())})).json()
    assert (answer["search"], answer["feature"]) == ("region", "conv")
    query = Query.for_store(engine.store.spec, data=data, box=BOX)
    assert [hit["image_id"] for hit in answer["hits"]] == [h.image_id for h in engine.search(query)]


def test_several_queries_are_answered_in_order(http: httpx.Client, engine: SearchEngine) -> None:
    queries = [
        {"image_id": 2, "k": 2},
        {"image_id": 999},
        {"text": "no such thing"},
        {"image_id": 1},
    ]
    answers = http.post("/v1/search/many", json={"queries": queries}).json()["answers"]
    assert [h["image_id"] for h in answers[0]["hits"]] == [
        h.image_id for h in engine.search(Query(image_id=2, k=2))
    ]
    assert [a.get("status") for a in answers] == [None, 422, 422, None]
    assert answers[1]["detail"] == "There is no image 999 in the store."


def test_a_filter_restricts_inside_the_search(http: httpx.Client) -> None:
    chosen = f"{PHOTOS[2]}.jpg"
    answer = http.post("/v1/search", json={"image_id": 1, "k": 3, "filter": {"name": chosen}})
    assert [hit["path"].rsplit("/", 1)[-1] for hit in answer.json()["hits"]] == [chosen]


@pytest.mark.parametrize(
    ("asked", "status", "detail"),
    [
        ({}, 422, "exactly one of image_id, url, text and vector; 0"),
        ({"image_id": 1, "text": "cup"}, 422, "exactly one of .*; 2"),
        ({"image_id": 999}, 422, "There is no image 999"),
        ({"image_id": 1, "box": [0, 0, 9999, 9]}, 422, "0,0,9999,9"),
        ({"image_id": 1, "box": [9, 9, 1, 1]}, 422, "is not valid"),
        ({"image_id": 1, "k": 0}, 422, "k: "),
        ({"image_id": 1, "kk": 3}, 422, "kk: "),
        ({"image_id": 1, "rerank": True, "search": "image"}, 422, "Re-ranking needs a search of"),
        ({"vector": [1.0, 2.0]}, 422, "2 numbers"),
        ({"vector": [0.0] * 1280}, 422, "no direction"),
        ({"url": "http://127.0.0.1:9/cat.jpg"}, 422, "127.0.0.1"),
        ({"url": "file:///etc/passwd"}, 422, "file"),
        ({"image_id": 1, "filter": {"tags": ["nothing"]}}, 422, "no tag 'nothing'"),
    ],
)
def test_a_wrong_query_is_a_problem(
    http: httpx.Client, asked: dict[str, Any], status: int, detail: str
) -> None:
    answer = http.post("/v1/search", json=asked)
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert re.search(detail, problem["detail"])


@pytest.mark.parametrize("data", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut off"])
def test_what_is_no_picture_is_refused(http: httpx.Client, data: bytes) -> None:
    answer = upload(http, data)
    assert answer.status_code == 422
    assert "a.jpg" in answer.json()["detail"] or "image" in answer.json()["detail"]


def test_wrong_options_of_an_upload_are_named(http: httpx.Client, server: Server) -> None:
    data = (server.photos / f"{PHOTOS[0]}.jpg").read_bytes()
    for query, word in (("{", "JSON"), ('{"k": "many"}', "k: "), ('{"nonsense": 1}', "nonsense")):
        answer = upload(http, data, query)
        assert answer.status_code == 422
        assert word in answer.json()["detail"]


def test_a_form_instead_of_json_is_told_what_to_send(http: httpx.Client) -> None:
    answer = http.post("/v1/search", data={"image_id": 1})
    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_a_query_is_located(http: httpx.Client, server: Server) -> None:
    data = (server.photos / f"{PHOTOS[0]}.jpg").read_bytes()
    asked = {"target_id": 1, "box": list(BOX.as_tuple()), "pictures": ["heat", "mask"]}
    answer = http.post(
        "/v1/localize", files={"image": ("a.jpg", data)}, data={"query": json.dumps(asked)}
    )
    found = answer.json()
    assert answer.status_code == 200, found
    assert set(found["pictures"]) == {"heat", "mask"}
    assert found["pictures"]["mask"].startswith("iVBOR")  # PNG in base64
    missing = http.post("/v1/localize", data={"query": "{}"})
    assert missing.status_code == 422
    assert "Give either a file as image, or image_id" in missing.json()["detail"]


def test_the_client_says_what_went_wrong(server: Server) -> None:
    with server.client() as client, pytest.raises(ServerError, match="no image 999") as caught:
        client.search(Query(image_id=999))
    assert (caught.value.status, caught.value.error) == (422, "InvalidQueryError")
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServerError, match=r"127\.0\.0\.1"):
        client.search(Query(image_id=1))
