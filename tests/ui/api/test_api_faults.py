"""What must not bring the server down: odd input, names and stores, and leaks over time."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

from tests.ui.api.conftest import Server, make_store, serving
from tests.ui.api.test_image_api import ended, picture
from ui.client import Client, ServerError

MANY = 100_000


@pytest.fixture
def store(tmp_path: Path, cbir: Callable[..., Result]) -> Path:
    return make_store(tmp_path, cbir)


@pytest.mark.parametrize(
    "asked",
    [
        {"image_id": 1, "allowed": ["x"] * MANY},
        {"vector": ["x"] * MANY},
        {"image_id": 1, "filter": {"tags": [1] * MANY}},
        {str(number): 1 for number in range(MANY)},
        {"x" * MANY: 1},
    ],
)
def test_many_faults_get_a_short_answer(http: httpx.Client, asked: dict[str, object]) -> None:
    answer = http.post("/v1/search", json=asked)
    assert answer.status_code == 422
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    "body", ["[" * MANY, '{"image_id":' + "9" * MANY + "}", '{"text": "\xff"}']
)
def test_json_that_cannot_be_read_is_a_problem(http: httpx.Client, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = http.post("/v1/search", content=body.encode("latin-1"), headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("place", ["\ud800", "a\0b", "\n"])
def test_odd_places_are_refused_in_words(http: httpx.Client, place: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = http.post("/v1/jobs", content=json.dumps({"places": [place]}), headers=headers)
    assert answer.status_code == 403
    assert "lies outside the folders" in answer.json()["detail"]


def test_names_that_are_no_utf8_are_told_with_escapes(store: Path) -> None:
    photos = os.fsencode(store.parent / "photos")
    with serving(store) as server, server.http() as http:
        for name, data in ((b"caf\xe9.jpg", picture("red", 7)), (b"bad\xe9.jpg", b"x")):
            Path(os.fsdecode(photos + b"/" + name)).write_bytes(data)
        job = ended(http, http.post("/v1/jobs", json={}).json()["id"])
        [failed] = job["report"]["failed"]
        assert failed["path"].endswith("bad\\xe9.jpg")
        paths = [row["path"] for row in http.get("/v1/images").json()["images"]]
        assert [path for path in paths if path.endswith("caf\\xe9.jpg")]
        files = {"image": ("a.jpg", picture("red", 7))}
        hits = http.post("/v1/search/upload", files=files).json()["hits"]
        assert hits[0]["path"].endswith("caf\\xe9.jpg")


def test_a_store_that_is_gone_is_said_so_until_it_is_back(store: Path) -> None:
    away = store.with_name("away")
    with serving(store) as server, server.http() as http:
        shutil.move(store, away)
        for path in ("/healthz", "/metrics", "/v1/store", "/v1/images/1"):
            answer = http.get(path)
            assert (answer.status_code, answer.json()["error"]) == (503, "StoreNotFoundError"), path
        shutil.move(away, store)
        assert http.get("/healthz").json() == {"status": "ok"}
        assert not [line for line in server.log if "Traceback" in line]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts the open files of Linux")
def test_jobs_leave_no_files_open(store: Path) -> None:
    with serving(store) as server, server.http() as http:
        counts = []
        for _ in range(2):
            for _ in range(4):
                ended(http, http.post("/v1/jobs", json={}).json()["id"])
            counts.append(len(list(Path(f"/proc/{server.pid}/fd").iterdir())))
        assert counts[1] - counts[0] < 4


def test_methods_that_nobody_knows_are_counted_as_one(http: httpx.Client) -> None:
    for number in range(3):
        assert http.request(f"ODD{number}", "/v1/store").status_code == 405
    text = http.get("/metrics").text
    assert "ODD" not in text
    assert 'method="unknown"' in text


def test_all_lines_of_the_log_are_json(server: Server, http: httpx.Client) -> None:
    http.post("/v1/search", json={"vector": [1e300] * 1280})  # which NumPy warns of
    headers = {"Content-Type": "multipart/form-data; boundary=y"}
    assert http.post("/v1/search/upload", content=b"--x\r\n", headers=headers).status_code == 400
    http.get("/v1/images/line%0Abreak")
    time.sleep(0.2)
    assert [json.loads(line) for line in server.log]


def test_a_token_is_taken_whatever_the_case_of_its_scheme(server: Server) -> None:
    from tests.ui.api.conftest import TOKEN

    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {TOKEN}"}
        assert httpx.get(f"{server.url}/v1/store", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--token", "a secret with an ümlaut"], 1, "ASCII characters only"),
        (["--token", " a secret of the tests"], 1, "no space at its ends"),
        (["--token", "a secret of\nthe tests"], 1, "ASCII characters only"),
        (["--max-body-mb", "inf"], 2, "finite"),
        (["--body-timeout", "nan"], 2, "finite"),
        (["--timeout", "nan"], 2, "finite"),
        (["--tls-cert", __file__, "--tls-key", __file__], 1, "not a certificate"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(
    cbir: Callable[..., Result], server: Server, options: list[str], code: int, reason: str
) -> None:
    found = cbir("serve", "--store", server.store, "--port", 8498, *options)
    assert found.exit_code == code, found.output
    assert reason in found.output


def test_it_serves_whatever_the_number_of_workers_in_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with serving(server.store) as other, other.http() as http:
        assert http.get("/healthz").status_code == 200


def test_a_client_says_what_is_wrong_with_a_server(server: Server) -> None:
    with pytest.raises(ServerError, match="not a valid URL"):
        Client("http://a\0b")
    with Client(server.url, "ein Schlüssel") as client, pytest.raises(ServerError) as caught:
        client.facts()
    assert caught.value.status == 401
