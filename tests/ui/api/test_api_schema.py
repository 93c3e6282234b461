"""The API answers as its description says, whatever it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance
from typer.testing import Result

from tests.ui.api.conftest import TOKEN, Server, make_store, serving

AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
EXAMPLES = 15  # a route; thousands find nothing more


@pytest.fixture(scope="module")
def asked_at_random(
    tmp_path_factory: pytest.TempPathFactory, cbir: Callable[..., Result], _own_folders: None
) -> Iterator[Server]:
    """A server of its own: what is asked removes its images, too."""
    store = make_store(tmp_path_factory.mktemp("random"), cbir)
    with serving(store, "--uploads", str(store.parent / "uploads")) as server:
        yield server


def test_every_answer_is_described(asked_at_random: Server) -> None:
    """Whether ids are known, and boxes lie in their images, a description cannot say."""
    schema = schemathesis.openapi.from_url(
        f"{asked_at_random.url}/v1/openapi.json", headers=AUTHORIZED
    )
    found = list(schema.get_all_operations())
    routes = [route.ok() for route in found if isinstance(route, Ok)]
    assert len(routes) == len(found) >= 16
    for route in routes:

        @given(route.as_strategy())
        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
        def check(case: Any) -> None:
            case.call_and_validate(headers=AUTHORIZED, excluded_checks=[positive_data_acceptance])

        check()
