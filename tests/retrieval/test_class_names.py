from __future__ import annotations

import numpy as np
import pytest
from torchvision.models import EfficientNet_B0_Weights

from indexer.errors import InvalidQueryError
from indexer.features.backbones import BACKBONES
from indexer.features.classes import class_names
from indexer.features.regions import Region
from indexer.features.spec import FeatureSpec
from retrieval.class_names import classes_of_images, likeliest, match_classes, text_vector
from retrieval.query import Query
from tests.sample import MANIFEST, Sample

NAMES = class_names("imagenet-1k")


def test_the_names_are_torchvisions_in_their_order() -> None:
    assert [own[0] for own in NAMES] == EfficientNet_B0_Weights.DEFAULT.meta["categories"]
    assert all(name and name == name.strip() for own in NAMES for name in own)


def test_only_taps_of_a_thousand_outputs_are_class_scores() -> None:
    scored = {
        (backbone.name, name)
        for backbone in BACKBONES.values()
        for name, tap in backbone.taps.items()
        if tap.classes
    }
    assert scored == {
        ("efficientnet_lite0", "fc"),
        ("efficientnet_lite1", "fc"),
        ("efficientnet_lite2", "fc"),
        ("resnet50", "fc"),
        ("convnext_tiny", "fc"),
    }
    assert all(BACKBONES[backbone].taps[tap].channels == 1000 for backbone, tap in scored)


def matched(text: str) -> list[str]:
    return [NAMES[place][0] for place in match_classes(NAMES, text)]


def test_matching() -> None:
    assert matched("espresso") == ["espresso"]
    assert matched("  TABBY cat ") == ["tabby"]
    assert matched("crane") == ["crane bird", "crane"]  # a name of both
    cats = matched("cat")
    assert cats[:4] == ["tabby", "tiger cat", "Persian cat", "Siamese cat"]
    assert len(cats) <= 8
    assert "espresso maker" in matched("maker")


@pytest.mark.parametrize(
    ("text", "said"), [("expresso", "Close ones are espresso"), ("qqqq", "more common"), ("!", "!")]
)
def test_words_that_are_no_class(text: str, said: str) -> None:
    with pytest.raises(InvalidQueryError, match="1,000 classes") as error:
        match_classes(NAMES, text)
    assert said in str(error.value)


def test_a_text_is_a_unit_vector() -> None:
    vector = text_vector(NAMES, "crane")
    assert np.flatnonzero(vector).tolist() == match_classes(NAMES, "crane")
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert likeliest(NAMES, vector, 2) == ["crane bird", "crane"]


@pytest.mark.parametrize(("text", "group"), [("espresso", "coffee"), ("tabby", "cat")])
def test_words_find_the_photos(sample: Sample, text: str, group: str) -> None:
    query = Query.for_store(sample.store.spec, text=text, k=4)
    assert (query.feature, query.search) == ("fc", "image")
    hits = sample.search.search(query)
    assert {hit.path.name for hit in hits} <= {*MANIFEST["groups"][group], *MANIFEST["scenes"]}
    assert hits[0].path.name in MANIFEST["groups"][group]
    assert all(hit.confidence is None and hit.verdict is None for hit in hits)


def test_a_word_and_an_image_asked_together(sample: Sample) -> None:
    spec = sample.store.spec
    word = Query.for_store(spec, text="espresso", k=3)
    image = Query.for_store(spec, path=sample.path("cat-1.jpg"), feature="fc", k=3)
    other = Query.for_store(spec, text="tabby", k=3)
    alone = [sample.search.search(query) for query in (word, image, other)]
    assert sample.search.search_many([word, image, other]) == alone


def test_a_filter_holds_for_words(sample: Sample) -> None:
    found = sample.store.find_image(sample.path("rocket-1.jpg"))
    assert found is not None
    query = Query.for_store(sample.store.spec, text="tabby", allowed=frozenset({found.id}))
    assert [hit.image_id for hit in sample.search.search(query)] == [found.id]


def test_the_likeliest_classes_of_images(sample: Sample) -> None:
    found = {
        image_id: names
        for ids, classes in classes_of_images(sample.store, 20)
        for image_id, names in zip(ids, classes, strict=True)
    }
    infos = sample.store.image_infos(found)
    assert len(infos) == len(found) == len(list(sample.path("").glob("*.jpg")))
    for image_id, names in found.items():
        if infos[image_id].path.name == "coffee-1.jpg":
            assert names[0] == "espresso"
        if infos[image_id].path.name.startswith("cat-"):
            assert {"tabby", "tiger cat", "Egyptian cat"} & set(names)


def test_impossible_combinations() -> None:
    for fields, said in (
        ({"feature": "conv"}, "fc features"),
        ({"search": "region"}, "fc features"),
        ({"box": Region(0, 0, 9, 9)}, "no box"),
        ({"verify": True}, "no box"),
        ({"turns": True}, "no box"),
        ({"min_confidence": 0.5}, "no confidence"),
        ({"image_id": 3}, "exactly one"),
        ({"rerank": True}, "fc features|Re-ranking"),
    ):
        with pytest.raises(InvalidQueryError, match=said):
            Query.for_store(FeatureSpec.create(), text="cat", **fields)
    with pytest.raises(InvalidQueryError, match="empty"):
        Query.for_store(FeatureSpec.create(), text="  ")
