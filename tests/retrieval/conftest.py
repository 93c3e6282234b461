from __future__ import annotations

from collections.abc import Iterator

import pytest

from indexer.build import Builder
from indexer.features.extractor import FeatureExtractor
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from tests.sample import SAMPLE, Sample


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, lite0: FeatureExtractor) -> Iterator[Sample]:
    """The indexed sample; not to be changed by tests."""
    store = Store.create(tmp_path_factory.mktemp("sample") / ".cbir", lite0.spec)
    Builder(store, lambda: lite0).run([SAMPLE / "images"])
    yield Sample(store, SearchEngine(store, extractor=lite0))
    store.close()
