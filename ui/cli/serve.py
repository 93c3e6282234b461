"""`cbir serve`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ui.cli.serving import (
    LOOPBACK,
    PORT,
    AllowHostOption,
    AtWorkOption,
    BodyOption,
    BodyTimeOption,
    CertOption,
    CorsOption,
    HostOption,
    KeyOption,
    Place,
    PortOption,
    ProxyOption,
    SearchTimeOption,
    TokenOption,
    UploadsOption,
    WaitingOption,
    make_service,
    open_place,
)
from ui.cli.shell import StoreOption, app, say


@app.command()
def serve(
    store: StoreOption = None,
    host: HostOption = LOOPBACK,
    port: PortOption = PORT,
    token: TokenOption = None,
    allow_host: AllowHostOption = None,
    cors: CorsOption = None,
    tls_cert: CertOption = None,
    tls_key: KeyOption = None,
    proxy: ProxyOption = None,
    uploads: UploadsOption = None,
    max_body_mb: BodyOption = 40.0,
    body_timeout: BodyTimeOption = 60.0,
    timeout: SearchTimeOption = 60.0,
    searches: AtWorkOption = None,
    queue: WaitingOption = 32,
) -> None:
    """Answer other programs over HTTP: the API is described at /v1/openapi.json.

    It logs JSON lines on stderr. /healthz says whether it answers, /metrics is for Prometheus. Stop
    it with Ctrl-C.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException

    from ui.api.application import routes
    from ui.api.connections import run
    from ui.api.limits import Limits
    from ui.api.problems import answer_error
    from ui.api.watching import log_to_stderr
    from ui.process import configure_images

    configure_images()
    place = Place(
        host,
        port,
        token,
        tuple(allow_host or ()),
        tuple(cors or ()),
        tls_cert,
        tls_key,
        tuple(proxy or ()),
    )
    place.check()
    path = open_place(store, uploads)
    limits = Limits(
        body_bytes=round(max_body_mb * 1e6),
        body_s=body_timeout,
        search_s=timeout,
        at_work=searches or os.cpu_count() or 1,
        waiting=queue,
    )
    service = make_service(path, limits, uploads)
    _ = service.opened.engine.collection.extractor.inference  # so that no client waits for it

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        service.close()

    application = Starlette(
        routes=routes(service),
        middleware=place.guards(),
        exception_handlers={HTTPException: answer_error},
        lifespan=lifespan,
    )
    say(f"Serving {path} at {place.url}v1 (stop with Ctrl-C).", err=True)
    log_to_stderr()
    run(
        application,
        host,
        port,
        header_s=body_timeout,
        tls=(tls_cert, tls_key),
        proxies=tuple(proxy or ()),
    )
