"""Choosing and loading an inference engine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from indexer.choices import ENGINES, EngineName
from indexer.errors import EngineError
from indexer.features.backbones import TIMM_PREFIX, Backbone
from indexer.features.engines.protocols import InferenceEngine


def load_engine(
    backbone: Backbone, taps: Sequence[str], engine: EngineName = "auto"
) -> InferenceEngine:
    """Load the engine for `backbone`.

    `auto` chooses torch on a GPU and for `timm:` models, whose conversion would hold for one image
    size only, and OpenVINO otherwise.

    Raises `EngineError` for an unknown name, `WeightsMissingError` for missing weights.
    """
    if engine == "auto":
        engine = choose_engine(backbone)
    if engine == "openvino":
        if backbone.name.startswith(TIMM_PREFIX):
            raise EngineError(f"{backbone.name} runs in torch only; use --engine torch.")
        from indexer.features.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(backbone, taps)
    if engine == "torch":
        from indexer.features.engines.torch import TorchEngine

        return TorchEngine(backbone, taps)
    raise EngineError(f"There is no engine {engine!r}; choose from {', '.join(ENGINES)}.")


def choose_engine(backbone: Backbone) -> EngineName:
    """Return the engine that `auto` means for a backbone on this machine."""
    return "torch" if backbone.name.startswith(TIMM_PREFIX) or _has_gpu() else "openvino"


def _has_gpu() -> bool:
    """Whether torch would find a GPU; torch is imported only where a driver is present."""
    if "torch" not in sys.modules and not any(
        Path(p).exists() for p in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    ):
        return False
    import torch

    return torch.cuda.is_available()
