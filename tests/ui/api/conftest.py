"""A server process on a store of its own, and clients that talk to it over a socket."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

from tests.pictures import PHOTOS, photo
from ui.client import Client

TOKEN = "a secret of the tests 4711"


@dataclass(frozen=True)
class Server:
    """A running `cbir serve`: where it is, its photos, its store, and what it has logged."""

    url: str
    port: int
    photos: Path
    store: Path
    log: list[str]
    pid: int

    def http(self, token: str | None = TOKEN) -> httpx.Client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=120)

    def client(self) -> Client:
        return Client(self.url, TOKEN)


@contextmanager
def serving(store: Path, *options: str, token: str | None = TOKEN) -> Iterator[Server]:
    """Run `cbir serve` on a store as a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "ui.cli", "serve", "--store", str(store)]
    environment = {k: v for k, v in os.environ.items() if k != "CBIR_TOKEN"}
    if token is not None:
        environment["CBIR_TOKEN"] = token
    process = subprocess.Popen(
        [*command, "--port", str(port), *options],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment,
    )
    assert process.stderr is not None
    log: list[str] = []
    stderr = process.stderr
    reading = threading.Thread(target=lambda: log.extend(stderr), daemon=True)
    try:
        first = stderr.readline()
        assert re.search(r"Serving .* at https?://", first), first + process.communicate()[1]
        reading.start()
        _wait_for(process, port, log)
        scheme = "https" if "https://" in first else "http"
        yield Server(
            f"{scheme}://127.0.0.1:{port}", port, store.parent / "photos", store, log, process.pid
        )
    finally:
        process.terminate()
        process.wait(timeout=60)
        reading.join(timeout=60)
        stderr.close()


def _wait_for(process: subprocess.Popen[str], port: int, log: list[str]) -> None:
    for _ in range(1200):
        assert process.poll() is None, log
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("cbir serve does not answer")


def make_store(folder: Path, cbir: Callable[..., Result]) -> Path:
    """Index some photos in `folder`/photos; returns the store beside them."""
    (folder / "photos").mkdir()
    for name in PHOTOS:
        photo(name).resize((320, 240)).save(folder / "photos" / f"{name}.jpg")
    assert cbir("index", folder / "photos", "--store", folder / ".cbir").exit_code == 0
    return folder / ".cbir"


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, cbir: Callable[..., Result], _own_folders: None
) -> Iterator[Server]:
    """A server that tests may add images to, under keys of their own."""
    store = make_store(tmp_path_factory.mktemp("api"), cbir)
    with serving(store, "--uploads", str(store.parent / "uploads")) as server:
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with server.http() as client:
        yield client
