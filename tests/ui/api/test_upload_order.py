"""Puts and removals of one key at the same time, and what becomes of them when a server ends."""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

from indexer.store.store import Store
from tests.ui.api.conftest import TOKEN, Server, make_store, serving
from tests.ui.api.test_image_api import picture

KEYS = "/v1/images/by-key"
FORMS = [("JPEG", "image/jpeg"), ("PNG", "image/png")]


@pytest.fixture
def store(tmp_path: Path, cbir: Callable[..., Result]) -> Path:
    return make_store(tmp_path, cbir)


def test_all_that_put_the_same_key_at_once_succeed(server: Server, http: httpx.Client) -> None:
    def put(number: int) -> int:
        form, kind = FORMS[number % 2]
        data = picture("red", 5 * number, form)
        with server.http() as http:
            answer = http.put(f"{KEYS}/contested", content=data, headers={"Content-Type": kind})
        return answer.status_code

    with ThreadPoolExecutor(8) as threads:
        counts = Counter(threads.map(put, range(16)))
    assert set(counts) <= {200, 201}
    uploads = server.store.parent / "uploads"
    [file] = [path for path in uploads.iterdir() if "contested" in path.name]
    found = http.get(f"{KEYS}/contested").json()
    assert found["path"] == str(file)


def test_puts_and_removals_of_one_key_leave_files_and_store_alike(
    server: Server, http: httpx.Client
) -> None:
    def act(number: int) -> tuple[str, int]:
        with server.http() as http:
            if random.Random(number).random() < 0.4:
                return "DELETE", http.delete(f"{KEYS}/fought").status_code
            form, kind = FORMS[number % 2]
            data = picture("blue", 5 * number, form)
            answer = http.put(f"{KEYS}/fought", content=data, headers={"Content-Type": kind})
            if answer.status_code == 422:
                assert "removed before it was indexed" in answer.json()["detail"]
            return "PUT", answer.status_code

    with ThreadPoolExecutor(8) as threads:
        outcomes = set(threads.map(act, range(32)))
    assert outcomes <= {("DELETE", 200), ("DELETE", 404)} | {("PUT", s) for s in (200, 201, 422)}
    uploads = server.store.parent / "uploads"
    files = [str(path) for path in uploads.iterdir() if "fought" in path.name]
    listed = [
        row["path"] for row in http.get("/v1/images", params={"name": "fought*"}).json()["images"]
    ]
    assert files == listed
    assert http.get(f"{KEYS}/fought").status_code == (200 if files else 404)


def test_what_waits_for_another_process_outlives_the_server(store: Path) -> None:
    uploads = store.parent / "put"
    options = ("--uploads", str(uploads), "--timeout", "0.5")
    with Store.open(store).writing():
        with serving(store, *options) as server, server.http() as http:
            assert http.put(f"{KEYS}/late", content=picture("red")).status_code == 202
            assert http.get(f"{KEYS}/late").status_code == 404
            started = time.monotonic()
        assert time.monotonic() - started < 5  # it waits for nobody when it ends
    with serving(store, *options) as server, server.http() as http:
        assert _comes(http, "late")
    assert [path.name for path in uploads.iterdir()] == ["late.jpg"]


def test_an_image_that_was_taken_out_stays_out(store: Path) -> None:
    options = ("--uploads", str(store.parent / "put"))
    with serving(store, *options) as server, server.http() as http:
        image_id = http.put(f"{KEYS}/out", content=picture("red")).json()["image_id"]
        assert http.delete(f"/v1/images/{image_id}").json() == {"removed": 1}
    with serving(store, *options) as server, server.http() as http:
        assert http.put(f"{KEYS}/next", content=picture("blue")).status_code == 201
        assert http.get(f"{KEYS}/out").status_code == 404


def test_a_delete_says_when_to_ask_again(store: Path) -> None:
    with (
        serving(store) as server,
        server.http() as http,
        Store.open(store).writing(),
    ):
        answer = http.delete("/v1/images/1")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_a_picture_of_one_colour_is_told_why_it_is_not_found(http: httpx.Client) -> None:
    blank = b"P6 40 40 255\n" + b"\xff" * 4800
    answer = http.put(f"{KEYS}/blank", content=blank)
    assert answer.status_code == 422
    assert "blank: shows nothing but one even colour" in answer.json()["detail"]
    assert http.delete(f"{KEYS}/blank").status_code == 200


def test_a_folder_that_cannot_be_written_is_no_fault_of_the_client(store: Path) -> None:
    uploads = store.parent / "put"
    with serving(store, "--uploads", str(uploads)) as server, server.http() as http:
        uploads.rmdir()
        uploads.write_text("in the way", "utf-8")
        answer = http.put(f"{KEYS}/a", content=picture("red"))
        assert (answer.status_code, answer.json()["error"]) == (503, "NotKeptError")
        uploads.unlink()
        assert http.put(f"{KEYS}/a", content=picture("red")).status_code == 201


def _comes(http: httpx.Client, key: str) -> bool:
    for _ in range(100):
        if http.get(f"{KEYS}/{key}").status_code == 200:
            return True
        time.sleep(0.1)
    return False


def test_those_who_wait_to_write_do_not_keep_others_waiting(store: Path) -> None:
    lines = ("DELETE /v1/images/1 HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {TOKEN}")
    request = "\r\n".join((*lines, "", "")).encode()
    with serving(store) as server, Store.open(store).writing(), ExitStack() as stack:
        for _ in range(60):
            address = ("127.0.0.1", server.port)
            stack.enter_context(socket.create_connection(address)).sendall(request)
        time.sleep(1)
        started = time.monotonic()
        with server.http() as http:
            assert http.get("/v1/store").status_code == 200
        assert time.monotonic() - started < 4
