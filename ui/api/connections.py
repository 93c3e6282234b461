"""Connections: HTTP by uvicorn, which ends those whose requests do not arrive in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

STOP_S = 10  # in which requests that are being answered may end


def run(
    application: ASGIApp,
    host: str,
    port: int,
    *,
    header_s: float,
    tls: tuple[Path | None, Path | None],
    proxies: Sequence[str] = (),
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    The head of a request may take `header_s` seconds to arrive. `tls` are a certificate and its
    key, and `proxies` the addresses whose word counts for who a client is. Small answers are sent
    at once (TCP_NODELAY), as asyncio does on sockets that uvicorn opens by itself.
    """

    class PromptProtocol(H11Protocol):
        """Closes a connection whose next request is late."""

        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._late is not None:
                self._late.cancel()

        def _watch(self) -> None:
            """Start the clock where a head is awaited, and stop it where it has arrived."""
            if self.conn.their_state is not h11.IDLE:
                if self._late is not None:
                    self._late.cancel()
                self._late = None
            elif self._late is None:
                self._late = self.loop.call_later(header_s, self.transport.close)

    certificate, key = tls
    uvicorn.run(
        application,
        host=host,
        port=port,
        http=PromptProtocol,
        workers=1,  # whatever WEB_CONCURRENCY says: one process has the store
        log_config=None,
        access_log=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        ssl_certfile=certificate,
        ssl_keyfile=key,
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )
