from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from indexer.choices import SCOPES
from indexer.errors import FeatureError, SpecMismatchError, UnknownBackboneError
from indexer.features.backbones import BACKBONES, DEFAULT_BACKBONE
from indexer.features.spec import FeatureSpec, VectorKind


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
        '{"adaptation":"","aspects":[0.5,2.0],"backbone":"efficientnet_lite0","conv":"head",'
        '"crop_px":160,"fc":"fc","gem_p":3.0,"overlap":0.45,"pooling":"rmac",'
        '"region_taps":["stage4","head"],"regions":"grid","resampling":"linear",'
        '"scales":[0.7,0.31],"size_px":256,'
        '"weights":"efficientnet-lite0-57934424","whitening":"f3a53cb92759d109"}'
    )
    spec = FeatureSpec(
        backbone="efficientnet_lite0",
        weights="efficientnet-lite0-57934424",
        conv="head",
        fc="fc",
        pooling="rmac",
        gem_p=3.0,
        size_px=256,
        regions="grid",
        scales=(0.7, 0.31),
        aspects=(0.5, 2.0),
        overlap=0.45,
        crop_px=160,
        region_taps=("stage4", "head"),
        whitening="f3a53cb92759d109",
    )
    assert spec.to_json() == text
    digest = "21fff92c335b315c43bf80ca3acd8a190eeca621e603c870d64afce336a1aaad"
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
        {"resampling": "bicubic"},
        {"regions": "sliding"},
        {"scales": (0.5,)},
        {"aspects": (1.0, 2.0)},
        {"overlap": 0.2},
        {"crop_px": 128},
        {"region_taps": ("head",)},
        {"whitening": ""},
        {"adaptation": "0123456789abcdef"},
    ],
)
def test_every_field_counts_in_the_fingerprint(change: dict[str, Any]) -> None:
    spec = FeatureSpec.create()
    other = dataclasses.replace(spec, **change)
    assert set(change) <= {field.name for field in dataclasses.fields(spec)}
    assert other.fingerprint != spec.fingerprint
    with pytest.raises(SpecMismatchError, match=next(iter(change))):
        spec.require_same(other, where="photos/.cbir")


def test_the_same_number_is_the_same_spec() -> None:
    whole = FeatureSpec.create(gem_p=3, scales=[1], aspects=(1, 2))
    real = FeatureSpec.create(gem_p=3.0, scales=(1.0,), aspects=[1.0, 2.0])
    assert whole.fingerprint == real.fingerprint


def test_the_default_describes_regions_with_the_shipped_whitening() -> None:
    spec = FeatureSpec.create()
    backbone = BACKBONES[DEFAULT_BACKBONE]
    assert (spec.regions, spec.region_taps) == ("grid", backbone.region_taps)
    assert spec.whitening == backbone.whitenings["grid"]
    assert set(spec.taps) == {spec.conv, spec.fc, *backbone.region_taps}


def test_taps_of_ones_own_take_no_whitening() -> None:
    assert FeatureSpec.create(region_taps=("head",)).whitening == ""
    spec = FeatureSpec.create("vgg16", conv="conv4")
    assert (spec.region_taps, spec.whitening) == (("conv4",), "")


def test_without_regions_nothing_of_them_is_read() -> None:
    spec = FeatureSpec.create(regions="none")
    assert (spec.region_taps, spec.whitening, spec.taps) == ((), "", ("head", "fc"))


@pytest.mark.parametrize(
    ("scheme", "names"),
    [
        ("none", ["conv", "fc"]),
        ("grid", ["conv", "fc", "region"]),
        ("sliding", ["conv", "fc", "region", "region_fc"]),
    ],
)
def test_kinds_of_vectors_by_scheme(scheme: str, names: list[str]) -> None:
    spec = FeatureSpec.create(regions=scheme)
    assert [kind.name for kind in spec.kinds] == names
    for scope in SCOPES:
        assert spec.kinds_of(scope) == tuple(kind for kind in spec.kinds if kind.scope == scope)
    for kind in spec.kinds:
        assert spec.find_kind(kind.feature, kind.scope) == kind


def test_what_each_kind_is_read_from() -> None:
    spec = FeatureSpec.create(regions="sliding", conv="stage4")
    taps = BACKBONES[DEFAULT_BACKBONE].region_taps
    assert spec.kinds == (
        VectorKind("conv", ("stage4",), "conv", "image"),
        VectorKind("fc", ("fc",), "fc", "image"),
        VectorKind("region", taps, "conv", "region"),
        VectorKind("region_fc", ("fc",), "fc", "region"),
    )
    assert FeatureSpec.create().find_kind("fc", "region") is None
    assert FeatureSpec.create(regions="none").find_kind("conv", "region") is None


def test_a_mismatch_names_store_both_values_and_remedy() -> None:
    built, asked = FeatureSpec.create(), FeatureSpec.create(pooling="gem", size_px=224)
    built.require_same(FeatureSpec.create(), where="x")
    with pytest.raises(SpecMismatchError) as caught:
        built.require_same(asked, where="photos/.cbir")
    message = str(caught.value)
    for part in (
        "photos/.cbir",
        "pooling=rmac",
        "pooling=gem",
        f"size_px={built.size_px}",
        "--rebuild",
    ):
        assert part in message
    assert "backbone" not in message


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownBackboneError, match=r"efficientnet_lite0.*alexnet.*timm:MODEL"):
        FeatureSpec.create("vgg17")
    with pytest.raises(UnknownBackboneError, match=r"no tap 'conv9'; it has conv4, conv5, fc6"):
        FeatureSpec.create("vgg16", conv="conv9")
    with pytest.raises(FeatureError, match="spoc, mac, gem, rmac"):
        FeatureSpec.create(pooling="median")
    with pytest.raises(FeatureError, match="linear, bicubic"):
        FeatureSpec.create(resampling="nearest")


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
        {"regions": "rings"},
        {"scales": (0.7, 0.04)},
        {"scales": (1.1,)},
        {"scales": (float("nan"),)},
        {"aspects": (0.05,)},
        {"aspects": (11,)},
        {"overlap": -0.1},
        {"overlap": 0.95},
        {"overlap": float("nan")},
        {"crop_px": 16},
        {"region_taps": ("fc",)},
        {"region_taps": ("nose",)},
    ],
)
def test_values_out_of_range(choices: dict[str, object]) -> None:
    with pytest.raises(FeatureError):
        FeatureSpec.create("efficientnet_lite0", **choices)
