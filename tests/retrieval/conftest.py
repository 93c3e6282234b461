from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.build import Builder
from indexer.features.extractor import FeatureExtractor
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from tests.conftest import made_once
from tests.sample import SAMPLE, Sample


@pytest.fixture(scope="session")
def sample(of_all_workers: Path, lite0: FeatureExtractor) -> Iterator[Sample]:
    """The indexed sample, which all workers share; not to be changed by tests."""

    def index(folder: Path) -> None:
        store = Store.create(folder / ".cbir", lite0.spec)
        Builder(store, lambda: lite0).run([SAMPLE / "images"])
        store.close()

    store = Store.open(made_once(of_all_workers / "sample", index) / ".cbir")
    yield Sample(store, SearchEngine(store, extractor=lite0))
    store.close()
