"""The pages answer to this machine's own names: another site cannot rebind its name to them."""

from __future__ import annotations

import socket

import pytest

from tests.ui.browser.conftest import Served


def ask_for_pages(port: int, host: str) -> str:
    """Return the status line of the server's answer to a WebSocket handshake."""
    request = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Origin: http://{host}\r\n\r\n"
    )
    with socket.create_connection(("localhost", port), timeout=30) as connection:
        connection.sendall(request.encode())
        return connection.recv(4096).decode("latin-1").splitlines()[0]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_own_names_are_answered(served: Served, host: str) -> None:
    assert " 101 " in ask_for_pages(served.port, f"{host}:{served.port}")


@pytest.mark.parametrize("host", ["photos.example.com", "localhost.example.com", "192.168.1.7"])
def test_other_names_are_refused(served: Served, host: str) -> None:
    assert " 403 " in ask_for_pages(served.port, f"{host}:{served.port}")
