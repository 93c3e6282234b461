"""Limits of the API: bodies, pixels, time, and how many searches at a time."""

from __future__ import annotations

import io
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image

from tests.pictures import PHOTOS
from tests.ui.api.conftest import TOKEN, Server, serving


@pytest.fixture(scope="module")
def tight(server: Server) -> object:
    """A server with small limits."""
    options = ("--max-body-mb", "1", "--searches", "1", "--queue", "2", "--timeout", "30")
    with serving(server.store, *options) as found:
        yield found


def test_a_large_body_is_refused_before_it_is_read(tight: Server) -> None:
    with socket.create_connection(("127.0.0.1", tight.port), timeout=60) as connection:
        connection.sendall(_head(tight, "/v1/search", 1_000_000_000))
        assert b" 413 " in connection.recv(1000)


def test_a_body_that_says_nothing_of_its_size_is_refused_too(tight: Server) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(3000):
            yield b" " * 1000

    with tight.http() as http:
        answer = http.post("/v1/search", content=endless())
        assert answer.status_code == 413
        assert "1 MB" in answer.json()["detail"]


def _head(server: Server, path: str, length: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def test_a_slow_body_is_given_up(server: Server) -> None:
    with (
        serving(server.store, "--body-timeout", "1") as other,
        socket.create_connection(("127.0.0.1", other.port), timeout=60) as connection,
    ):
        connection.sendall(_head(other, "/v1/search", 100) + b"{")
        assert b" 408 " in connection.recv(1000)


def test_a_head_that_does_not_arrive_is_given_up(server: Server) -> None:
    """The first one on a connection, and one after a request that was answered."""
    with serving(server.store, "--body-timeout", "1") as other:
        health = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{other.port}\r\n".encode()
        token = f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
        for sent in (b"", health, health + token + health):
            with socket.create_connection(("127.0.0.1", other.port), timeout=20) as connection:
                connection.sendall(sent)
                received = b"".join(iter(lambda: connection.recv(4096), b""))
                assert received.count(b" 200 ") == (1 if token in sent else 0)


def test_a_decompression_bomb_is_refused(server: Server) -> None:
    out = io.BytesIO()
    Image.new("1", (40_000, 40_000)).save(out, "PNG")
    assert len(out.getvalue()) < 1_000_000
    with server.http() as http:
        answer = http.post("/v1/search/upload", files={"image": ("bomb.png", out.getvalue())})
        assert answer.status_code == 413
        assert "pixels" in answer.json()["detail"]
        put = http.put("/v1/images/by-key/bomb", content=out.getvalue())
        assert put.status_code == 413


def test_over_the_limit_searches_are_refused_at_once(tight: Server) -> None:
    """Of many at once, one works, two wait, the others are told when to ask again."""
    data = (tight.photos / f"{PHOTOS[0]}.jpg").read_bytes()
    refused_s: list[float] = []

    def ask(_number: int) -> int:
        started = time.monotonic()
        with tight.http() as http:
            answer = http.post(
                "/v1/search/upload",
                files={"image": ("a.jpg", data)},
                data={"query": '{"search": "region", "rerank": true, "candidates": 5}'},
            )
        if answer.status_code == 429:
            refused_s.append(time.monotonic() - started)
            assert int(answer.headers["retry-after"]) >= 1
            assert "ask again in" in answer.json()["detail"]
        return answer.status_code

    with ThreadPoolExecutor(12) as threads:
        counts = Counter(threads.map(ask, range(24)))
    assert set(counts) == {200, 429}
    assert counts[200] >= 3
    with tight.http() as http:  # all places are free again
        assert http.post("/v1/search", json={"image_id": 1}).status_code == 200
        assert "cbir_searches 0.0" in http.get("/metrics").text


def test_a_search_that_takes_too_long_ends(server: Server) -> None:
    with serving(server.store, "--timeout", "0.1", "--searches", "1") as other:
        data = (other.photos / f"{PHOTOS[0]}.jpg").read_bytes()

        def ask(_number: int) -> httpx.Response:
            with other.http() as http:
                query = '{"search": "region", "rerank": true, "candidates": 20}'
                files = {"image": ("a.jpg", data)}
                return http.post("/v1/search/upload", files=files, data={"query": query})

        with ThreadPoolExecutor(8) as threads:
            late = [a for a in threads.map(ask, range(8)) if a.status_code == 503]
        assert late
        assert "took longer than 0.1 s" in late[0].json()["detail"]
        assert "retry-after" in late[0].headers
