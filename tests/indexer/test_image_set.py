"""ImageSet: a set of images by their ids."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.image_set import ImageSet
from retrieval.query import Query

IDS = st.frozensets(st.integers(0, 40) | st.integers(-(2**63), 2**63 - 1), max_size=20)


@given(IDS, IDS)
def test_it_is_what_a_set_is(one: frozenset[int], two: frozenset[int]) -> None:
    first, second = ImageSet.of(one), ImageSet.of(two)
    assert [*first] == sorted(one)
    assert len(first) == len(one)
    assert [*(first & second)] == sorted(one & two)
    assert [i for i in two if i in first] == [i for i in two if i in one]
    asked = np.array([*two], np.int64)
    assert first.has(asked).tolist() == [i in one for i in asked.tolist()]
    assert first.without(asked).tolist() == sorted(one - two)
    assert (first == second) == (one == two)
    assert hash(first) == hash(ImageSet.of([*one, *one]))
    assert first != [*first]


@given(IDS)
def test_ids_in_any_collection_make_the_same_query(ids: frozenset[int]) -> None:
    wanted = Query(image_id=1, allowed=ImageSet.of(ids))
    for given_ids in (ids, set(ids), [*ids, *ids], tuple(ids), np.array([*ids], np.int64)):
        query = Query(image_id=1, allowed=given_ids)
        assert query == wanted
        assert hash(query) == hash(wanted)
        assert isinstance(query.allowed, ImageSet)


def test_a_query_takes_a_set_as_it_is() -> None:
    some = ImageSet.of([3, 1])
    query = Query(image_id=1, allowed=some)
    assert query.allowed is some
    assert copy.copy(query).allowed == some
    assert pickle.loads(pickle.dumps(query)) == query  # noqa: S301 - made right here
    assert Query(image_id=1).allowed is None
    assert "ImageSet(2 ids: 1, 3)" in repr(query)


def test_nobody_changes_a_set() -> None:
    ids = np.array([1, 2, 3], np.int64)
    some = ImageSet.of(ids)
    ids[0] = 9
    assert [*some] == [1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        some.ids[0] = 9


@pytest.mark.parametrize(
    "ids", [["a"], [1.5], [None], [2**63], np.array([1.0]), np.array([2], np.uint64)]
)
def test_what_are_no_ids_is_refused(ids: list[int]) -> None:
    with pytest.raises(TypeError, match="image ids are integers"):
        ImageSet.of(ids)


def test_an_array_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="int64"):
        ImageSet(np.array([1], np.int32))
    for ids in ([2, 1], [1, 1]):
        with pytest.raises(ValueError, match="ascend"):
            ImageSet(np.array(ids, np.int64))
