"""The OpenVINO engine: several times torch's speed on a CPU, and no torch at run time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from indexer.features.backbones import Backbone
from indexer.features.engine import Activations, Pooler, T, cache_folder
from indexer.features.openvino_marks import keep_precise, work_in_blocks
from indexer.features.openvino_model import Arrays, to_tensor
from indexer.features.openvino_network import OpenVinoNetwork
from indexer.features.openvino_pooling import OpenVinoPooler
from indexer.features.openvino_runtime import fast_precision, load_converter, ov
from indexer.features.spec import FeatureSpec
from indexer.images import Pixels

# Raised when the conversion changes, so that models converted before are not used.
CONVERSION = 6
PROCESSOR = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
LARGEST_CORNER = 256  # of a window of R-MAC, in cells: up to there bf16 holds whole numbers


class OpenVinoEngine:
    """Runs the backbone in OpenVINO: many images one a thread, a single one on all cores.

    The model is converted from torch once, kept in `cache_folder()`, and takes images of any
    size. Precision is bf16 where the processor has it, else f32. The first layers, as far as the
    backbone's `precise_module`, are always f32: they see the grey levels themselves, and
    what bf16 rounds off there is seen in every vector. `model_file` is the converted model. See
    `InferenceEngine` and `PoolingEngine`.
    """

    batched = False

    def __init__(self, backbone: Backbone, taps: Sequence[str]) -> None:
        self.taps = list(taps)
        self._backbone = backbone
        self._core = ov.Core()
        self._core.set_property({"CACHE_DIR": str(cache_folder() / "compiled")})
        self.model_file = _converted(backbone, self.taps, self._core)
        self._loading = threading.Lock()
        self._network: OpenVinoNetwork | None = None
        self._poolers: dict[tuple[str, ...], OpenVinoPooler] = {}
        name = self._core.get_property("CPU", "FULL_DEVICE_NAME").strip()
        version = ov.__version__.split("-")[0]
        self.description = f"OpenVINO {version}, {name}, {fast_precision(self._core)}"

    def run(self, images: Sequence[Pixels]) -> list[Activations]:
        return self.apply(images, _copied)

    def apply(
        self,
        images: Sequence[Pixels],
        use: Callable[[int, Activations], T],
        *,
        in_turn: bool = False,
    ) -> list[T]:
        def named(place: int, outputs: Arrays) -> T:
            maps = (output[0] for output in outputs)
            return use(place, dict(zip(self.taps, maps, strict=True)))

        with self._loading:
            if self._network is None:
                self._network = OpenVinoNetwork(self._core, self._core.read_model(self.model_file))
        return self._network.apply(
            [image.shape for image in images],
            lambda i: [to_tensor(images[i][None])],
            named,
            in_turn=in_turn,
        )

    def pooler(self, spec: FeatureSpec) -> Pooler | None:
        stride = self._backbone.tap(spec.conv).stride_px
        too_large = spec.longest_side_px > stride * LARGEST_CORNER
        if spec.pooling != "rmac" or not self._backbone.even_maps or too_large:
            return None
        key = (spec.conv, spec.fc, *spec.region_taps)
        with self._loading:
            if key not in self._poolers:
                self._poolers[key] = OpenVinoPooler(
                    self._core,
                    self._core.read_model(self.model_file),
                    self.taps,
                    self._backbone,
                    spec,
                )
            return self._poolers[key]


def _copied(_: int, activations: Activations) -> Activations:
    return {tap: values.copy() for tap, values in activations.items()}


def _converted(backbone: Backbone, taps: Sequence[str], core: ov.Core) -> Path:
    """Return the model as converted for this processor, which is done on first use.

    An unfinished file is never left behind.
    """
    processor = [core.get_property("CPU", name) for name in PROCESSOR]
    key = "|".join(map(str, (CONVERSION, ov.__version__, *processor, backbone.weights, *taps)))
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    folder = cache_folder() / "models"
    name = backbone.name.replace(":", "-").replace("/", "-")
    path = folder / f"{name}-{digest}.xml"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        model = _convert(backbone, taps)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / path.name
            ov.save_model(model, made, compress_to_fp16=False)
            if backbone.precise_module:
                keep_precise(made, _layers_up_to(model, backbone.precise_module))
            if backbone.blocked:
                work_in_blocks(made, core)
            os.replace(made.with_suffix(".bin"), path.with_suffix(".bin"))
            os.replace(made, path)  # the .xml is what is looked for: it comes last
    return path


def _layers_up_to(model: Any, module: str) -> set[str]:
    """Return the names of the layers that run before the last one of a torch module, and of it."""
    prefix = f"__module.network.{module}"
    names = [op.get_friendly_name() for op in model.get_ordered_ops()]
    last = max(i for i, name in enumerate(names) if name.startswith((f"{prefix}.", f"{prefix}/")))
    return set(names[: last + 1])


def _convert(backbone: Backbone, taps: Sequence[str]) -> Any:
    import torch

    from indexer.features.networks import build_network

    network = build_network(backbone, taps)
    side = max(2 * backbone.multiple_px, 2 * backbone.min_size_px)
    example = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")  # torch.jit's deprecation and tracer notes
        model = load_converter()(network, example_input=example)
    model.reshape(ov.PartialShape([1, -1, -1, 3]))
    return model
