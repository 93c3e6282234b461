"""The pages, served on a copy of the sample pictures, and a real browser that looks at them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright
from typer.testing import Result

from tests.sample import SAMPLE

CBIR = (sys.executable, "-m", "ui.cli")
KEPT_OUT = "scene-cat-and-cup.jpg"  # the query: the store does not have it
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 120_000  # a busy machine takes its time to convert a network


@dataclass(frozen=True)
class Served:
    """A running `cbir ui`: its address, its photos and its store."""

    url: str
    photos: Path
    store: Path
    port: int
    token: str

    @property
    def cookie(self) -> str:
        """What a browser sends that was let in."""
        return f"cbir-{self.port}={self.token}"

    def id_of(self, name: str) -> int:
        from indexer.store.store import Store

        info = Store.open(self.store).find_image(self.photos / name)
        assert info is not None
        return info.id


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        missing = f"none of {', '.join(BROWSERS)} is installed: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served(
    tmp_path_factory: pytest.TempPathFactory, cbir: Callable[..., Result], _own_folders: None
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    photos, store = folder / "photos", folder / ".cbir"
    shutil.copytree(SAMPLE / "images", photos / "sample")
    (photos / "sample" / KEPT_OUT).unlink()
    (photos / "notes [1] <b>.jpg").write_text("milk, bread", "utf-8")
    assert cbir("index", photos, "--store", store).exit_code == 0
    with serving(store) as entry:
        address = urlsplit(entry)
        [(_, token)] = parse_qsl(address.query)
        yield Served(f"http://{address.netloc}", photos, store, address.port or 0, token)


@contextmanager
def serving(
    store: Path, *options: str, command: Sequence[str] = CBIR, port: int | None = None
) -> Iterator[str]:
    """Run `cbir ui` on a store as a process of its own; yields the address that it prints."""
    port = port or free_port()
    arguments = ["--store", str(store), "--port", str(port), "--no-browser", *options]
    process = subprocess.Popen(
        [*command, "ui", *arguments], stderr=subprocess.PIPE, encoding="utf-8"
    )
    try:
        assert process.stderr is not None
        printed = re.search(r"http://\S+", process.stderr.readline())
        assert printed is not None, process.communicate()[1]
        wait_for(process, port)
        yield printed[0]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(process: subprocess.Popen[str], port: int) -> None:
    for _ in range(600):
        assert process.poll() is None, process.communicate()[1]
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("cbir ui does not answer")


@pytest.fixture(scope="session")
def tab(chromium: Browser) -> Page:
    """The tab of all tests: Chromium compiles the scripts of the pages once for each tab."""
    expect.set_options(timeout=PATIENCE_MS)
    context = chromium.new_context(reduced_motion="reduce")
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    return tab


@pytest.fixture
def page(tab: Page, served: Served) -> Iterator[Page]:
    """The tab, empty and with nothing stored, which may talk to nobody but the server."""
    tab.goto(f"{served.url}/_stcore/health")
    tab.evaluate("localStorage.clear(); sessionStorage.clear()")
    tab.context.clear_cookies()
    name, _, token = served.cookie.partition("=")
    tab.context.add_cookies([{"name": name, "value": token, "url": served.url}])
    tab.goto("about:blank")
    tab.set_viewport_size({"width": 1400, "height": 1000})
    tab.emulate_media(color_scheme="light")
    tab.mouse.move(0, 0)
    strangers: list[str] = []

    def note(request: Request) -> None:
        strangers.append(request.url)

    refused: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        text = message.text
        if "Content Security Policy" in text and not text.startswith("Executing inline script"):
            refused.append(text)

    tab.context.on("request", note)
    tab.on("console", listen)
    yield tab
    tab.goto("about:blank")
    tab.context.remove_listener("request", note)
    tab.remove_listener("console", listen)
    assert refused == []
    own = (served.url, served.url.replace("http", "ws", 1), "data:", "blob:", "about:")
    assert [url for url in strangers if not url.startswith(own)] == []
