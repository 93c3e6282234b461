"""`cbir ui`."""

from __future__ import annotations

import html
import importlib
import logging
import os
import secrets
import socket
import sys
import tempfile
import threading
import time
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from indexer.errors import CbirError
from ui.cli.shell import StoreOption, app, open_store, say

HOST = "127.0.0.1"  # by number: a name may lead to another address, where anybody can listen
PORT = 8501
UPLOAD_MB = 40
TOKEN_BYTES = 24
READ_WITHIN_S = 60.0  # a browser that has to start first needs some seconds to read its file
PAGES = ("search", "compare", "teach", "layers", "lab", "collection")
# Streamlit's options: no telemetry, no questions at the terminal, no watching of files.
OPTIONS = {
    "server.address": HOST,
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.maxUploadSize": UPLOAD_MB,
    "server.enableStaticServing": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "logger.hideWelcomeMessage": True,
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
    token: Annotated[
        bool,
        typer.Option(
            help="Let in only who has the address that is printed. Without, every user of this "
            "machine can see the photos and change the store."
        ),
    ] = True,
) -> None:
    """Search in the browser: draw boxes, give feedback; reachable from this machine only.

    Stop it with Ctrl-C.
    """
    from ui.process import configure_images

    configure_images()
    opened = open_store(store)
    os.environ["CBIR_STORE"] = str(opened.path.resolve())
    key = secrets.token_urlsafe(TOKEN_BYTES) if token else None
    url = f"http://{HOST}:{port}/" + (f"?token={key}" if key else "")
    _require_free(port)
    say(f"Serving {opened.path} at {url} (stop with Ctrl-C).", err=True)
    opened.close()
    if browser:
        threading.Thread(target=_open_browser_when_up, args=(url, port), daemon=True).start()
    _serve(key, port)


def _serve(token: str | None, port: int) -> None:
    """Serve the pages until Ctrl-C."""
    from streamlit.starlette import App

    from ui.browser.access import guards

    _load_pages()
    script = Path(__file__).parents[1] / "app.py"
    # Streamlit takes the first argument for its script, whose folder it searches for modules.
    sys.argv = [str(script)]
    # It says what a failing script says, and that it listens, which this command has said.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.levelno >= logging.WARNING)
    try:
        App(script, middleware=guards(token, port)).run(config=OPTIONS | {"server.port": port})
    except KeyboardInterrupt:
        return


def _load_pages() -> None:
    """Import the pages now, so that the first visitor does not wait for it."""
    from ui import browser as pages

    logger = logging.getLogger("streamlit.runtime.caching.cache_data_api")
    before, logger.level = logger.level, logging.ERROR  # it warns that there is no server yet
    for name in PAGES:
        importlib.import_module(f"{pages.__name__}.{name}_page")
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


def _open_browser_when_up(url: str, port: int) -> None:
    """Open the browser as soon as the server answers.

    It is given a file that leads to `url`: all users of a machine can read the arguments of
    programs, and the token is not for them.
    """
    while True:
        time.sleep(0.1)
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                break
    with tempfile.TemporaryDirectory(prefix="cbir-") as folder:  # for this user only
        page = Path(folder) / "open.html"
        page.write_text(
            f'<!doctype html><meta http-equiv="refresh" content="0; url={html.escape(url)}">',
            "utf-8",
        )
        webbrowser.open(page.as_uri())
        time.sleep(READ_WITHIN_S)
