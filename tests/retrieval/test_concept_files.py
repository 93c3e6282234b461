from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.arrays import unit_rows
from indexer.errors import InvalidConceptError
from indexer.features.spec import FeatureSpec
from retrieval.concept_files import FORMAT, MAX_BYTES, dump_concept, load_concept
from retrieval.concepts import Concept, learn_concept


def concept(seed: int = 0) -> Concept:
    random = np.random.default_rng(seed)
    vectors = unit_rows(random.normal(size=(30, 8)).astype(np.float32))
    positive = vectors[:, 0] > 0.2
    return learn_concept(" cat ", "conv", FeatureSpec.create(), vectors, positive)


def test_a_concept_comes_back_as_it_was() -> None:
    given = concept()
    text = dump_concept(given)
    for form in (text, text.encode()):
        read = load_concept(form)
        vectors = unit_rows(np.random.default_rng(1).normal(size=(9, 8)).astype(np.float32))
        assert np.array_equal(read.model.scores(vectors), given.model.scores(vectors))
        assert read.calibration == given.calibration
        assert (read.name, read.feature, read.fingerprint) == (
            "cat",
            "conv",
            FeatureSpec.create().image_fingerprint,
        )
        assert (read.positives, read.negatives, read.accuracy) == (
            given.positives,
            given.negatives,
            given.accuracy,
        )


def test_it_is_json_that_names_its_format() -> None:
    values = json.loads(dump_concept(concept()))
    assert values["format"] == FORMAT == "cbir concept 1"
    assert len(base64.b64decode(values["weights"])) == 4 * values["dimension"] == 32


def changed(**changes: Any) -> str:
    values = json.loads(dump_concept(concept())) | changes
    return json.dumps({name: value for name, value in values.items() if value is not ...})


NAN = base64.b64encode(np.full(8, np.nan, "<f4").tobytes()).decode()
HUGE = base64.b64encode(np.full(8, 3e38, "<f4").tobytes()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "1" * 10_000,
        "[" * 100_000,
        b"\xff\xfe\x00",
        b"\x80\x04\x95",
        " " * (MAX_BYTES + 1),
        changed(format="cbir concept 2"),
        changed(format=...),
        changed(name=""),
        changed(name=3),
        changed(name="a\nb"),
        changed(name="x" * 101),
        changed(feature="region"),
        changed(feature=None),
        changed(feature=["conv"]),
        changed(fingerprint=7),
        changed(dimension=7),
        changed(dimension=0),
        changed(dimension=-8),
        changed(dimension=8.0),
        changed(dimension=True),
        changed(dimension=10**400),
        changed(weights=[1.0] * 8),
        changed(weights="not base64!"),
        changed(weights=""),
        changed(weights=NAN),
        changed(weights=HUGE),
        changed(offset=float("nan")),
        changed(offset=float("inf")),
        changed(offset="1"),
        changed(offset=None),
        changed(offset=True),
        changed(offset=10**400),
        changed(slope=-1),
        changed(intercept=...),
        changed(prior=0),
        changed(prior=1),
        changed(positives=0),
        changed(negatives=2.5),
        changed(accuracy=1.5),
    ],
)
def test_files_that_are_not_valid(text: str | bytes) -> None:
    with pytest.raises(InvalidConceptError, match="concept file is not valid") as error:
        load_concept(text)
    assert len(str(error.value)) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from([*json.loads(dump_concept(concept()))]), JSON)
def test_any_value_in_any_place_is_read_or_refused(name: str, value: Any) -> None:
    try:
        read = load_concept(changed(**{name: value}))
    except InvalidConceptError:
        return
    assert np.isfinite(read.model.weights).all()


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidConceptError):
        load_concept(data)
