"""The connections of a server, as a program of their own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from websockets.sync.client import connect

# Says of its own connection whether small answers are sent at once.
PROGRAM = """
import socket, sys
from ui.api.connections import run

async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
    if scope["type"] != "http":
        return
    own = receive.__self__.transport.get_extra_info("socket")
    at_once = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"yes" if at_once else b"no"})

run(application, "127.0.0.1", int(sys.argv[1]), header_s=float(sys.argv[2]), tls=(None, None))
"""


@contextmanager
def running(header_s: float) -> Iterator[tuple[int, str]]:
    """Run the program; yields its port and what it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(port), str(header_s)])
    try:
        yield port, answer(process, port)
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_small_answers_are_sent_at_once() -> None:
    with running(header_s=60) as (_, answered):
        assert answered == "yes"


def test_a_websocket_stays_open_though_no_request_follows() -> None:
    header_s = 0.5
    with running(header_s) as (port, _), connect(f"ws://127.0.0.1:{port}/") as page:
        page.send("before")
        assert page.recv(timeout=30) == "before"
        time.sleep(3 * header_s)
        page.send("after")
        assert page.recv(timeout=30) == "after"


def test_a_connection_without_a_request_is_closed() -> None:
    with running(header_s=0.5) as (port, _):
        silent = socket.create_connection(("127.0.0.1", port), timeout=30)
        with silent:
            assert silent.recv(1) == b""


def answer(process: subprocess.Popen[bytes], port: int) -> str:
    for _ in range(600):
        assert process.poll() is None
        try:
            return httpx.get(f"http://127.0.0.1:{port}/").text
        except httpx.ConnectError:
            time.sleep(0.1)
    raise TimeoutError("the server does not answer")
