from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.choices import Scope
from indexer.errors import InvalidQueryError
from indexer.features.regions import Region
from retrieval.confidence import (
    CONFIDENT,
    HIGHEST,
    LEAST,
    PROVED,
    SAMPLED,
    ChanceScores,
    calibrate,
)
from retrieval.query import Query
from tests.sample import SCENES, Sample


def chance(mean: float = 0.2, deviation: float = 0.1) -> ChanceScores:
    return ChanceScores(np.array([mean]), np.array([deviation]))


def test_it_is_the_probability_that_all_unrelated_images_score_less() -> None:
    # Half of them score more than the mean.
    assert chance().confidences([0.2], 1) == pytest.approx([0.5])
    assert chance().confidences([0.2], 3) == pytest.approx([0.125])
    [confidence] = chance().confidences([0.2 + 0.1 * 1.6448536], 1)
    assert confidence == pytest.approx(0.95)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=9), st.integers(1, 10**7))
def test_it_grows_with_the_score_and_falls_with_the_number_of_images(
    scores: list[float], images: int
) -> None:
    few = chance().confidences(sorted(scores), images)
    many = chance().confidences(sorted(scores), 2 * images)
    assert few == sorted(few)
    assert all(0 <= m <= f <= 1 for m, f in zip(many, few, strict=True))


@given(st.floats(-1, 1), st.integers(1, 10**7))
def test_a_score_alone_is_never_certain(score: float, images: int) -> None:
    narrow = chance(deviation=1e-6)
    assert narrow.confidences([score], images)[0] < PROVED
    assert narrow.confidences([1.0], images) == [HIGHEST]


@pytest.mark.parametrize("search", ["image", "region"])
def test_a_confidence_of_one_is_a_proof(sample: Sample, search: Scope) -> None:
    box = SCENES["scene-cat-and-cup.jpg"]["coffee"]
    asked = Query(path=sample.path("scene-cat-and-cup.jpg"), box=box, search=search, k=None)
    hits = sample.search.search(replace(asked, verify=True))
    certain = [hit for hit in hits if hit.confidence == PROVED]
    assert 0 < len(certain) < len(hits)
    assert certain == [hit for hit in hits if hit.verdict in {"same picture", "same object"}]
    assert sample.search.search(replace(asked, verify=True, min_confidence=1)) == certain


def test_a_query_unlike_the_others_does_not_change_it() -> None:
    ordinary = ChanceScores(np.full(9, 0.2), np.full(9, 0.1))
    odd = ChanceScores(np.array([0.2] * 8 + [0.9]), np.array([0.1] * 8 + [0.4]))
    scores = [0.3, 0.5, 0.7]
    assert odd.confidences(scores, 100) == pytest.approx(ordinary.confidences(scores, 100))


def test_a_store_is_calibrated_by_its_own_images(sample: Sample) -> None:
    collection = sample.search.collection
    kind = sample.store.find_kind("conv", "region")
    part = collection.chance_scores(kind)
    whole = collection.chance_scores(kind, sample.store.find_kind("conv", "image"))
    assert part is not None
    assert whole is not None
    assert len(part.means) == min(SAMPLED, collection.image_count)
    assert (part.deviations > 0).all()
    assert not np.array_equal(part.means, whole.means)
    index = collection.index(kind)
    ids = collection.index(sample.store.find_kind("conv", "image")).live_ids()
    again = calibrate(index, ids)
    assert again is not None
    np.testing.assert_array_equal(again.means, part.means)
    assert calibrate(index, ids[: LEAST - 1]) is None


@pytest.mark.parametrize("search", ["image", "region"])
def test_the_right_hits_are_confident_and_noise_is_not(sample: Sample, search: Scope) -> None:
    found = sample.search.search(Query(path=sample.path("cat-1.jpg"), search=search, k=5))
    assert [hit.verdict for hit in found] == ["same picture", *["similar"] * 4]
    assert all(hit.confidence is not None and hit.confidence >= CONFIDENT[search] for hit in found)
    # A plain piece of sky is in none of the others.
    sky = Query(path=sample.path("rocket-1.jpg"), box=Region(0, 0, 40, 40), search="region", k=None)
    first, *others = sample.search.search(sky)
    assert (first.path.name, first.verdict) == ("rocket-1.jpg", "same object")
    verdicts = [str(hit.verdict) for hit in others]
    assert verdicts == sorted(verdicts)
    assert verdicts[-1] == "weak"


@pytest.mark.parametrize(("search", "least"), [("image", 0.95), ("region", 0.995)])
def test_hits_are_similar_from_a_confidence_on(sample: Sample, search: Scope, least: float) -> None:
    hits = [
        hit
        for name in sorted(SCENES)
        for box in SCENES[name].values()
        for hit in sample.search.search(
            Query(path=sample.path(name), box=box, search=search, k=None)
        )
        if hit.path.name != name
    ]
    similar = [hit.confidence or 0 for hit in hits if hit.verdict == "similar"]
    weak = [hit.confidence or 0 for hit in hits if hit.verdict == "weak"]
    assert len(similar) + len(weak) == len(hits)
    assert max(weak) < least <= min(similar)
    assert any(abs(confidence - least) < 0.05 for confidence in weak + similar)


def test_hits_below_the_least_confidence_are_left_out(sample: Sample) -> None:
    box = SCENES["scene-cat-and-cup.jpg"]["coffee"]
    query = Query(path=sample.path("scene-cat-and-cup.jpg"), box=box, search="region", k=None)
    every = sample.search.search(query)
    bar = 0.9
    kept = sample.search.search(
        Query(path=query.path, box=box, search="region", k=None, min_confidence=bar)
    )
    assert 0 < len(kept) < len(every)
    assert [hit.image_id for hit in kept] == [
        hit.image_id for hit in every if (hit.confidence or 0) >= bar
    ]
    assert [hit.rank for hit in kept] == list(range(1, len(kept) + 1))


@pytest.mark.parametrize("bar", [-0.1, 1.1])
def test_a_confidence_is_a_probability(bar: float) -> None:
    with pytest.raises(InvalidQueryError, match="0 to 1"):
        Query(image_id=1, min_confidence=bar)
