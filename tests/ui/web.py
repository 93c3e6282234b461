"""A web server on this machine, and names that stand for public addresses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]
PUBLIC = "93.184.215.14"


@dataclass
class Web:
    """What a server answers, by path, and what it was asked; `heads` are those for HEAD."""

    port: int
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, Message]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@contextmanager
def serving(tls: SSLContext | None = None) -> Iterator[Web]:
    """Serve on a port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append((self.path, self.headers))
            web.answers.get(self.path, sends(b"", status=404))(self)

        def do_HEAD(self) -> None:
            web.heads.append(self.path)
            web.answers.get(self.path, sends(b"", status=404))(self)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Those who ask may hang up."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    web = Web(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sends(
    body: bytes, *, status: int = 200, announced: int | None = None, kind: str | None = None
) -> Answer:
    """Answer with a body of a kind, announced by its length or by another one."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body) if announced is None else announced))
        if kind is not None:
            handler.send_header("Content-Type", kind)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return answer


def sends_raw(*parts: bytes, pause: Callable[[], object] = lambda: None) -> Answer:
    """Answer with these bytes and nothing else, with a pause after each part."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        for part in parts:
            handler.wfile.write(part)
            handler.wfile.flush()
            pause()

    return answer


def redirects(location: str, status: int = 302) -> Answer:
    """Answer that it is somewhere else."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def addresses(*found: str) -> list[tuple[Any, ...]]:
    """Return addresses as `socket.getaddrinfo` does."""
    return [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 80, 0, 0))
        if ":" in address
        else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))
        for address in found
    ]
