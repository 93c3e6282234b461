"""What is told of every request: a line in the log, and the figures that Prometheus fetches."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from indexer.errors import CbirError
from indexer.store.statistics import count_found
from ui.api.problems import answer_problem
from ui.api.service import Service

LOGGER = logging.getLogger("cbir.requests")
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNKNOWN = (
    "unknown"  # for a route or a method: each that is told takes memory, and they may be anything
)


class Figures:
    """Counts and durations of requests, and the state of the server."""

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "cbir_requests", "Requests", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "cbir_request_seconds",
            "Time to the end of the answer",
            ["route"],
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        searches = Gauge("cbir_searches", "Searches that run or wait", registry=self._registry)
        searches.set_function(lambda: service.places.taken)
        images = Gauge("cbir_images", "Images that can be found", registry=self._registry)
        images.set_function(lambda: count_found(service.opened.engine.store))

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = method if method in METHODS else UNKNOWN
        self._requests.labels(known, route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def answer(self, _request: Request) -> Response:
        """Return the figures in Prometheus' format."""
        try:
            text = generate_latest(self._registry)
        except CbirError as error:  # the store cannot be read
            return answer_problem(error)
        return Response(text, media_type=CONTENT_TYPE_LATEST)


class Watched:
    """Notes every request, once it is answered."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self.app = app
        self.figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", UNKNOWN)
            self.figures.note(scope["method"], route, status, seconds)
            LOGGER.info(
                "request",
                extra={
                    "fields": {
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status,
                        "seconds": round(seconds, 4),
                        "client": (scope.get("client") or ("",))[0],
                    }
                },
            )


class JsonLines(logging.Formatter):
    """Formats each record as one JSON object; names in it cannot break a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def log_to_stderr() -> None:
    """Send all that is logged or warned of to stderr, as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    for name in (LOGGER.name, "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.INFO)
