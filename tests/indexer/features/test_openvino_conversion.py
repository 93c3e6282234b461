"""A network is converted once, keeps its first layers in float32, and is never half written."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.features.backbones import BACKBONES, DEFAULT_BACKBONE, Backbone
from indexer.features.engines import openvino_conversion
from indexer.features.engines.openvino import OpenVinoEngine
from indexer.features.engines.openvino_conversion import find_or_convert
from indexer.features.engines.openvino_runtime import compile_model, ov
from indexer.features.engines.protocols import activations_of
from indexer.features.extractor import FeatureExtractor
from tests.pictures import noise

op = ov.opset13
LITE0 = BACKBONES[DEFAULT_BACKBONE]


def doubling() -> Any:
    """A model of three layers, `first`, `second` and `third`, each of which doubles."""
    image = op.parameter([1, -1, -1, 3], ov.Type.u8)
    values = op.convert(image, ov.Type.f32).output(0)
    for name in ("first", "second", "third"):
        layer = op.multiply(values, op.constant(np.float32(2)))
        layer.set_friendly_name(f"__module.network.{name}/aten::mul/Multiply")
        values = layer.output(0)
    return ov.Model([op.result(values)], [image])


def precise_layers(path: Path) -> list[str]:
    """The layers of a model file that OpenVINO is told to run in float32, in order."""
    return [
        layer.get_friendly_name()
        for layer in ov.Core().read_model(path).get_ordered_ops()
        if any(name.startswith("Disable") for name, _ in layer.get_rt_info().items())
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where models are kept, which is empty; converting gives `doubling`."""
    monkeypatch.setenv("CBIR_CACHE", str(tmp_path))
    monkeypatch.setattr(openvino_conversion, "_convert", lambda *_: doubling())
    return tmp_path / "models"


@pytest.fixture
def backbone() -> Backbone:
    return dataclasses.replace(LITE0, precise_module="second")


@pytest.mark.usefixtures("folder")
def test_the_layers_up_to_the_precise_module_stay_in_float32(backbone: Backbone) -> None:
    names = precise_layers(find_or_convert(backbone))
    kept = [name.removeprefix("__module.network.").split("/")[0] for name in names]
    assert kept[-2:] == ["first", "second"]
    assert "third" not in kept


@pytest.mark.usefixtures("folder")
def test_without_a_precise_module_every_layer_may_be_rounded(backbone: Backbone) -> None:
    plain = dataclasses.replace(backbone, precise_module="")
    assert precise_layers(find_or_convert(plain)) == []


@pytest.mark.usefixtures("folder")
def test_a_mark_changes_nothing_in_float32(backbone: Backbone) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    model = ov.Core().compile_model(find_or_convert(backbone), "CPU", options)
    np.testing.assert_array_equal(model([image])[0], 8.0 * image)


def test_the_default_network_is_precise_in_its_first_layers(lite0: FeatureExtractor) -> None:
    engine = OpenVinoEngine(LITE0, lite0.spec.taps)
    kept = precise_layers(engine.model_file)
    modules = [name.removeprefix("__module.network.") for name in kept]
    assert any(module.startswith("bn1.") for module in modules)
    assert any(module.startswith("blocks.0.") for module in modules)
    assert not any(module.startswith(("blocks.1", "blocks.6", "classifier")) for module in modules)


@pytest.mark.parametrize("taps", [("head", "fc", "stage4"), ("stage6",), ("fc", "head")])
def test_a_model_of_few_taps_is_made_from_that_of_all(
    taps: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = find_or_convert(LITE0)
    monkeypatch.setattr(openvino_conversion, "_convert", lambda _: pytest.fail("converted again"))
    engine = OpenVinoEngine(LITE0, taps)
    assert engine.model_file == path
    model = engine.read_model()
    channels = [output.get_partial_shape()[1].get_length() for output in model.outputs]
    assert channels == [LITE0.taps[tap].channels for tap in taps]
    [activations] = activations_of(engine, [noise(1, 96, 128)])
    assert list(activations) == list(taps)


def test_the_bits_are_those_of_a_network_that_was_converted_for_its_taps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taps = ("stage4", "head")
    images = [noise(number, 96, 64 + 32 * number) for number in range(6)]
    found = activations_of(OpenVinoEngine(LITE0, taps), images)
    monkeypatch.setenv("CBIR_CACHE", str(tmp_path))
    own = dataclasses.replace(LITE0, taps={tap: LITE0.taps[tap] for tap in taps})
    for some, same in zip(found, activations_of(OpenVinoEngine(own, taps), images), strict=True):
        for tap in taps:
            np.testing.assert_array_equal(some[tap], same[tap])


def test_a_converted_model_is_found_again(
    folder: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = find_or_convert(backbone)
    assert {kept.suffix for kept in folder.iterdir()} == {".xml", ".bin"}

    def refuse(*_: object) -> None:
        raise AssertionError("the model was converted again")

    monkeypatch.setattr(openvino_conversion, "_convert", refuse)
    assert find_or_convert(backbone) == path


def test_other_taps_weights_or_conversions_have_models_of_their_own(
    folder: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [
        find_or_convert(backbone),
        find_or_convert(dataclasses.replace(backbone, taps={"head": LITE0.taps["head"]})),
        find_or_convert(dataclasses.replace(backbone, weights="others")),
    ]
    monkeypatch.setattr(openvino_conversion, "CONVERSION", openvino_conversion.CONVERSION + 1)
    paths.append(find_or_convert(backbone))
    assert len(set(paths)) == 4
    assert len(list(folder.iterdir())) == 8


def fail_to_save(_: object, path: Path, **__: object) -> None:
    path.write_text("<half>", "utf-8")
    raise OSError("the disk is full")


def fail_to_mark(path: Path, _: object) -> None:
    path.write_text("<half>", "utf-8")
    raise OSError("the disk is full")


def fail_to_move(source: Path, target: Path) -> None:
    if target.suffix == ".xml":
        raise OSError("the disk is full")
    source.rename(target)


@pytest.mark.parametrize(
    ("place", "name", "failure"),
    [
        (ov, "save_model", fail_to_save),
        (openvino_conversion, "_keep_float32", fail_to_mark),
        (os, "replace", fail_to_move),
    ],
    ids=["saving", "marking", "moving"],
)
def test_a_conversion_cut_short_leaves_nothing_that_looks_like_a_model(
    folder: Path, backbone: Backbone, place: object, name: str, failure: Callable[..., None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, failure)
        with pytest.raises(OSError, match="disk is full"):
            find_or_convert(backbone)
    assert not list(folder.glob("*.xml"))
    assert not [path for path in folder.iterdir() if path.is_dir()]

    options = {"INFERENCE_PRECISION_HINT": "f32"}
    model = ov.Core().compile_model(find_or_convert(backbone), "CPU", options)
    [pixel] = model([np.ones((1, 1, 1, 3), np.uint8)])[0].reshape(1, 3)
    assert pixel.tolist() == [8, 8, 8]


def test_a_cache_that_fails_is_done_without() -> None:
    """As when two processes fill it at the same time."""

    class Disturbed:
        def compile_model(self, *_: object) -> None:
            raise RuntimeError("Can't get permissions: No such file or directory")

    core: Any = Disturbed()
    compiled = compile_model(core, doubling(), {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.all(compiled(np.ones((1, 2, 2, 3), np.uint8))[0] == 8)
