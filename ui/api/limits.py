"""Limits: how large and how slow a request may be, and how many searches run or wait at a time."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.api.problems import TooBusyError, answer_problem

SEARCHES = ("/search", "/localize")  # paths below the API whose requests take a place
USUAL_S = 0.1  # of a search, until one was measured
MEMORY_SHARE = 0.2  # of a new duration in the mean


@dataclass(frozen=True)
class Limits:
    """What a server takes: bytes and seconds of a body, seconds of a search, and how many searches.

    `at_work` of them run at a time and `waiting` more wait; further ones are refused at once.
    """

    body_bytes: int = 40_000_000
    body_s: float = 60.0
    search_s: float = 60.0
    at_work: int = os.cpu_count() or 1
    waiting: int = 32


class Places:
    """Counts the searches that run or wait, and lets so many run at a time.

    It belongs to one event loop.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.at_work)
        self._mean_s = USUAL_S
        self.taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place among those that run or wait; raises `TooBusyError` where none is free."""
        if self.taken >= self._limits.at_work + self._limits.waiting:
            raise TooBusyError(max(1, math.ceil(self.taken * self._mean_s / self._limits.at_work)))
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn to run, and hold it."""
        async with self._turns:
            started = time.monotonic()
            try:
                yield
            finally:
                spent = time.monotonic() - started
                self._mean_s += MEMORY_SHARE * (spent - self._mean_s)


class Admission:
    """Takes a place for every search before its body is read, or answers 429."""

    def __init__(self, app: ASGIApp, places: Places) -> None:
        self.app = app
        self.places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_search(scope):
            await self.app(scope, receive, send)
            return
        try:
            with self.places.place():
                await self.app(scope, receive, send)
        except TooBusyError as error:
            await answer_problem(error)(scope, receive, send)


def _is_search(scope: Scope) -> bool:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return bool(scope["method"] == "POST") and path.startswith(SEARCHES)


class BodyLimits:
    """Refuses bodies that are too large, before they are read if they say so, or too slow."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.limits.body_bytes:
            await answer_problem(self._too_large())(scope, receive, send)
            return
        await self.app(scope, self._limited(receive), send)

    def _limited(self, receive: Receive) -> Receive:
        deadline = time.monotonic() + self.limits.body_s
        seen, whole = 0, False

        async def receive_within() -> Message:
            nonlocal seen, whole
            if whole:
                return await receive()
            try:
                left_s = max(0.0, deadline - time.monotonic())
                message = await asyncio.wait_for(receive(), left_s)
            except TimeoutError as error:
                text = f"The body did not arrive within {self.limits.body_s:.0f} s."
                raise HTTPException(408, text, {"Connection": "close"}) from error
            seen += len(message.get("body", b""))
            if seen > self.limits.body_bytes:
                raise self._too_large()
            whole = not message.get("more_body", False)
            return message

        return receive_within

    def _too_large(self) -> HTTPException:
        size = self.limits.body_bytes / 1e6
        text = f"The body is larger than {size:g} MB; send a smaller picture."
        return HTTPException(413, text, {"Connection": "close"})
