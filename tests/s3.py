"""A server of S3 of the tests' own, and one in front of it that fails as it is told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

MISSING = "no moto or no s3fs is installed: pip install -e '.[dev]'"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "open sesame",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def environment(port: int) -> dict[str, str]:
    """What says that S3 is at a port of this machine."""
    endpoint = f"http://127.0.0.1:{port}"
    return ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint, "NO_PROXY": "127.0.0.1,localhost"}


def is_installed() -> bool:
    return all(find_spec(name) is not None for name in ("moto", "flask", "flask_cors", "s3fs"))


@dataclass
class Bucket:
    """A bucket of a server at a port, which plain requests fill."""

    port: int
    name: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def put(self, key: str, data: bytes) -> None:
        self.ask("PUT", f"/{quote(key)}", data)

    def delete(self, key: str) -> None:
        self.ask("DELETE", f"/{quote(key)}")

    def put_folder(self, folder: Path, prefix: str) -> None:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.put(f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def ask(self, method: str, path: str = "", body: bytes = b"") -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, f"/{self.name}{path}", body, {"Authorization": SIGNED})
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status < 300, said
        finally:
            connection.close()


# moto takes any signature, and tells the service by it.
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


@dataclass(frozen=True)
class Server:
    """A server at a port of this machine."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        """The processor time that it has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


MOTO = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}")


@contextmanager
def running_server(command: Sequence[str] = MOTO) -> Iterator[Server]:
    """Run a server, whose command has `{port}` in it; it is gone in the end."""
    port = _free_port()
    process = subprocess.Popen(
        [part.format(port=port) for part in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | ENVIRONMENT,
    )
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            assert process.poll() is None, "the server of S3 does not start"
            assert time.monotonic() < deadline, "the server of S3 does not start"
            time.sleep(0.05)
        yield Server(port, process.pid)
    finally:
        process.kill()
        process.wait()


@dataclass
class Unreliable:
    """What a server in front of another is to do: `fault` is asked at every request for it.

    It returns what to do instead of asking the other: send a status, cut the answer off (-1), or
    hang up (0); None is to answer as the other does. `asked` are the requests until now.
    """

    port: int
    fault: Callable[[str, str], int | None] = lambda _method, _path: None
    asked: list[tuple[str, str, str]] = field(default_factory=list)


@contextmanager
def unreliable(behind: int) -> Iterator[Unreliable]:
    """Pass requests on to the server at a port, with faults."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            front.asked.append((self.command, unquote(self.path), self.headers.get("Range", "")))
            wanted = front.fault(self.command, unquote(self.path))
            if wanted == 0:
                self.close_connection = True
                return
            if wanted is not None and wanted > 0:
                self._send(wanted, {}, ERROR % CODES.get(wanted, b"InternalError"))
                return
            connection = HTTPConnection("127.0.0.1", behind, timeout=30)
            connection.request(self.command, self.path, headers=dict(self.headers))
            answer = connection.getresponse()
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in DROPPED}
            self._send(answer.status, headers, answer.read(), answer, is_cut=wanted == -1)
            connection.close()

        def do_HEAD(self) -> None:
            self.do_GET()

        def _send(
            self,
            status: int,
            headers: dict[str, str],
            body: bytes,
            answer: Any = None,
            *,
            is_cut: bool = False,
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            length = len(body)
            if self.command == "HEAD" and answer is not None:
                length = int(answer.getheader("Content-Length", 0))
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":  # else it would stand before the next answer
                self.wfile.write(body[: len(body) // 2] if is_cut else body)
            self.close_connection = self.close_connection or is_cut

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Those who ask may hang up."""

    server = Server(("127.0.0.1", 0), Handler)
    front = Unreliable(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield front
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


ERROR = b"<Error><Code>%s</Code><Message>as it was told</Message></Error>"
CODES = {403: b"AccessDenied", 503: b"SlowDown"}
DROPPED = ("content-length", "connection", "transfer-encoding", "server", "date")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
