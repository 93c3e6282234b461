"""Connections to public addresses alone, up to a deadline: what httpcore fetches over."""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable

import httpcore

CONNECT_TIMEOUT_S = 10.0  # of one address; a host may have more
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedError(Exception):
    """What is wrong with a URL or its answer, and what to do; its URL is not yet said."""


class CheckedNetwork(httpcore.SyncBackend):
    """Connects to public addresses, each at the very address that was checked, up to a deadline.

    A name that is looked up twice may have another address the second time (DNS rebinding).
    """

    def __init__(self, deadline_s: float, *, allow_private: bool) -> None:
        self._deadline_s = deadline_s
        self._allow_private = allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        del timeout  # the deadline holds for all
        fault: Exception = httpcore.ConnectError("the host has no address")
        for address in self._checked_addresses(host, port):
            wait_s = min(CONNECT_TIMEOUT_S, _remaining_s(self._deadline_s))
            try:
                stream = super().connect_tcp(address, port, wait_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
            else:
                return TimedStream(stream, self._deadline_s)
        raise fault

    def _checked_addresses(self, host: str, port: int) -> list[str]:
        addresses = _look_up(host, port, _remaining_s(self._deadline_s))
        private = [address for address in addresses if not is_public(address)]
        if private and not self._allow_private:
            raise RefusedError(
                f"{private[0]} is a private address; --allow-private fetches it anyway"
            )
        return [str(address) for address in addresses]


def _look_up(host: str, port: int, timeout_s: float) -> list[Address]:
    """Return the addresses of a host; in a thread, since a look-up has no time limit itself."""
    answers: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([ipaddress.ip_address(place[0]) for *_, place in found])
        except OSError as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        raise httpcore.ConnectTimeout from None
    if isinstance(answer, OSError):
        raise RefusedError(f"the host {host} is not found ({answer.strerror}); check the URL")
    return answer


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet; one that carries another counts as that."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    carried = address.ipv4_mapped or address.sixtofour
    if address in NAT64:
        carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if carried is not None:
        return is_public(carried)
    return address in GLOBAL_UNICAST and address.is_global


def _remaining_s(deadline_s: float) -> float:
    remaining_s = deadline_s - time.monotonic()
    if remaining_s <= 0:
        raise httpcore.ReadTimeout
    return remaining_s


class TimedStream(httpcore.NetworkStream):
    """A connection on which nothing waits beyond a deadline, however slowly the bytes come."""

    def __init__(self, stream: httpcore.NetworkStream, deadline_s: float) -> None:
        self._stream = stream
        self._deadline_s = deadline_s

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._stream.read(max_bytes, _remaining_s(self._deadline_s))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._stream.write(buffer, _remaining_s(self._deadline_s))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        del timeout
        wait_s = _remaining_s(self._deadline_s)
        stream = self._stream.start_tls(ssl_context, server_hostname, wait_s)
        return TimedStream(stream, self._deadline_s)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
