"""`cbir ui`."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import threading
import time
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from indexer.errors import CbirError
from ui.cli.shell import StoreOption, app, open_store, say

HOST = "localhost"
ALLOWED_HOSTS = (HOST, "127.0.0.1", "::1")  # a name of another site must not reach the pages
PORT = 8501
UPLOAD_MB = 40
PAGES = ("search", "compare", "teach", "layers", "lab", "collection")
# Streamlit's options: no telemetry, no questions at the terminal, no watching of files.
OPTIONS = {
    "server.address": HOST,
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": str(UPLOAD_MB),
    "server.enableStaticServing": "false",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "logger.hideWelcomeMessage": "true",
    "theme.light.primaryColor": "#0f766e",
    "theme.dark.primaryColor": "#2dd4bf",
}


@app.command()
def ui(
    store: StoreOption = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="The port on this machine to serve at.")
    ] = PORT,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Search in the browser: draw boxes, give feedback; reachable from this machine only.

    Stop it with Ctrl-C.
    """
    from ui.process import configure_images

    configure_images()
    opened = open_store(store)
    os.environ["CBIR_STORE"] = str(opened.path.resolve())
    url = f"http://{HOST}:{port}"
    _require_free(port)
    say(f"Serving {opened.path} at {url} (stop with Ctrl-C).", err=True)
    opened.close()
    threading.Thread(target=_open_browser_when_up, args=(url, port, browser), daemon=True).start()
    from streamlit.web import cli

    _load_pages()
    arguments = [str(Path(__file__).parents[1] / "app.py"), f"--server.port={port}"]
    arguments += [f"--{name}={value}" for name, value in OPTIONS.items()]
    arguments += [f"--server.allowedHosts={host}" for host in ALLOWED_HOSTS]
    cli.main_run.main(arguments, prog_name="cbir ui", standalone_mode=False)


def _load_pages() -> None:
    """Import the pages now, so that the first visitor does not wait for it."""
    logger = logging.getLogger("streamlit.runtime.caching.cache_data_api")
    before, logger.level = logger.level, logging.ERROR  # it warns that there is no server yet
    for name in PAGES:
        importlib.import_module(f"ui.browser.{name}_page")
    logger.setLevel(before)


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CbirError(
                f"Port {port} is in use, perhaps by another cbir ui; choose one with --port."
            ) from error


def _open_browser_when_up(url: str, port: int, browser: bool) -> None:
    """Open the browser as soon as the server answers."""
    while True:
        time.sleep(0.1)
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                break
    if browser:
        webbrowser.open(url)
