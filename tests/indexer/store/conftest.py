"""A store whose catalogue is in SQLite, and one whose catalogue is in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from indexer.store.store import Store
from tests.catalogs import url_of
from tests.colour_grid import colour_spec


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def empty_store(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Store]:
    """A store of one folder of photos, without any yet."""
    folder = tmp_path_factory.mktemp("shelf")
    made = Store.create(folder / ".cbir", colour_spec(), catalog_url=url_of(request))
    made.add_root(folder / "photos")
    (folder / "photos").mkdir()
    yield made
    made.close()
