"""InferenceEngine: images in, activations at the taps out; OpenVINO or torch behind it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt
import platformdirs

from indexer.errors import EngineError
from indexer.features.backbones import Backbone
from indexer.features.pooling import FloatArray
from indexer.features.spec import FeatureSpec
from indexer.features.windows import Boxes
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
    `in_turn` is for callers that are several threads themselves: it comes from theirs only.

    `batched` says whether images run faster together than one by one in several threads.
    """

    description: str
    batched: bool

    def run(self, images: Sequence[Pixels]) -> list[Activations]: ...

    def apply(
        self,
        images: Sequence[Pixels],
        use: Callable[[int, Activations], T],
        *,
        in_turn: bool = False,
    ) -> list[T]: ...


class Windowed(Protocol):
    """An image ready for the network, and windows in it, in shares of its sides.

    `pixels` (H, W, 3) uint8 are asked for once, in the thread that forwards the image; their
    `shape` is known before.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def pixels(self) -> Pixels: ...

    @property
    def boxes(self) -> Boxes: ...


@dataclass(frozen=True)
class KeptMaps:
    """Pooled activations to keep, as `PooledMaps` gives them."""

    conv: FloatArray
    before_fc: FloatArray
    rows: dict[str, FloatArray]


class PooledMaps(Protocol):
    """The activations of one image, pooled; nothing is normalised yet.

    `conv` gives (C,) for the conv tap, `before_fc` (C',) what `Pooler.fc` makes the fc tap of, and
    `rows` (R, C) by region tap for the R windows. Each is worked out when it is asked for, and may
    be overwritten after the call for which these are; what `kept` returns is not.
    """

    def conv(self) -> FloatArray: ...

    def before_fc(self) -> FloatArray: ...

    def rows(self) -> dict[str, FloatArray]: ...

    def kept(self) -> KeptMaps: ...


class Pooler(Protocol):
    """Forwards images and pools their activations where they arise, without handing maps out.

    `look` returns what `use` makes of each image's pooled activations, under the conditions of
    `InferenceEngine.apply`. `fc` returns the activations (N, D') of the fc tap for the `before_fc`
    (N, C') of several images: what lies between the two takes its time to be read from memory.
    `use` may ask for that.
    """

    def look(
        self,
        images: Sequence[Windowed],
        use: Callable[[int, PooledMaps], T],
        *,
        in_turn: bool = False,
    ) -> list[T]: ...

    def fc(self, before: FloatArray) -> FloatArray: ...


@runtime_checkable
class PoolingEngine(Protocol):
    """An engine that may have a pooler: None where it cannot pool as a spec says."""

    def pooler(self, spec: FeatureSpec) -> Pooler | None: ...


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
