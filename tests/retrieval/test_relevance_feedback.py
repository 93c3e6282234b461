from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from indexer.arrays import FloatArray
from indexer.choices import Scope
from indexer.errors import InvalidQueryError
from retrieval.query import Hit, Query
from retrieval.relevance_feedback import SHRINKAGE, UNCERTAIN, ConceptLearner, RelevanceFeedback
from tests.desk import Desk, noisy_desk
from tests.sample import MANIFEST, Sample

# --- learning ----------------------------------------------------------------------------------


def rows(seed: int, count: int, dimension: int) -> FloatArray:
    """Vectors that scatter more in some directions than in others, away from the origin."""
    random = np.random.default_rng(seed)
    drawn = random.normal(size=(count, dimension)) * np.linspace(0.3, 2, dimension) + 0.7
    return drawn.astype(np.float32)


def solve(
    background: FloatArray, positives: FloatArray, negatives: FloatArray
) -> tuple[npt.NDArray[np.float64], float]:
    """Solve (S + sum c x xᵀ) w = sum c y x as it stands; return w and the positives' mean score."""
    mean = background.mean(axis=0, dtype=np.float64)
    centred = background - mean
    dimension = len(mean)
    scatter = centred.T @ centred / len(centred)
    matrix = scatter + SHRINKAGE * np.trace(scatter) / dimension * np.eye(dimension)
    target = np.zeros(dimension)
    for sign, labelled in ((1, positives - mean), (-1, negatives - mean)):
        for x in labelled:
            matrix += np.outer(x, x) / len(labelled)
            target += sign * x / len(labelled)
    weights = np.linalg.solve(matrix, target)
    return weights, float(np.mean((positives - mean) @ weights))


@given(
    seed=st.integers(0, 10_000),
    dimension=st.integers(1, 12),
    positive=st.integers(1, 6),
    negative=st.integers(0, 6),
)
def test_a_concept_is_the_ridge_regression_stretched(
    seed: int, dimension: int, positive: int, negative: int
) -> None:
    background = rows(seed, 40, dimension)
    positives = rows(seed + 1, positive, dimension)
    negatives = rows(seed + 2, negative, dimension)
    weights, reach = solve(background, positives, negatives)
    assume(reach > 0.05)  # what is wanted differs from what is not
    concept = ConceptLearner(background).learn(positives, negatives)

    expected = weights / reach
    np.testing.assert_allclose(concept.weights, expected, atol=2e-4 * np.abs(expected).max())
    assert concept.scores(positives).mean() == pytest.approx(1, abs=1e-3)
    assert concept.scores(background).mean() == pytest.approx(0, abs=1e-3)
    assert concept.length == pytest.approx(np.linalg.norm(concept.weights))
    np.testing.assert_allclose(concept.direction * concept.length, concept.weights, rtol=1e-5)


def test_negatives_push_down_what_is_like_them() -> None:
    learner = ConceptLearner(rows(0, 200, 8))
    wanted = learner.mean + np.eye(8, dtype=np.float32)[:1] + np.eye(8, dtype=np.float32)[1:2]
    unwanted = learner.mean + np.eye(8, dtype=np.float32)[1:2]
    alone = learner.learn(wanted, np.empty((0, 8), np.float32))
    taught = learner.learn(wanted, unwanted)
    assert alone.scores(unwanted)[0] > 0.1
    assert taught.scores(unwanted)[0] < 0
    assert taught.scores(wanted)[0] == pytest.approx(1, abs=1e-3)


def test_repeated_labels_count_once() -> None:
    learner, wanted, unwanted = ConceptLearner(rows(0, 50, 20)), rows(1, 2, 20), rows(2, 1, 20)
    once = learner.learn(wanted, unwanted)
    often = learner.learn(wanted, np.repeat(unwanted, 9, axis=0))
    np.testing.assert_allclose(often.weights, once.weights, rtol=1e-4)


def test_what_cannot_be_learned_from() -> None:
    nothing = np.empty((0, 4), np.float32)
    for background in (nothing, rows(0, 1, 4)):
        with pytest.raises(ValueError, match="at least 2"):
            ConceptLearner(background)
    with pytest.raises(ValueError, match="positive"):
        ConceptLearner(rows(0, 9, 4)).learn(nothing, rows(1, 2, 4))


def test_labels_that_contradict_one_another() -> None:
    vectors = rows(3, 50, 4)
    for background in (vectors, np.repeat(vectors[:1], 5, axis=0)):
        with pytest.raises(InvalidQueryError, match="Remove one of the labels"):
            ConceptLearner(background).learn(vectors[:1], vectors[:1])


# --- teaching, on the sample -------------------------------------------------------------------

SEARCHES: tuple[Scope, ...] = ("image", "region")


def ids_of(sample: Sample, names: list[str]) -> list[int]:
    infos = [sample.store.find_image(sample.path(name)) for name in names]
    return [info.id for info in infos if info is not None]


def ranks(hits: list[Hit]) -> dict[int, int]:
    return {hit.image_id: hit.rank for hit in hits}


def ask(sample: Sample, search: Scope) -> Query:
    return Query(path=sample.path("scene-cat-on-grass.jpg"), search=search, k=None)


@pytest.mark.parametrize("search", SEARCHES)
def test_what_is_labelled_wrong_falls_and_what_is_labelled_right_rises(
    sample: Sample, search: Scope
) -> None:
    feedback, query = RelevanceFeedback(sample.search.collection), ask(sample, search)
    cats, grass = (ids_of(sample, MANIFEST["groups"][name]) for name in ("cat", "grass"))
    labels = {cats[0]: True, grass[0]: False}
    before, after = ranks(feedback.search(query, {})), ranks(feedback.search(query, labels))
    assert set(before) == set(after)
    assert after[grass[0]] > before[grass[0]]
    assert np.mean([after[i] for i in cats]) < np.mean([before[i] for i in cats])
    assert np.mean([after[i] for i in grass]) > np.mean([before[i] for i in grass])
    swapped = ranks(feedback.search(query, {i: not wanted for i, wanted in labels.items()}))
    assert np.mean([swapped[i] for i in cats]) > np.mean([before[i] for i in cats])


@pytest.mark.parametrize("search", SEARCHES)
def test_scores_are_those_of_the_concept_best_first(sample: Sample, search: Scope) -> None:
    feedback, query = RelevanceFeedback(sample.search.collection), ask(sample, search)
    labels = dict.fromkeys(ids_of(sample, ["cat-1.jpg", "cat-2.jpg"]), True)
    hits = feedback.search(query, labels)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert all((hit.region is not None) == (search == "region") for hit in hits)
    if search == "image":
        collection = sample.search.collection
        index = collection.index(sample.store.find_kind("conv", "image"))
        vectors = np.vstack([index.rows_of_image(hit.image_id)[1] for hit in hits])
        expected = feedback.learn(query, labels).scores(vectors)
        np.testing.assert_allclose([hit.score for hit in hits], expected, atol=1e-3)


@pytest.mark.parametrize("search", SEARCHES)
def test_suggested_are_the_most_uncertain_that_have_no_label(sample: Sample, search: Scope) -> None:
    feedback, query = RelevanceFeedback(sample.search.collection), ask(sample, search)
    labels: dict[int, bool] = {}
    for _ in range(3):
        suggested = feedback.suggest(query, labels, 6)
        indecision = [abs(hit.score - UNCERTAIN) for hit in suggested]
        assert indecision == sorted(indecision)
        assert len(suggested) == 6
        assert not {hit.image_id for hit in suggested} & set(labels)
        others = {h.image_id: h for h in feedback.search(query, labels)}
        for hit in suggested:
            del others[hit.image_id]
        rest = [abs(h.score - UNCERTAIN) for i, h in others.items() if i not in labels]
        assert max(indecision) <= min(rest)
        labels |= {hit.image_id: hit.path.name.startswith("cat") for hit in suggested}
    everything = {hit.image_id for hit in feedback.search(query, labels)}
    assert {hit.image_id for hit in feedback.suggest(query, labels, 1000)} == everything - set(
        labels
    )


def test_a_filter_holds_for_taught_hits(sample: Sample) -> None:
    cats = ids_of(sample, MANIFEST["groups"]["cat"])
    query = Query(image_id=cats[0], k=2, allowed=frozenset(cats[1:4]))
    hits = RelevanceFeedback(sample.search.collection).search(query, {cats[4]: True})
    assert len(hits) == 2
    assert {hit.image_id for hit in hits} <= set(cats[1:4])


def test_feedback_and_reranking_cannot_be_combined(sample: Sample) -> None:
    query = Query(path=sample.path("cat-1.jpg"), search="region", rerank=True)
    for ask_feedback in (
        RelevanceFeedback(sample.search.collection).search,
        RelevanceFeedback(sample.search.collection).suggest,
    ):
        with pytest.raises(InvalidQueryError, match="re-ranking"):
            ask_feedback(query, {})


# --- with the colour grid ----------------------------------------------------------------------


@pytest.fixture
def noisy(tmp_path: Path) -> Iterator[Desk]:
    made = noisy_desk(tmp_path)
    yield made
    made.store.close()


@pytest.mark.parametrize("search", SEARCHES)
def test_labels_of_removed_images_are_passed_over(noisy: Desk, search: Scope) -> None:
    gone, kept = noisy.id_of("3.png"), noisy.id_of("5.png")
    noisy.store.remove([gone])
    feedback = RelevanceFeedback(noisy.search().collection)
    query = Query(path=noisy.photos / "0.png", search=search)
    expected = feedback.search(query, {kept: True})
    assert feedback.search(query, {kept: True, gone: False, 10**6: True}) == expected
    assert gone not in ranks(expected)
