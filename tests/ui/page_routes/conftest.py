"""What a page fetches, asked of the application that answers it, behind its guards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from typer.testing import Result

from indexer.store.reader import StoreReader
from retrieval.duplicates.search import find_duplicates
from retrieval.engine import SearchEngine
from tests.pictures import PHOTOS, photo
from ui.access import guards
from ui.api.limits import Limits
from ui.api.service import Service
from ui.page_routes.mounting import page_routes

PORT = 8501
URL = f"http://127.0.0.1:{PORT}"
NEAR = "127.0.0.1"
HERE = (NEAR, 50_000)


@dataclass(frozen=True)
class Fetched:
    """Photos, their store, and who asks for them as a page does; not to be changed by tests."""

    photos: Path
    store: Path
    http: TestClient

    def id_of(self, name: str) -> int:
        info = StoreReader.open(self.store).find_image(self.photos / name)
        assert info is not None, name
        return info.id


@contextmanager
def asking(
    store: Path,
    *,
    is_local: bool = True,
    client: str = NEAR,
    limits: Limits | None = None,
    raises: bool = True,
) -> Iterator[TestClient]:
    """Yield who asks the routes of a store, from an address; bugs `raise`, or are answered."""
    service = Service(store, limits or Limits())
    application = Starlette(
        routes=[page_routes(service, is_local=is_local)], middleware=guards(None, PORT)
    )
    with TestClient(
        application, base_url=URL, client=(client, 50_000), raise_server_exceptions=raises
    ) as http:
        yield http
    service.close()


@pytest.fixture(scope="session")
def fetched(
    tmp_path_factory: pytest.TempPathFactory, cbir: Callable[..., Result], _own_folders: None
) -> Iterator[Fetched]:
    folder = tmp_path_factory.mktemp("fetched")
    photos, store = folder / "photos", folder / ".cbir"
    (photos / "trips" / "2019").mkdir(parents=True)
    for name in PHOTOS:
        photo(name).resize((480, 360)).save(photos / f"{name}.png")
    shutil.copy(photos / "coffee.png", photos / "trips" / "coffee again.png")
    photo("coffee").resize((400, 300)).save(photos / "trips" / "coffee small.jpg", quality=80)
    part = photo("astronaut").resize((960, 720)).crop((240, 60, 720, 420))
    part.save(photos / "trips" / "2019" / "part.png")
    assert cbir("index", photos, "--store", store).exit_code == 0
    find_duplicates(SearchEngine.open(store).collection)
    with asking(store) as http:
        yield Fetched(photos, store, http)
