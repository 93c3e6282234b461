"""Teaching and tagging, on the sample and on vectors made by chance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.arrays import unit_rows
from indexer.errors import ConceptError, NoImagesError, SpecMismatchError, UnknownConceptError
from indexer.features.spec import FeatureSpec
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.store import Store
from indexer.store.tags import count_tags, tags_of
from retrieval.concept_files import dump_concept, load_concept
from retrieval.concepts import Concept, apply_concept, check_name, learn_concept
from retrieval.engine import SearchEngine
from retrieval.evaluation.metrics import ranked_average_precision
from retrieval.examples import DRAWN, ExamplePaths, find_examples
from retrieval.query import Query
from retrieval.tagging import keep_concept, known_concepts, rename, tag_images, teach
from tests.desk import Desk, noisy_desk
from tests.pictures import plain
from tests.sample import MANIFEST, Sample

CATS = MANIFEST["groups"]["cat"]


@pytest.fixture
def noisy(tmp_path: Path) -> Iterator[Desk]:
    made = noisy_desk(tmp_path)
    yield made
    made.store.close()


def places(desk: Desk, *numbers: int) -> list[Path]:
    return [desk.photos / f"{number}.png" for number in numbers]


def learn(sample: Sample, positives: list[str], negatives: list[str]) -> Concept:
    wanted = ExamplePaths(
        [sample.path(name) for name in positives], [sample.path(name) for name in negatives]
    )
    found = find_examples(sample.search.collection, wanted, "conv")
    return learn_concept("it", "conv", sample.store.spec, found.vectors, found.positive)


def test_what_was_not_shown_is_found(sample: Sample) -> None:
    others = [names[0] for group, names in MANIFEST["groups"].items() if group != "cat"]
    concept = learn(sample, CATS[:3], others)
    applied = apply_concept(sample.store, concept)
    found = dict(zip(applied.image_ids.tolist(), applied.probabilities.tolist(), strict=True))
    probable = {info.path.name: found[info.id] for info in sample.store.image_infos(found).values()}
    ranked = sorted(probable, key=lambda name: -probable[name])
    assert set(CATS[3:]) <= set(ranked[:6])
    assert concept.is_informed
    assert concept.accuracy > 0.9


def test_shuffled_labels_teach_nothing() -> None:
    random = np.random.default_rng(0)
    vectors = unit_rows(random.normal(size=(1200, 32)).astype(np.float32))
    labels = (random.random(1200) < 0.3).astype(np.int8)
    concept = learn_concept("x", "conv", FeatureSpec.create(), vectors[:400], labels[:400] == 1)
    scores = concept.model.scores(vectors[400:])
    assert ranked_average_precision(scores, labels[400:]) == pytest.approx(0.3, abs=0.06)
    assert concept.accuracy == pytest.approx(0.5, abs=0.08)
    probabilities = concept.calibration.probabilities(scores)
    assert probabilities.mean() == pytest.approx(0.3, abs=0.06)
    assert probabilities.std() < 0.1


def test_stored_vectors_are_used_and_others_described(noisy: Desk, tmp_path: Path) -> None:
    outside = plain(tmp_path / "outside.png", (200, 30, 40))
    search = noisy.search()
    runs = noisy.engine.runs
    wanted = ExamplePaths(places(noisy, 0, 1), places(noisy, 2, 3))
    stored = find_examples(search.collection, wanted, "conv")
    assert noisy.engine.runs == runs
    assert stored.positive.tolist() == [True, True, False, False]
    more = find_examples(
        search.collection, replace(wanted, positives=[*wanted.positives, outside]), "conv"
    )
    assert noisy.engine.runs == runs + 1
    assert more.positive.tolist() == [True, True, False, False, True]


def test_a_folder_stands_for_its_images(noisy: Desk) -> None:
    found = find_examples(noisy.search().collection, ExamplePaths([noisy.photos]), "fc")
    assert found.positive.all()
    assert len(found.vectors) == 8


def test_without_negatives_images_are_drawn_by_chance(noisy: Desk) -> None:
    collection = noisy.search().collection
    wanted = ExamplePaths(places(noisy, 0, 1), labels={noisy.id_of("2.png"): False})
    found = find_examples(collection, wanted, "conv")
    assert found.drawn.sum() == 2  # a third of the five that are left
    assert found.positive.sum() == 2
    assert len(found.positive) == 5
    again = find_examples(collection, wanted, "conv")
    assert np.array_equal(found.vectors, again.vectors)
    assert wanted.drawn == DRAWN
    assert find_examples(collection, replace(wanted, drawn=1), "conv").drawn.sum() == 1
    assert not found.positive[found.drawn].any()
    assert found.negatives_given == 1


def test_drawn_images_that_look_like_positives_are_not_taught_as_negatives() -> None:
    random = np.random.default_rng(0)
    positive = np.arange(300) < 40
    shows = positive | (np.arange(300) < 60)  # twenty were drawn that nobody marked
    vectors = random.normal(size=(300, 16)) + 2 * shows[:, None] * np.eye(16)[0]
    rows = unit_rows(vectors.astype(np.float32))
    spec = FeatureSpec.create()
    cleaned = learn_concept("x", "conv", spec, rows, positive, ~positive)
    misled = learn_concept("x", "conv", spec, rows, positive)
    assert misled.negatives == 260
    assert 220 <= cleaned.negatives <= 250
    probable = [c.calibration.probabilities(c.model.scores(rows[40:60])) for c in (cleaned, misled)]
    assert probable[0].mean() > probable[1].mean() + 0.1
    none_drawn = learn_concept("x", "conv", spec, rows, positive, np.zeros(300, bool))
    assert np.array_equal(none_drawn.model.weights, misled.model.weights)


def test_where_all_drawn_images_look_like_positives_others_are_asked_for() -> None:
    rows = unit_rows((np.ones((7, 4)) + 0.3 * np.eye(7, 4)).astype(np.float32))
    rows[3:] = unit_rows(
        np.ones((4, 4), np.float32) + np.float32(1e-3) * np.eye(4, dtype=np.float32)
    )
    positive = np.arange(7) < 3
    with pytest.raises(ConceptError, match="at least 2 negative examples"):
        learn_concept("x", "conv", FeatureSpec.create(), rows, positive, ~positive)


def test_files_that_cannot_be_read_are_left_out_and_named(noisy: Desk, tmp_path: Path) -> None:
    bad = tmp_path / "more" / "bad.jpg"
    bad.parent.mkdir()
    bad.write_text("milk", "utf-8")
    collection = noisy.search().collection
    found = find_examples(collection, ExamplePaths(places(noisy, 0), [bad.parent]), "conv")
    assert [path for path, _ in found.failed] == [str(bad)]
    assert found.positive.tolist() == [True]


def test_contradictions_and_places_without_images(noisy: Desk, tmp_path: Path) -> None:
    collection = noisy.search().collection
    for wanted, error, said in (
        (ExamplePaths(places(noisy, 0), places(noisy, 0)), ConceptError, "positive and as a neg"),
        (
            ExamplePaths(places(noisy, 0), labels={noisy.id_of("0.png"): False}),
            ConceptError,
            "positive and as a neg",
        ),
        (ExamplePaths([tmp_path / "nowhere"]), NoImagesError, "nowhere"),
        (ExamplePaths([noisy.store.path]), NoImagesError, "no image in"),
    ):
        with pytest.raises(error, match=said):
            find_examples(collection, wanted, "conv")


@pytest.mark.parametrize(
    ("positives", "negatives", "said"), [(1, 3, "2 positive"), (3, 1, "2 negative")]
)
def test_too_few_examples(noisy: Desk, positives: int, negatives: int, said: str) -> None:
    wanted = ExamplePaths(places(noisy, *range(positives)), places(noisy, *range(4, 4 + negatives)))
    with pytest.raises(ConceptError, match=f"at least {said}"):
        teach(noisy.store, "x", noisy.search().collection, wanted)
    assert known_concepts(noisy.store) == []


@pytest.mark.parametrize("name", ["", "  ", "a\tb", "x" * 101])
def test_names_that_no_concept_can_have(name: str) -> None:
    with pytest.raises(ConceptError, match="cannot be the name"):
        check_name(name)


@pytest.fixture
def taught(noisy: Desk) -> Desk:
    wanted = ExamplePaths(places(noisy, 0, 1, 2), places(noisy, 4, 5, 6))
    teach(noisy.store, "odd", noisy.search().collection, wanted)
    return noisy


def test_tagging_keeps_what_is_probable_enough(taught: Desk) -> None:
    [concept] = known_concepts(taught.store)
    applied = apply_concept(taught.store, concept)
    for threshold in (0.0, 0.4, 1.0):
        [tagging] = tag_images(taught.store, ["odd"], threshold)
        expected = applied.image_ids[applied.probabilities >= threshold].tolist()
        assert sorted(tagging.probabilities) == sorted(expected)
        values = list(tagging.probabilities.values())
        assert values == sorted(values, reverse=True)
        assert [*find_ids(taught.store, ImageFilter(tags=("odd",)))] == sorted(expected)


def test_k_hits_come_back_where_k_have_the_tag(taught: Desk) -> None:
    tag_images(taught.store, threshold=0)
    [tagging] = tag_images(taught.store, threshold=0.3)
    allowed = frozenset(find_ids(taught.store, ImageFilter(tags=("odd",))))
    assert set(tagging.probabilities) == allowed
    assert 2 <= len(allowed) < 8
    hits = taught.search().search(Query(path=taught.photos / "7.png", k=2, allowed=allowed))
    assert len(hits) == 2
    assert {hit.image_id for hit in hits} <= allowed


def test_a_concept_of_vectors_that_mean_something_else(taught: Desk, tmp_path: Path) -> None:
    [concept] = known_concepts(taught.store)
    other = Store.create(tmp_path / "other", FeatureSpec.create(size_px=96))
    with pytest.raises(SpecMismatchError, match="'odd' was taught on vectors that mean"):
        keep_concept(other, concept)
    other.close()
    values = json.loads(dump_concept(concept)) | {"dimension": 1, "weights": "AACAPw=="}
    with pytest.raises(SpecMismatchError, match="has 1 weights"):
        apply_concept(taught.store, load_concept(json.dumps(values)))


def test_stores_that_differ_in_regions_only_share_concepts() -> None:
    spec = FeatureSpec.create()
    for other in (
        FeatureSpec.create(regions="none"),
        FeatureSpec.create(regions="sliding", overlap=0.5),
        replace(spec, adaptation="0" * 16),
    ):
        assert other.fingerprint != spec.fingerprint
        assert other.image_fingerprint == spec.image_fingerprint
    for other in (FeatureSpec.create(pooling="gem"), FeatureSpec.create(size_px=256)):
        assert other.image_fingerprint != spec.image_fingerprint


def test_there_must_be_something_to_tag_with(noisy: Desk) -> None:
    with pytest.raises(ConceptError, match="taught no concept yet"):
        tag_images(noisy.store)
    with pytest.raises(UnknownConceptError, match="no tag 'x'"):
        tag_images(noisy.store, ["x"])
    with pytest.raises(ConceptError, match="0 to 1"):
        tag_images(noisy.store, threshold=2)


def test_images_that_are_gone_have_no_tags(taught: Desk) -> None:
    tag_images(taught.store, threshold=0)
    assert count_tags(taught.store) == {"odd": 8}
    taught.store.remove([taught.id_of("3.png")])
    assert count_tags(taught.store) == {"odd": 7}
    tag_images(taught.store, threshold=0)
    assert count_tags(taught.store) == {"odd": 7}


def test_a_query_is_an_example(taught: Desk) -> None:
    search: SearchEngine = taught.search()
    query = Query(image_id=taught.id_of("0.png"), search="region")
    wanted = ExamplePaths(labels={taught.id_of("1.png"): True}, queries=[query])
    found = find_examples(search.collection, wanted, "conv")
    assert found.positive.sum() == 2
    [stored] = search.collection.index(taught.store.kind("conv")).rows_of_images(
        np.array([taught.id_of("0.png")])
    )[2]
    assert np.array_equal(found.vectors[found.positive][-1], stored)


def test_a_renamed_concept_still_tags(noisy: Desk) -> None:
    wanted = ExamplePaths(places(noisy, 1, 2, 3))
    teach(noisy.store, "it", noisy.search().collection, wanted)
    [before] = tag_images(noisy.store)
    rename(noisy.store, "it", "  that ")
    assert count_tags(noisy.store) == {"that": len(before.probabilities)}
    first = next(iter(before.probabilities))
    assert tags_of(noisy.store, first)["that"] == pytest.approx(before.probabilities[first])
    [again] = tag_images(noisy.store)
    assert (again.name, again.probabilities) == ("that", before.probabilities)
    rename(noisy.store, "that", "that")
    with pytest.raises(ConceptError, match="cannot be the name of a concept"):
        rename(noisy.store, "that", " ")
    with pytest.raises(UnknownConceptError, match="no tag 'it'"):
        rename(noisy.store, "it", "this")
