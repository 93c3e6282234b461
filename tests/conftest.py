from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from filelock import FileLock
from hypothesis import settings

from indexer.features.backbones import BACKBONES
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.store.store import Store
from tests import milvus as milvus_server
from tests import s3
from tests.colour_grid import colour_spec
from tests.postgres import MISSING, Server, find_programs, running_server

if TYPE_CHECKING:
    from tests.desk import Desk

LONGEST = [
    "test_real_browser.py",
    "test_same_answers.py",
    "test_engines.py",
    "test_determinism.py",
    "test_cli_process.py",
    "test_wheel.py",
    "test_sliding_search.py",
]

settings.register_profile("cbir", deadline=None)  # no test depends on how fast the machine is
settings.load_profile("cbir")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left with one at the end.

    pytest-xdist keeps this order with `--no-loadscope-reorder` only.
    """
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run, which all workers share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session", autouse=True)
def _own_folders(of_all_workers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Models, and the key that seals stores, go to folders of this run; no weights are found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBIR_CACHE", str(of_all_workers / "models"))
        patch.delenv("PYTHONWARNDEFAULTENCODING", raising=False)  # programs would print warnings
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch-home")))
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf-home")))
        patch.setenv("XDG_DATA_HOME", str(of_all_workers / "data"))
        patch.delenv("CBIR_STORE", raising=False)
        yield


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return `folder`, filled by `make` on behalf of whichever worker asks first."""
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            part = folder.with_suffix(".part")
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder


@pytest.fixture(scope="session")
def lite0(_own_folders: None) -> FeatureExtractor:
    """The default extractor with its real weights."""
    return FeatureExtractor(FeatureSpec.create())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server of PostgreSQL for all tests of this worker, each store in a schema of its own."""
    programs = find_programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with running_server(programs) as server:
        yield server


@pytest.fixture(scope="session")
def milvus() -> Iterator[milvus_server.MilvusProcess]:
    """A server of Milvus for all tests of this worker, each store with collections of its own."""
    package = milvus_server.find_server()
    if package is None:
        if os.environ.get("CI"):
            pytest.fail(milvus_server.MISSING)
        pytest.skip(milvus_server.MISSING)
    with milvus_server.running_milvus(package) as server:
        yield server


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """A server of S3 for all tests of this worker."""
    if not s3.is_installed():
        if os.environ.get("CI"):
            pytest.fail(s3.MISSING)
        pytest.skip(s3.MISSING)
    with s3.running_server() as server:
        yield server.port


@pytest.fixture
def at_s3(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Say which port of this machine is S3, as somebody does in the environment."""
    from indexer.sources import file_systems

    def ask(port: int) -> None:
        for name, value in s3.environment(port).items():
            monkeypatch.setenv(name, value)
        if asked_before != [port]:  # a client takes long to make
            asked_before[:] = [port]
            file_systems.forget("s3")

    return ask


asked_before: list[int] = []


@pytest.fixture(scope="session")
def _front(s3_port: int) -> Iterator[s3.Unreliable]:
    with s3.unreliable(s3_port) as made:
        yield made


@pytest.fixture
def front(_front: s3.Unreliable, at_s3: Callable[[int], None]) -> s3.Unreliable:
    """What stands between this machine and the server of S3, and fails as it is told."""
    at_s3(_front.port)
    _front.fault = lambda *_: None
    _front.asked.clear()
    return _front


@pytest.fixture
def bucket(request: pytest.FixtureRequest, s3_port: int, at_s3: Callable[[int], None]) -> s3.Bucket:
    """An empty bucket."""
    if "front" not in request.fixturenames:
        at_s3(s3_port)
    made = s3.Bucket(s3_port, f"photos-{uuid4().hex[:12]}")
    made.ask("PUT")
    return made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, made the current one."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    from tests.desk import Desk  # few tests need all that a search engine loads

    (tmp_path / "photos").mkdir()
    store = Store.create(tmp_path / ".cbir", colour_spec())
    yield Desk(tmp_path / "photos", store)
    store.close()


@pytest.fixture
def with_random_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], None]]:
    """Put seeded weights where torchvision keeps the downloaded ones; models made of them go."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("CBIR_CACHE", str(tmp_path / "cache"))

    import torch
    from torchvision import models

    def make(name: str) -> None:
        torch.manual_seed(1)
        network = models.get_model(name, weights=None)
        path = tmp_path / "torch" / "hub" / "checkpoints" / BACKBONES[name].weights_file
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(network.state_dict(), path)
        assert BACKBONES[name].find_weights() == path

    yield make
    for folder in ("torch", "cache"):
        shutil.rmtree(tmp_path / folder, ignore_errors=True)
