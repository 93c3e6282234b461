"""Access: who may see the pages and ask the API. Each request passes here first."""

from __future__ import annotations

import hmac
import html
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.api.application import HEALTH, METRICS, PREFIX
from ui.api.problems import refusal
from ui.page_routes import PREFIX as PAGE_PREFIX

OWN_NAMES = ["localhost", "127.0.0.1", "[::1]"]  # a name of another site must not reach the pages
TOKEN = "token"  # the parameter of the address
BEARER = "bearer "  # in any case, before the token in a header, see RFC 6750
NO_TOKEN = "Send the token of the server in the header Authorization: Bearer TOKEN."
FOREIGN = "Requests from other sites are refused."
FORGOTTEN = (
    "This page needs the address that cbir ui printed when it started, with the token in it: "
    "it keeps other users of this machine out."
)
# Streamlit's pages set styles in the markup, and a component's script is imported from a blob. The
# one script in their markup, for search engines, is blocked.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "worker-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-src 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def guards(
    token: str | None, port: int, *, hosts: Sequence[str] = (), origins: Sequence[str] = ()
) -> list[Middleware]:
    """Return what every request to a server at `port` passes: HTTP, uploads and the websocket.

    Requests under other names than this machine's own and `hosts` are refused, * is any; so are
    those from pages of other origins than the server's own and `origins`. With a `token`, so is
    whoever does not have it. No other site may frame the pages.
    """
    passed = [
        Middleware(_Headers),
        Middleware(TrustedHostMiddleware, allowed_hosts=[*OWN_NAMES, *hosts], www_redirect=False),
        # Browsers send a cookie to all ports of a host: each server has one of its own.
        Middleware(_Door, token=token, cookie=f"cbir-{port}", origins=tuple(origins)),
    ]
    if origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-None-Match"],
            expose_headers=["ETag", "Retry-After"],
        )
        passed.insert(2, cors)  # which answers before a browser sends the token
    return passed


class _Headers:
    """Adds the headers of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class _Door:
    """Lets in who has the token: in a header, or first in the address, from then on in a cookie."""

    def __init__(
        self, app: ASGIApp, token: str | None, cookie: str, origins: tuple[str, ...]
    ) -> None:
        self.app = app
        self.token = token
        self.cookie = cookie
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        if not self._is_of_allowed_origin(asked):
            await _refuse(scope, receive, send, 403, FOREIGN)
        elif self._may_pass(asked):
            await self.app(scope, receive, send)
        elif _is_for_programs(scope):
            await _refuse(scope, receive, send, 401, NO_TOKEN)
        elif scope["type"] == "http" and self._matches(asked.query_params.get(TOKEN)):
            await self._let_in(asked)(scope, receive, send)
        else:
            await _refuse(scope, receive, send, 403, FORGOTTEN)

    def _may_pass(self, asked: HTTPConnection) -> bool:
        if self.token is None or asked.scope["path"] == HEALTH:
            return True
        if self._matches(asked.cookies.get(self.cookie)):
            return True
        given = asked.headers.get("authorization", "")
        scheme, given_token = given[: len(BEARER)], given[len(BEARER) :]
        return scheme.lower() == BEARER and self._matches(given_token)

    def _is_of_allowed_origin(self, asked: HTTPConnection) -> bool:
        origin, host = asked.headers.get("origin"), asked.headers.get("host")
        return origin is None or origin in (f"http://{host}", f"https://{host}", *self.origins)

    def _matches(self, given: str | None) -> bool:
        wanted = (self.token or "").encode()
        return given is not None and hmac.compare_digest(given.encode(), wanted)

    def _let_in(self, asked: HTTPConnection) -> HTMLResponse:
        """Return a page that sets the cookie and goes on to the same address without the token.

        The page goes on by itself: a redirect would count as a step of the site that the address
        was opened from, and to such steps browsers add no strict cookie.
        """
        rest = [(k, v) for k, v in parse_qsl(asked.url.query) if k != TOKEN]
        path = "/" + quote(asked.scope["path"].lstrip("/"))
        target = html.escape(f"{path}?{urlencode(rest)}" if rest else path, quote=True)
        page = HTMLResponse(
            f'<!doctype html><meta http-equiv="refresh" content="0; url={target}">',
            headers={"Cache-Control": "no-store"},
        )
        page.set_cookie(self.cookie, self.token or "", httponly=True, samesite="strict")
        return page


def _is_for_programs(scope: Scope) -> bool:
    path: str = scope["path"]
    return bool(scope["type"] == "http") and (path == METRICS or path.startswith(f"{PREFIX}/"))


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    """Refuse a request; a server answers 403 to a handshake that is closed before it is accepted.

    Programs get a problem, the scripts of pages an error, people a text.
    """
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": why})
    elif _is_for_programs(scope):
        await refusal(status, why)(scope, receive, send)
    elif scope["path"].startswith(f"{PAGE_PREFIX}/"):
        await JSONResponse({"error": why}, status)(scope, receive, send)
    else:
        await PlainTextResponse(why, status_code=status)(scope, receive, send)
