"""Fetch a query image over http or https, within limits and from public addresses only."""

from __future__ import annotations

import base64
import ipaddress
import re
import time
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import SplitResult, quote, unquote_to_bytes, urljoin, urlsplit

import httpcore

from indexer.errors import FetchError
from ui.fetch_network import CheckedNetwork, RefusedError
from ui.printable import printable

MAX_BYTES = 100_000_000
TIMEOUT_S = 30.0
MAX_REDIRECTS = 5
MAX_URL_CHARACTERS = 8_000

REDIRECTS = (301, 302, 303, 307, 308)
DEFAULT_PORTS = {"http": 80, "https": 443}
HOST = re.compile(rb"[A-Za-z0-9._-]+|[0-9a-f:.]+")  # a name or IPv4 address; IPv6
BRACKETED = re.compile(r"\[[0-9a-f.]*:[0-9a-f.:]*\](:\d*)?", re.IGNORECASE)
UNQUOTED = "!$%&'()*+,/:;=?@[]~"  # what stands in paths and queries unchanged


def fetch(
    url: str,
    *,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
    allow_private: bool = False,
) -> bytes:
    """Return what a URL leads to, through up to five redirects; nothing is kept on disk.

    Every host on the way is looked up once, and connected to at the address that was checked.
    `timeout_s` is for all of it. Proxies and cookies are not used. Raises `FetchError`.
    """
    shown = without_credentials(url)
    network = CheckedNetwork(time.monotonic() + timeout_s, allow_private=allow_private)
    try:
        with httpcore.ConnectionPool(network_backend=network) as pool:
            place = url
            for _ in range(1 + MAX_REDIRECTS):
                answer = _get(pool, _parse(place), max_bytes)
                if isinstance(answer, bytes):
                    return answer
                shown = f"{without_credentials(url)}, redirected to {without_credentials(answer)}"
                place = answer
        raise RefusedError(f"more than {MAX_REDIRECTS} redirects; give the image's own URL")
    except FAULTS as error:
        raise FetchError(shown, _reason(error, timeout_s)) from error


def without_credentials(url: str) -> str:
    """Return a URL as it may be shown: without user and password, and not endlessly long."""
    url = re.sub(r"[\t\r\n]", "", url)  # which do not count in URLs
    try:
        parts = _split(url)
    except ValueError:  # what stands before an @ may be a password
        shown = re.sub(r"^([^:]*:/*).*@", r"\1", url, flags=re.DOTALL)
    else:
        user, _, host = parts.netloc.rpartition("@")
        shown = parts._replace(netloc=host).geturl() if user else url
    shown = printable(shown)
    return shown if len(shown) <= MAX_URL_CHARACTERS else f"{shown[:200]}…"


FAULTS = (RefusedError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, RefusedError):
        return str(error)
    if isinstance(error, httpcore.TimeoutException):
        return f"no complete answer within {timeout_s:g} s; try again, or save the image first"
    what = printable(error).rstrip(".") or "no connection"
    return f"cannot be fetched: {what}; check the URL and the connection"


@dataclass(frozen=True)
class _Target:
    """What is asked of whom: `text` is the URL with its credentials."""

    text: str
    url: httpcore.URL
    headers: list[tuple[bytes, bytes]]


def _parse(text: str) -> _Target:
    if len(text) > MAX_URL_CHARACTERS:
        raise RefusedError(f"is longer than {MAX_URL_CHARACTERS:,} characters")
    try:
        parts = _split(text)
        if parts.scheme not in DEFAULT_PORTS:
            raise RefusedError("only http and https are fetched; give a file by its path")
        host = _encode_host(parts.hostname or "")
        query = f"?{parts.query}" if parts.query else ""
        target = quote((parts.path or "/") + query, UNQUOTED, errors="surrogateescape")
        headers = _headers(parts, host)
    except ValueError:
        raise RefusedError("is not a valid URL; check its host and port") from None
    url = httpcore.URL(scheme=parts.scheme, host=host, port=parts.port, target=target)
    return _Target(text, url, headers)


def _split(url: str) -> SplitResult:
    """Split a URL. Raises `ValueError` where it has no host, or a port that is not one."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    if "[" in place and not BRACKETED.fullmatch(place):
        raise ValueError("not an IPv6 address in brackets")
    if parts.port == 0 or (parts.scheme in DEFAULT_PORTS and not parts.hostname):
        raise ValueError("no host, or port 0")
    return parts


def _encode_host(host: str) -> bytes:
    """Return a host as it is looked up. Raises `ValueError` for what cannot be one."""
    encoded = str(ipaddress.IPv6Address(host)).encode() if ":" in host else host.encode("idna")
    if not HOST.fullmatch(encoded):
        raise ValueError("neither a name nor an address")
    return encoded


def _headers(parts: SplitResult, host: bytes) -> list[tuple[bytes, bytes]]:
    place = b"[%b]" % host if b":" in host else host
    if parts.port not in (None, DEFAULT_PORTS[parts.scheme]):
        place += b":%d" % parts.port
    headers = [
        (b"Host", place),
        (b"User-Agent", f"cbir/{version('cbir')}".encode()),
        (b"Accept", b"image/*, */*;q=0.5"),
        (b"Accept-Encoding", b"identity"),
    ]
    if parts.username is not None:
        named = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
        headers.append((b"Authorization", b"Basic " + base64.b64encode(named)))
    return headers


def _get(pool: httpcore.ConnectionPool, target: _Target, max_bytes: int) -> bytes | str:
    """Return the content of a URL, or the URL that it redirects to."""
    with pool.stream("GET", target.url, headers=target.headers) as response:
        headers = {name.lower(): value for name, value in response.headers}
        location = headers.get(b"location")
        if response.status in REDIRECTS and location is not None:
            return _join(target.text, location.decode("utf-8", "surrogateescape"))
        if response.status != 200:
            raise RefusedError(f"the server answers {response.status}; check the URL")
        announced = int(headers.get(b"content-length", 0))
        return _read(response, announced, max_bytes)


def _join(base: str, location: str) -> str:
    try:
        return urljoin(base, location)
    except ValueError:
        raise RefusedError("the server redirects to what is not a valid URL") from None


def _read(response: httpcore.Response, announced: int, max_bytes: int) -> bytes:
    body = bytearray()
    chunks = response.iter_stream() if announced <= max_bytes else ()
    for chunk in chunks:
        body += chunk
        if len(body) > max_bytes:
            break
    if max(announced, len(body)) > max_bytes:
        limit = f"{max_bytes / 1e6:g} MB"
        raise RefusedError(f"is over the limit of {limit}; save it and query with the file")
    if not body:
        raise RefusedError("the server sends an empty answer; check the URL")
    return bytes(body)
