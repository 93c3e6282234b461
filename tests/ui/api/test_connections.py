"""The connections of a server, as a program of their own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import httpx

# Says of its own connection whether small answers are sent at once.
PROGRAM = """
import socket, sys
from ui.api.connections import run

async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    own = receive.__self__.transport.get_extra_info("socket")
    at_once = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"yes" if at_once else b"no"})

run(application, "127.0.0.1", int(sys.argv[1]), header_s=60, tls=(None, None))
"""


def test_small_answers_are_sent_at_once() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(port)])
    try:
        assert answer(process, port) == "yes"
    finally:
        process.terminate()
        process.wait(timeout=30)


def answer(process: subprocess.Popen[bytes], port: int) -> str:
    for _ in range(600):
        assert process.poll() is None
        try:
            return httpx.get(f"http://127.0.0.1:{port}/").text
        except httpx.ConnectError:
            time.sleep(0.1)
    raise TimeoutError("the server does not answer")
