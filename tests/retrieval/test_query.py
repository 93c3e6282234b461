from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from indexer.choices import TapKind
from indexer.errors import InvalidQueryError
from indexer.features.regions import Region
from retrieval.query import Query

PATH = Path("cat.jpg")


def test_defaults() -> None:
    query = Query(path=PATH)
    assert (query.feature, query.k, query.box, query.allowed) == ("conv", 10, None, None)


@pytest.mark.parametrize(
    "sources",
    [
        {},
        {"path": PATH, "data": b"x"},
        {"path": PATH, "image_id": 1},
        {"data": b"x", "image_id": 0},
        {"path": PATH, "data": b"x", "image_id": 1},
    ],
)
def test_exactly_one_source(sources: dict[str, Any]) -> None:
    with pytest.raises(InvalidQueryError, match=f"exactly one.*{len(sources)} were given"):
        Query(**sources)


@pytest.mark.parametrize("source", [{"path": PATH}, {"data": b""}, {"image_id": 0}])
def test_each_source_alone(source: dict[str, Any]) -> None:
    assert Query(**source, box=Region(0, 0, 1, 1)).box is not None


@pytest.mark.parametrize("k", [0, -1])
def test_k_is_at_least_one(k: int) -> None:
    with pytest.raises(InvalidQueryError, match="at least 1"):
        Query(path=PATH, k=k)


def test_all_hits() -> None:
    assert Query(path=PATH, k=None).k is None


def test_features_by_name() -> None:
    with pytest.raises(InvalidQueryError, match=r"'color'.*conv or fc"):
        Query(path=PATH, feature=cast(TapKind, "color"))


def test_queries_are_values() -> None:
    assert Query(path=PATH) == Query(path=PATH)
    assert len({Query(path=PATH), Query(path=PATH), Query(path=PATH, k=3)}) == 2
    with pytest.raises(AttributeError):
        Query(path=PATH).__setattr__("k", 3)
