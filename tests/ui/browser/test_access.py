"""Who reaches the pages: asked over HTTP and the websocket of a running `cbir ui`."""

from __future__ import annotations

import http.client
import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.ui.browser.acting import tiles
from tests.ui.browser.conftest import Served, serving

SOCKET = "/_stcore/stream"
ROUTES = [
    *("/", "/search", "/_stcore/health", "/_stcore/host-config", "/media/0.jpg", "/static/x.js"),
    *("/page/images", "/page/zip?ids=1"),
]
FOREIGN = ["photos.example.com", "localhost.example.com", "192.168.1.7", "127.0.0.1@x.com", ""]


def ask(
    port: int, path: str, method: str = "GET", /, **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    """Return the status, the headers and the text of an answer; 101 opens the websocket."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    given = {"Host": f"127.0.0.1:{port}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    if path.startswith(SOCKET):
        given |= {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        given |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    connection.putrequest(method, path, skip_host=True)
    for name, value in given.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    text = "" if answer.status == 101 else answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, answer.headers, text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_own_names_are_answered(served: Served, host: str) -> None:
    named = f"{host}:{served.port}"
    origin = f"http://{named}"
    assert ask(served.port, SOCKET, Host=named, Origin=origin, Cookie=served.cookie)[0] == 101
    assert ask(served.port, "/", Host=named, Cookie=served.cookie)[0] == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_a_rebound_name_is_refused(served: Served, host: str) -> None:
    for path in (SOCKET, *ROUTES, f"/?token={served.token}"):
        origin = f"http://{host}:{served.port}"
        asked = {"Host": f"{host}:{served.port}", "Cookie": served.cookie}
        assert ask(served.port, path, **asked)[0] == 400, path
        assert ask(served.port, path, **asked, Origin=origin)[0] == 400, path


@pytest.mark.parametrize("origin", ["http://photos.example.com", "http://localhost:3000", "null"])
def test_pages_of_others_are_refused_even_with_the_cookie(served: Served, origin: str) -> None:
    for path in (SOCKET, *ROUTES):
        assert ask(served.port, path, Origin=origin, Cookie=served.cookie)[0] == 403, path
    upload = "/_stcore/upload_file/a/b"
    assert ask(served.port, upload, "PUT", Origin=origin, Cookie=served.cookie)[0] == 403


@pytest.mark.parametrize(
    "cookie", ["", "cbir-1=x", "cbir-{port}=", "cbir-{port}=x", "cbir-{port}=ü"]
)
def test_nobody_gets_in_without_the_token(served: Served, cookie: str) -> None:
    given = {"Cookie": cookie.format(port=served.port)} if cookie else {}
    for path in (SOCKET, *ROUTES, "/?token=", "/?token=x", f"{SOCKET}?token={served.token}"):
        status, _, text = ask(served.port, path, **given)
        assert status == 403, path
        assert path.startswith(SOCKET) or "address that cbir ui printed" in text
    assert ask(served.port, "/_stcore/upload_file/a/b", "PUT", **given)[0] == 403


def test_the_token_is_turned_into_a_cookie_and_leaves_the_address(served: Served) -> None:
    path = f'//evil.example/a"b?image=3&token={served.token}&name=%3Cb%3E'
    status, headers, text = ask(served.port, path)
    assert status == 200
    cookie = headers["Set-Cookie"]
    assert cookie.startswith(f"{served.cookie}; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert headers["Cache-Control"] == "no-store"
    assert 'content="0; url=/evil.example/a%22b?image=3&amp;name=%3Cb%3E"' in text
    assert served.token not in text


def test_every_answer_forbids_frames_and_foreign_content(served: Served) -> None:
    for path in (*ROUTES, f"/?token={served.token}"):
        for given in ({}, {"Cookie": served.cookie}, {"Host": "photos.example.com"}):
            _, headers, _ = ask(served.port, path, **given)
            policy = headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe-eval" not in policy
            assert re.search(r"script-src [^;]*unsafe-inline", policy) is None
            assert headers["X-Frame-Options"] == "DENY"


def test_the_printed_address_opens_the_pages(page: Page, served: Served) -> None:
    page.context.clear_cookies()
    page.goto(f"{served.url}/")
    expect(page.get_by_text("the address that cbir ui printed")).to_be_visible()
    image = served.id_of("sample/cat-1.jpg")
    page.goto(f"{served.url}/?token={served.token}&image={image}")
    expect(tiles(page).first).to_have_attribute("aria-label", re.compile("Hit 1: cat-1.jpg"))
    assert "token" not in page.url
    assert page.evaluate("document.cookie").find(served.token) == -1


def test_a_file_that_leads_to_the_address_opens_the_pages(page: Page, served: Served) -> None:
    page.context.clear_cookies()
    page.set_content(f'<a href="{served.url}/?token={served.token}">pages</a>')
    page.get_by_text("pages").click()
    expect(tiles(page).first).to_be_visible()


def test_without_a_token_the_pages_are_open_to_this_machine_only(served: Served) -> None:
    with serving(served.store, "--no-token") as address:
        assert "token" not in address
        port = urlsplit(address).port or 0
        assert [ask(port, path)[0] for path in ("/", "/_stcore/health", SOCKET)] == [200, 200, 101]
        assert ask(port, SOCKET, Host="photos.example.com")[0] == 400
        assert ask(port, SOCKET, Origin="http://photos.example.com")[0] == 403
