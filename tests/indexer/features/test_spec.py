from __future__ import annotations

import dataclasses
import json

import pytest

from indexer.errors import FeatureError, SpecMismatchError, UnknownBackboneError
from indexer.features.spec import FeatureSpec


def test_what_is_not_chosen_comes_from_the_backbone() -> None:
    spec = FeatureSpec.create("vgg16", fc="fc6", conv=None)
    assert (spec.conv, spec.fc) == ("conv5", "fc6")
    assert spec.weights == "VGG16_Weights.IMAGENET1K_V1"


def test_the_json_is_canonical_and_reads_back() -> None:
    spec = FeatureSpec.create("resnet50", pooling="gem", gem_p=2.5, size_px=320)
    text = spec.to_json()
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert " " not in text
    assert FeatureSpec.from_json(text) == spec
    assert FeatureSpec.from_json(text).fingerprint == spec.fingerprint


def test_the_fingerprint_of_a_written_spec_never_changes() -> None:
    # Stores on disk carry it: a new field needs a migration, not another number here.
    text = (
        '{"backbone":"efficientnet_lite0","conv":"head","fc":"fc","gem_p":3.0,'
        '"pooling":"rmac","size_px":256,"weights":"efficientnet-lite0-57934424"}'
    )
    spec = FeatureSpec("efficientnet_lite0", "efficientnet-lite0-57934424", "head", "fc")
    assert spec.to_json() == text
    digest = "788e84e98cec65f35074333dc325b395965e0c303327632345695eb3adcb2f6c"
    assert spec.fingerprint == digest


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "vgg16"},
        {"weights": "other"},
        {"conv": "stage4"},
        {"fc": "fc6"},
        {"pooling": "mac"},
        {"gem_p": 4.0},
        {"size_px": 224},
    ],
)
def test_every_field_counts_in_the_fingerprint(change: dict[str, object]) -> None:
    spec = FeatureSpec.create()
    other = dataclasses.replace(spec, **change)  # type: ignore[arg-type]
    assert set(change) <= {field.name for field in dataclasses.fields(spec)}
    assert other.fingerprint != spec.fingerprint
    with pytest.raises(SpecMismatchError, match=next(iter(change))):
        spec.require_same(other, where="photos/.cbir")


def test_the_same_number_is_the_same_spec() -> None:
    whole, real = FeatureSpec.create(gem_p=3), FeatureSpec.create(gem_p=3.0)
    assert whole.fingerprint == real.fingerprint


def test_a_mismatch_names_store_both_values_and_remedy() -> None:
    built, asked = FeatureSpec.create(), FeatureSpec.create(pooling="gem", size_px=224)
    built.require_same(FeatureSpec.create(), where="x")
    with pytest.raises(SpecMismatchError) as caught:
        built.require_same(asked, where="photos/.cbir")
    message = str(caught.value)
    for part in ("photos/.cbir", "pooling=rmac", "pooling=gem", "size_px=256", "--rebuild"):
        assert part in message
    assert "backbone" not in message


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownBackboneError, match=r"efficientnet_lite0.*alexnet.*timm:MODEL"):
        FeatureSpec.create("vgg17")
    with pytest.raises(UnknownBackboneError, match=r"no tap 'conv9'; it has conv4, conv5, fc6"):
        FeatureSpec.create("vgg16", conv="conv9")
    with pytest.raises(FeatureError, match="spoc, mac, gem, rmac"):
        FeatureSpec.create(pooling="median")


@pytest.mark.parametrize(
    "choices",
    [
        {"conv": "fc"},
        {"fc": "head"},
        {"size_px": 16},
        {"size_px": 5000},
        {"gem_p": 0.5},
        {"gem_p": float("nan")},
        {"gem_p": float("inf")},
    ],
)
def test_values_out_of_range(choices: dict[str, object]) -> None:
    with pytest.raises(FeatureError):
        FeatureSpec.create("efficientnet_lite0", **choices)
