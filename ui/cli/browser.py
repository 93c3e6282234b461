"""`cbir ui`."""

from __future__ import annotations

import contextlib
import gc
import html
import importlib
import logging
import os
import secrets
import socket
import tempfile
import threading
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer.store.places import is_store
from ui.cli.serving import (
    LOOPBACK,
    PORT,
    AllowHostOption,
    CertOption,
    CorsOption,
    HostOption,
    KeyOption,
    Place,
    PortOption,
    TokenOption,
    UploadsOption,
    choose_place,
    make_service,
)
from ui.cli.shell import StoreOption, app, say

if TYPE_CHECKING:  # the options are shown without loading the server
    from ui.api.service import Service

ANY = "0.0.0.0"  # all addresses of this machine, loopback among them
UPLOAD_MB = 40
TOKEN_BYTES = 24
JOBS_END_S = 10.0  # in which jobs may keep what they have done
READ_WITHIN_S = 60.0  # a browser that has to start first needs some seconds to read its file
PAGES = ("search", "modes", "teach", "lab", "duplicates", "collection", "first")
# Streamlit's options: no telemetry, no questions at the terminal, no watching of files.
OPTIONS: dict[str, Any] = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.maxUploadSize": UPLOAD_MB,
    "server.enableStaticServing": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "logger.hideWelcomeMessage": True,
    "theme.light.primaryColor": "#0f766e",
    "theme.dark.primaryColor": "#0e8074",
}


@app.command()
def ui(
    store: StoreOption = None,
    host: HostOption = LOOPBACK,
    port: PortOption = PORT,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    token: TokenOption = None,
    no_token: Annotated[
        bool,
        typer.Option(
            "--no-token",
            help="Let in every user of this machine: they can see the photos and change the store. "
            "By default only who has the address that is printed gets in.",
        ),
    ] = False,
    allow_host: AllowHostOption = None,
    cors: CorsOption = None,
    tls_cert: CertOption = None,
    tls_key: KeyOption = None,
    uploads: UploadsOption = None,
) -> None:
    """Search in the browser: draw boxes, give feedback; from this machine, unless --host shares it.

    Where there is no store yet, the page makes one. The API of cbir serve is there, too, below /v1.
    Stop it with Ctrl-C.
    """
    from ui.api.limits import Limits
    from ui.process import configure_images
    from ui.running_jobs import JOBS

    if token and no_token:
        raise typer.BadParameter("choose one of --token and --no-token")
    configure_images()
    path = choose_place(store, uploads)
    os.environ["CBIR_STORE"] = str(path)
    key = None if no_token else token or secrets.token_urlsafe(TOKEN_BYTES)
    place = Place(host, port, key, tuple(allow_host or ()), tuple(cors or ()), tls_cert, tls_key)
    place.check()
    url = place.url + (f"?token={key}" if key else "")
    if is_store(path):
        say(f"Serving {path} at {url} (stop with Ctrl-C).", err=True)
    else:
        say(f"There is no store at {path} yet: make one at {url} (stop with Ctrl-C).", err=True)
    service = make_service(path, Limits(), uploads)
    if browser:
        threading.Thread(target=_open_browser_when_up, args=(url, place), daemon=True).start()
    try:
        _serve(place, service)
    finally:
        JOBS.close(JOBS_END_S)
        service.close()


def _serve(place: Place, service: Service) -> None:
    """Serve the pages and the API until Ctrl-C."""
    from streamlit import config
    from streamlit.starlette import App

    from ui.api.application import routes
    from ui.api.connections import run
    from ui.page_routes.mounting import page_routes

    _load_pages()
    options = dict(OPTIONS)
    if place.tls_cert:  # its cookies are for encrypted connections only, then
        options["server.sslCertFile"] = str(place.tls_cert)
    for name, value in options.items():
        config.set_option(name, value)
    # It says what a failing script says, and that it listens, which this command has said.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.levelno >= logging.WARNING)
    script = Path(__file__).parents[1] / "app.py"
    threading.Thread(target=_warm, args=(service.path,), daemon=True).start()
    own = page_routes(service, is_local=place.is_local and not place.hosts)
    run(
        App(script, middleware=place.guards(), routes=[*routes(service), own]),
        place.host,
        place.port,
        header_s=service.limits.body_s,
        tls=(place.tls_cert, place.tls_key),
    )


def _warm(path: Path) -> None:
    """Load network and vectors, so that the first search does not wait for them."""
    from indexer.errors import CbirError
    from retrieval.query import Query
    from ui.shown import shown

    with contextlib.suppress(CbirError):  # whoever searches is told
        found = shown(path)
        _ = found.engine.collection.extractor.inference
        for image_id in found.all_ids()[:1].tolist():
            for kind in found.spec.kinds:
                if kind.feature == "conv":
                    found.engine.search(Query(image_id=image_id, search=kind.scope))


def _load_pages() -> None:
    """Import the pages now, so that the first visitor does not wait for it."""
    from ui import browser as pages

    logger = logging.getLogger("streamlit.runtime.caching.cache_data_api")
    before, logger.level = logger.level, logging.ERROR  # it warns that there is no server yet
    for name in PAGES:
        importlib.import_module(f"{pages.__name__}.{name}_page")
    logger.setLevel(before)
    # Streamlit collects garbage after each run of a page, which takes 0.14 s where it looks through
    # all modules, and holds up the page's last message; see benchmarks/browser.py.
    gc.collect()
    gc.freeze()


def _open_browser_when_up(url: str, place: Place) -> None:
    """Open the browser as soon as the server answers.

    It is given a file that leads to `url`: all users of a machine can read the arguments of
    programs, and the token is not for them.
    """
    while True:
        time.sleep(0.1)
        with contextlib.suppress(OSError):
            host = LOOPBACK if place.host == ANY else place.host
            socket.create_connection((host, place.port), timeout=READ_WITHIN_S).close()
            break
    with tempfile.TemporaryDirectory(prefix="cbir-") as folder:  # for this user only
        page = Path(folder) / "open.html"
        page.write_text(
            f'<!doctype html><meta http-equiv="refresh" content="0; url={html.escape(url)}">',
            "utf-8",
        )
        webbrowser.open(page.as_uri())
        time.sleep(READ_WITHIN_S)
