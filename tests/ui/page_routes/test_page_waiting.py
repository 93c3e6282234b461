"""Those who wait for a search hold up nobody else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from retrieval.query import Hit
from tests.ui.page_routes.conftest import HERE, URL, Fetched
from ui.api.application import routes
from ui.api.limits import Limits
from ui.api.service import ANSWERS, Service
from ui.page_routes.mounting import page_routes

MANY = 60  # more than a server has threads for all else


def test_pictures_come_while_searches_wait(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, started = Event(), Semaphore(0)

    def search(*_given: Any) -> list[Hit]:
        started.release()
        assert go_on.wait(60)
        return []

    monkeypatch.setattr("ui.page_routes.hits.search", search)
    service = Service(fetched.store, Limits())
    application = Starlette(routes=[*routes(service), page_routes(service, is_local=True)])
    with (
        TestClient(application, base_url=URL, client=HERE) as http,
        ThreadPoolExecutor(MANY) as visitors,
    ):
        searches = [visitors.submit(http.get, "/page/hits?image=1") for _ in range(MANY)]
        try:
            for _ in range(ANSWERS):
                assert started.acquire(timeout=60)
            while started.acquire(timeout=0.3):  # no more of them, once it is quiet
                pass
            assert http.get("/v1/images/1/thumbnail").status_code == 200
            assert not any(search.done() for search in searches)
        finally:
            go_on.set()
        assert {search.result().status_code for search in searches} == {200}
    service.close()
