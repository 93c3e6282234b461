"""Searching over HTTP with several images, words and features: what the engine answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from indexer.errors import InvalidQueryError
from indexer.features.regions import Region
from retrieval.engine import SearchEngine
from retrieval.query import Query
from tests.pictures import PHOTOS
from tests.ui.api.conftest import Server
from ui.client import Client
from ui.further import UNLIKE, FurtherFeature, with_further
from ui.search_request import as_request

BOX = Region(40, 30, 200, 180)
WORD = Query(text="cup", search="image", feature="fc")


@pytest.fixture(scope="module")
def engine(server: Server) -> SearchEngine:
    return SearchEngine.open(server.store)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with server.client() as client:
        yield client


def ids(answer: Any) -> list[int]:
    return [hit["image_id"] for hit in answer["hits"]]


@pytest.mark.parametrize("main", ["path", "image_id"])
@pytest.mark.parametrize(
    "further",
    [
        [({"image_id": 1}, 1.0), ({"image_id": 3}, -UNLIKE)],
        [({"image_id": 3, "box": BOX, "context": 0.1}, 0.5)],
        [({"path": 1}, 1.0), ({"path": 2}, -0.25), ({"image_id": 1}, 2.0)],
    ],
)
def test_a_client_gets_what_the_engine_gives(
    client: Client,
    engine: SearchEngine,
    server: Server,
    main: str,
    further: list[tuple[dict[str, Any], float]],
) -> None:
    def with_files(source: dict[str, Any]) -> dict[str, Any]:
        path = source.get("path")
        return source if path is None else {"path": server.photos / f"{PHOTOS[path]}.jpg"}

    source = {"path": 0} if main == "path" else {"image_id": 2}
    images = [(with_files(image), weight) for image, weight in further]
    query = with_further(
        engine.store.spec,
        Query(**with_files(source)),
        images=images,
        features=[FurtherFeature("fc", weight=0.5)],
        words=[("cup", 0.75)],
    )
    assert len(query.also) == len(further) + 2
    of_images, words_first = query.also[: len(further)], query.also[len(further) :][::-1]
    for also in (query.also, words_first + of_images):
        asked = replace(query, also=also)
        assert client.search(asked) == engine.search(asked)
    assert client.search(query) != client.search(replace(query, also=()))
    by_region = Query(**with_files(source), search="region", box=BOX)
    asked = with_further(engine.store.spec, by_region, images=images)
    assert client.search(asked) == engine.search(asked)


def test_words_are_added_to_a_word(client: Client, engine: SearchEngine) -> None:
    query = replace(WORD, also=((Query(text="tabby", search="image", feature="fc"), 0.5),))
    assert client.search(query) == engine.search(query)


def test_unlike_counts_half_unless_it_says_otherwise(http: httpx.Client) -> None:
    def ask(**further: Any) -> Any:
        return http.post("/v1/search", json={"image_id": 2, "k": 9} | further).json()

    usual = ask(unlike=[{"image_id": 1}])
    assert usual["hits"] == ask(unlike=[{"image_id": 1, "weight": UNLIKE}])["hits"]
    assert usual["hits"] != ask(unlike=[{"image_id": 1, "weight": 1.0}])["hits"]
    assert ids(ask(unlike=[{"image_id": 1, "weight": 1.0}]))[-1] == 1
    assert set(ids(ask(also=[{"image_id": 1}]))[:2]) == {1, 2}


def test_each_of_many_has_further_ones_of_its_own(http: httpx.Client) -> None:
    queries = [
        {"image_id": 2, "also": [{"image_id": 1}]},
        {"image_id": 2, "unlike": [{"image_id": 2, "weight": 1.0}]},
        {"image_id": 2, "also_text": [{"text": "cup"}], "also_features": [{"feature": "fc"}]},
        {"image_id": 2, "also": [{"image_id": 999}]},
    ]
    answers = http.post("/v1/search/many", json={"queries": queries}).json()["answers"]
    for query, answer in zip(queries[::2], answers[::2], strict=True):
        assert http.post("/v1/search", json=query).json()["hits"] == answer["hits"]
    assert "cancel each other out" in answers[1]["detail"]
    assert "no image 999" in answers[3]["detail"]


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ({"also": [{}]}, "A further image needs exactly one of image_id, url, file and vector; 0"),
        ({"also": [{"image_id": 1, "vector": [1.0]}]}, "exactly one of .*; 2"),
        ({"also": [{"image_id": 1, "weight": 0}]}, "also.0.weight: "),
        ({"also": [{"image_id": 1, "weight": -1}]}, "also.0.weight: "),
        ({"also": [{"image_id": 1, "box": [0, 0, 9999, 9]}]}, "0,0,9999,9"),
        ({"also": [{"file": 0}]}, "no further file 0: 0 were sent"),
        ({"also": [{"image_id": 1}] * 17}, "also: .*16"),
        ({"also": [{"url": "http://127.0.0.1:9/cat.jpg"}]}, "127.0.0.1"),
        ({"also_text": [{"text": "no such thing"}]}, "no such thing"),
        ({"also_text": [{"text": "cup"}], "rerank": True, "search": "region"}, "Re-ranking"),
        ({"also_features": [{"feature": "fc"}], "min_confidence": 0.5}, "no confidence"),
        ({"also_features": [{"feature": "fv"}]}, "also_features.0.feature: "),
    ],
)
def test_a_wrong_query_is_a_problem(http: httpx.Client, asked: Any, detail: str) -> None:
    answer = http.post("/v1/search", json={"image_id": 2} | asked)
    assert answer.status_code == 422, answer.text
    assert re.search(detail, answer.json()["detail"]), answer.json()["detail"]


def test_a_word_has_no_further_images(http: httpx.Client) -> None:
    answer = http.post("/v1/search", json={"text": "cup", "also": [{"image_id": 1}]})
    assert answer.status_code == 422
    assert "go with an image, not with a word" in answer.json()["detail"]


def test_an_upload_says_which_picture_it_asks_with(http: httpx.Client, server: Server) -> None:
    data = (server.photos / f"{PHOTOS[0]}.jpg").read_bytes()
    twice = http.post(
        "/v1/search/upload", files={"image": data}, data={"query": json.dumps({"image_id": 1})}
    )
    assert twice.status_code == 422
    assert "either a file as image, or one of" in twice.json()["detail"]
    many = http.post(
        "/v1/search/upload",
        files=[("further", data)] * 33,
        data={"query": json.dumps({"image_id": 1})},
    )
    assert many.status_code == 422
    assert "further: " in many.json()["detail"]
    alone = http.post("/v1/search/upload", data={"query": json.dumps({"image_id": 1})})
    assert ids(alone.json())[0] == 1


@pytest.mark.parametrize(
    ("also", "why"),
    [
        ((Query(image_id=2, feature="fc"), 1.0), "the query's own image"),
        ((Query(image_id=1, box=BOX, feature="fc"), 1.0), "the query's own image"),
        ((replace(WORD, also=((WORD, 1.0),)), 1.0), "without further queries"),
    ],
)
def test_what_a_server_does_not_take_is_refused(also: tuple[Query, float], why: str) -> None:
    with pytest.raises(InvalidQueryError, match=why):
        as_request(Query(image_id=1, also=(also,)))


def test_the_description_has_examples_of_further_queries(http: httpx.Client) -> None:
    schemas = http.get("/v1/openapi.json").json()["components"]["schemas"]
    asked = schemas["SearchRequest"]
    assert {"also", "unlike", "also_text", "also_features"} <= set(asked["properties"])
    examples = [name for example in asked["examples"] for name in example]
    assert {"also", "also_text", "also_features"} <= set(examples)
    for example in asked["examples"]:
        sound = {**example, "image_id": 1} if "image_id" in example else example
        sound |= {"also": [{"image_id": 2}]} if "also" in example else {}
        assert http.post("/v1/search", json=sound).status_code == 200, example
