"""InferenceEngine: images in, activations at the taps out; OpenVINO or torch behind it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import platformdirs

from indexer.errors import EngineError
from indexer.features.backbones import Backbone
from indexer.images import Pixels

EngineName = Literal["auto", "openvino", "torch"]
Activations = dict[str, npt.NDArray[np.float32]]
T = TypeVar("T")


class InferenceEngine(Protocol):
    """Runs a backbone up to its taps.

    `run` takes RGB images (H, W, 3) uint8, of any sizes that the backbone allows, and returns for
    each its activations by tap: conv (channels, h, w) and fc (channels,), float32. What is
    beside an image in the call never changes its result beyond rounding. `apply` returns what `use`
    makes of the activations of each image, given its place; they may be overwritten after the call
    of `use`, which may come from several threads at once, and must not ask the engine anything.

    `batched` says whether images run faster together than one by one in several threads.
    """

    description: str
    batched: bool

    def run(self, images: Sequence[Pixels]) -> list[Activations]: ...

    def apply(self, images: Sequence[Pixels], use: Callable[[int, Activations], T]) -> list[T]: ...


def cache_folder() -> Path:
    """Return the folder for converted models (`CBIR_CACHE`, else the user's cache folder)."""
    return Path(os.environ.get("CBIR_CACHE") or platformdirs.user_cache_dir("cbir"))


def load_engine(
    backbone: Backbone, taps: Sequence[str], engine: EngineName = "auto"
) -> InferenceEngine:
    """Load the engine for `backbone`.

    `auto` takes torch on a GPU and for `timm:` models, whose conversion would hold for one image
    size only, and OpenVINO otherwise.

    Raises `EngineError` for a name that does not exist, `WeightsMissingError` for missing weights.
    """
    if engine == "auto":
        engine = choose_engine(backbone)
    if engine == "openvino":
        if backbone.name.startswith("timm:"):
            raise EngineError(f"{backbone.name} runs in torch only; use --engine torch.")
        from indexer.features.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(backbone, taps)
    if engine == "torch":
        from indexer.features.torch_engine import TorchEngine

        return TorchEngine(backbone, taps)
    raise EngineError(f"There is no engine {engine!r}; choose auto, openvino or torch.")


def choose_engine(backbone: Backbone) -> EngineName:
    """Return the engine that `auto` means for a backbone on this machine."""
    return "torch" if backbone.name.startswith("timm:") or _has_gpu() else "openvino"


def _has_gpu() -> bool:
    """Whether torch would find a GPU; torch itself is imported only where a driver is present."""
    if "torch" not in sys.modules and not any(
        Path(p).exists() for p in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    ):
        return False
    import torch

    return torch.cuda.is_available()
