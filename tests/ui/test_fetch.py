"""Fetching: what is read, how much of it, for how long, and from where."""

from __future__ import annotations

import base64
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from indexer.errors import FetchError
from tests.ui.web import PUBLIC, Web, addresses, redirects, sends, sends_raw, serving
from ui.fetch import MAX_REDIRECTS, fetch, without_credentials

IMAGE = bytes(range(256)) * 2000  # several chunks


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


def get(url: str, **limits: Any) -> bytes:
    return fetch(url, **{"timeout_s": 20, "allow_private": True} | limits)


def refusal(url: str, **limits: Any) -> str:
    """Return what is said of a URL that is not fetched."""
    with pytest.raises(FetchError) as refused:
        get(url, **limits)
    message = str(refused.value)
    assert "\n" not in message
    return message


# --- answers ------------------------------------------------------------------------------------


def test_an_image(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    web.answers["/cat%20%C3%A9.jpg?a=1&b=[2]"] = sends(IMAGE)
    assert get(web.url("/cat é.jpg?a=1&b=[2]#top")) == IMAGE
    [(_, headers)] = web.asked
    assert headers["User-Agent"] == f"cbir/{version('cbir')}"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Host"] == f"127.0.0.1:{web.port}"
    assert headers["Authorization"] is None


def test_an_image_of_unknown_length(web: Web) -> None:
    web.answers["/"] = sends_raw(b"HTTP/1.0 200 OK\r\n\r\n", IMAGE)
    assert get(web.url("")) == IMAGE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(web: Web, status: int) -> None:
    web.answers["/a/b"] = redirects("../c", status)
    web.answers["/c"] = redirects(web.url("/d", host="localhost"), status)
    web.answers["/d"] = sends(IMAGE)
    assert get(web.url("/a/b")) == IMAGE


def test_no_more_than_five_redirects(web: Web) -> None:
    for i in range(MAX_REDIRECTS):
        web.answers[f"/{i}"] = redirects(f"/{i + 1}")
    web.answers[f"/{MAX_REDIRECTS}"] = sends(IMAGE)
    assert get(web.url("/0")) == IMAGE
    web.answers["/loop"] = redirects("/loop")
    web.asked.clear()
    assert "more than 5 redirects" in refusal(web.url("/loop"))
    assert len(web.asked) == 1 + MAX_REDIRECTS


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://127.0.0.1/", "only http and https"),
        ("javascript:alert(1)", "only http and https"),
        ("http://[::1", "valid URL"),
        ("//:80/", "valid URL"),
        ("http://h:port/", "valid URL"),
    ],
)
def test_redirects_that_are_not_followed(web: Web, location: str, said: str) -> None:
    web.answers["/"] = redirects(location)
    message = refusal(web.url("/"))
    assert message.startswith(web.url("/"))
    assert said in message
    assert web.paths == ["/"]


@pytest.mark.parametrize("status", [204, 206, 302, 304, 401, 404, 500, 999])
def test_another_status_is_named(web: Web, status: int) -> None:
    web.answers["/cat.jpg"] = sends(b"", status=status)
    url = web.url("/cat.jpg")
    assert refusal(url) == f"{url}: the server answers {status}; check the URL"


def test_an_empty_answer(web: Web) -> None:
    web.answers["/"] = sends(b"")
    assert "empty answer" in refusal(web.url("/"))


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"hello\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000,),
        (b"HTTP/1.1 200 OK\r\n\x1b[31m: red\r\n\r\n",),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n",),
    ],
)
def test_an_answer_that_is_not_http(web: Web, parts: tuple[bytes, ...]) -> None:
    web.answers["/"] = sends_raw(*parts)
    message = refusal(web.url("/"))
    assert message.startswith(web.url("/"))
    assert message.isprintable()


def test_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert "refused" in refusal(f"http://127.0.0.1:{port}/")


# --- limits -------------------------------------------------------------------------------------


def test_the_limit_of_size(web: Web) -> None:
    web.answers["/announced"] = sends(b"x", announced=10**12)
    web.answers["/unannounced"] = sends_raw(b"HTTP/1.0 200 OK\r\n\r\n", IMAGE)
    web.answers["/fits"] = sends(IMAGE)
    assert get(web.url("/fits"), max_bytes=len(IMAGE)) == IMAGE
    for path in ("/announced", "/unannounced"):
        assert "over the limit of 0.5 MB" in refusal(web.url(path), max_bytes=500_000)


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nX: ", b""],
    ids=["body", "headers", "status"],
)
def test_the_limit_of_time_holds_for_all(web: Web, start: bytes) -> None:
    done = threading.Event()
    drops = itertools.repeat(b"x", 200)
    web.answers["/"] = sends_raw(start, *drops, pause=lambda: done.wait(0.05))
    started = time.monotonic()
    message = refusal(web.url("/"), timeout_s=0.4)
    assert time.monotonic() - started < 4
    done.set()
    assert "within 0.4 s" in message


def test_the_limit_of_time_holds_for_names(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def wait(*_: object, **__: object) -> list[tuple[Any, ...]]:
        done.wait(20)
        return addresses(PUBLIC)

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    assert "within 0.2 s" in refusal("http://slow.example/", timeout_s=0.2)
    done.set()


# --- addresses ----------------------------------------------------------------------------------

PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.5",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "fe80::1",
    "fec0::1",
    "fd00::1",
    "ff02::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the addresses that are connected to, all of which refuse."""
    tried: list[str] = []

    def connect(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        tried.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", connect)
    return tried


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[tuple[Any, ...]]) -> list[str]:
    """Let names have these addresses, one answer after the other; return the names asked for."""
    names: list[str] = []
    following = iter(answers)

    def look_up(host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        names.append(host)
        return next(following)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return names


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_connected_to(
    address: str, connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = f"[{address}]" if ":" in address else address
    message = refusal(f"https://{host}/cat.jpg", allow_private=False)
    assert "is a private address; --allow-private fetches it anyway" in message
    resolve_to(monkeypatch, addresses(address))
    message = refusal("http://public.example/cat.jpg", allow_private=False)
    assert message.startswith("http://public.example/cat.jpg: ")
    assert "is a private address" in message
    assert connected == []


@pytest.mark.parametrize(
    "host", ["localhost", "0x7f.1", "2130706433", "0177.0.0.1", "127.1", "①②⑦.⓪.⓪.①"]
)
def test_other_spellings_of_this_machine(host: str, connected: list[str]) -> None:
    assert "private address" in refusal(f"http://{host}/", allow_private=False)
    assert connected == []


@pytest.mark.parametrize(
    "address", [PUBLIC, "2606:4700:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses(
    address: str, connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, addresses(address))
    assert "refused" in refusal("https://public.example/", allow_private=False)
    assert connected == [address]


def test_one_private_address_is_enough(
    connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, addresses(PUBLIC, "10.0.0.1"))
    assert "10.0.0.1 is a private" in refusal("https://public.example/", allow_private=False)
    assert connected == []


def test_all_addresses_of_a_host_are_tried(
    connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, addresses("2606:4700::1", PUBLIC))
    refusal("https://public.example/", allow_private=False)
    assert connected == ["2606:4700::1", PUBLIC]


def test_a_name_that_changes_its_address_is_connected_where_it_was_checked(
    connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = resolve_to(monkeypatch, addresses(PUBLIC), addresses("127.0.0.1"))
    assert "refused" in refusal("http://rebinding.example/", allow_private=False)
    assert names == ["rebinding.example"]
    assert connected == [PUBLIC]


def test_a_public_host_cannot_redirect_to_a_private_one(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, look_up = socket.create_connection, socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "create_connection",
        lambda address, *rest, **named: connect(("127.0.0.1", address[1]), *rest, **named),
    )
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **named: (
            addresses(PUBLIC) if host == "public.example" else look_up(host, *rest, **named)
        ),
    )
    secret = web.url("/secret")
    web.answers |= {"/": redirects(secret), "/secret": sends(IMAGE)}
    public = web.url("/", host="public.example")
    message = refusal(public, allow_private=False)
    assert message.startswith(f"{public}, redirected to {secret}: 127.0.0.1 is a private address")
    assert web.paths == ["/"]


def test_a_name_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    said = refusal("https://nowhere.example/cat.jpg")
    assert "the host nowhere.example is not found (Name or service not known)" in said


# --- URLs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "https:///cat.jpg",
        "http://[::1",
        "http://[::1]x/",
        "http://[fe80::1%25eth0]/",
        "http://[v1.x]/",
        "http://host:99999/",
        "http://host:-1/",
        "http://host:0/",
        "http://host:http/",
        "http://ho st/",
        "http://a..b/",
        "http://.a/",
        "http://" + "a" * 64 + ".example/",
        "http://host%2f/",
        "http://ho\0st/",
        "http://ho\udcffst/",
        "http://℀.example/",
        "http://@/",
        "file:///etc/passwd",
        "ftp://host/cat.jpg",
        "gopher://127.0.0.1:70/_",
        "https://host/" + "x" * 100_000,
        "https://host/\ud800",
    ],
)
def test_odd_urls(url: str, connected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    names = resolve_to(monkeypatch)
    message = refusal(url)
    assert len(message) < 1000
    assert (names, connected) == ([], [])


@given(st.text(), st.sampled_from(["", "http:", "http://", "https://a/", "http://[", "//a:b@"]))
def test_any_text_is_fetched_or_refused(text: str, start: str) -> None:
    def fail(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", fail)
        refusal(start + text)


def test_names_in_other_scripts(connected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    names = resolve_to(monkeypatch, addresses(PUBLIC))
    refusal("https://bücher.example/")
    assert names == ["xn--bcher-kva.example"]
    assert connected == [PUBLIC]


def test_credentials_go_to_their_host_alone(web: Web) -> None:
    web.answers["/"] = redirects("/cat.jpg")
    web.answers["/cat.jpg"] = redirects(web.url("/dog.jpg", host="localhost"))
    web.answers["/dog.jpg"] = sends(IMAGE)
    assert get(web.url("/", host="me:p%40ss@127.0.0.1")) == IMAGE
    sent = "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert [headers["Authorization"] for _, headers in web.asked] == [sent, sent, None]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@host/@cat.jpg", "https://host/@cat.jpg"),
        ("https://secret@host:8080/?a=b#c", "https://host:8080/?a=b#c"),
        ("https://me:se@cret@host/", "https://host/"),
        ("https://me:sec\nret@host/", "https://host/"),
        ("https://me:sec/ret@host/", "https://host/"),
        ("https://me:secret@host:99999/", "https://host:99999/"),
        ("https://me:secret@[::1/", "https://[::1/"),
        ("https://me:secret@", "https://"),
        ("https:///me:secret@host/", "https:///host/"),
        ("https:me:secret@host/", "https:host/"),
        ("file://me:secret@host/", "file://host/"),
        ("https://host/\x1b[31m", "https://host/\\x1b[31m"),
    ],
)
def test_credentials_are_not_shown(
    url: str, shown: str, connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert without_credentials(url) == shown
    resolve_to(monkeypatch, addresses(PUBLIC))
    message = refusal(url)
    assert message.startswith(f"{shown}: ")
    assert "secret" not in message
    assert "sec" not in message
    assert len(connected) <= 1


# --- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that only these tests trust."""
    return trustme.CA()


@pytest.fixture
def safe_web(authority: trustme.CA) -> Iterator[Web]:
    """A server with a certificate for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with serving(context) as web:
        web.answers["/"] = sends(IMAGE)
        yield web


def test_certificates_are_verified(
    safe_web: Web, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "CERTIFICATE_VERIFY_FAILED" in refusal(safe_web.url("/", "localhost", "https"))
    authority.cert_pem.write_to_path(str(tmp_path / "trusted.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    assert get(safe_web.url("/", "localhost", "https")) == IMAGE
    assert "IP address mismatch" in refusal(safe_web.url("/", "127.0.0.1", "https"))
    assert safe_web.paths == ["/"]


def test_a_server_without_tls(web: Web) -> None:
    assert "cannot be fetched" in refusal(web.url("/", scheme="https"))
