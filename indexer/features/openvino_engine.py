"""The OpenVINO engine: several times torch's speed on a CPU, and no torch at run time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from indexer.features.backbones import Backbone
from indexer.features.engine import Activations, cache_folder
from indexer.features.openvino_runtime import load_converter, ov
from indexer.images import Pixels

# Raised when the conversion changes, so that models converted before are not used.
CONVERSION = 4
SPARE_THREADS = 2  # so that no stream waits while Python hands results on


class OpenVinoEngine:
    """Runs the backbone in OpenVINO, one image a thread, as many threads as it has streams.

    The model is converted from torch once, kept in `cache_folder()`, and takes images of any
    size. Precision is bf16 where the processor has it, else f32. The first layers, as far as the
    backbone's `precise_module`, are always f32: they see the grey levels themselves, and
    what bf16 rounds off there is seen in every vector. See `InferenceEngine`.
    """

    def __init__(self, backbone: Backbone, taps: Sequence[str]) -> None:
        self.taps = list(taps)
        core = ov.Core()
        core.set_property({"CACHE_DIR": str(cache_folder() / "compiled")})
        has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        precision = "bf16" if has_bf16 else "f32"
        self._stages = []
        for path in _converted(backbone, self.taps, precision):
            options = {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "INFERENCE_PRECISION_HINT": "f32" if path.stem.endswith("-front") else precision,
            }
            self._stages.append(core.compile_model(core.read_model(path), "CPU", options))
        streams = self._stages[-1].get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._threads = ThreadPoolExecutor(streams + SPARE_THREADS, "openvino")
        self._own = threading.local()
        name = core.get_property("CPU", "FULL_DEVICE_NAME")
        self.description = f"OpenVINO {ov.__version__.split('-')[0]}, {name.strip()}, {precision}"

    def run(self, images: Sequence[Pixels]) -> list[Activations]:
        futures = [self._threads.submit(self._forward, image) for image in images]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:  # on Ctrl-C: what has not begun is not begun any more
                future.cancel()
            wait(futures)

    def _forward(self, image: Pixels) -> Activations:
        if not hasattr(self._own, "requests"):
            self._own.requests = [stage.create_infer_request() for stage in self._stages]
        inputs = ov.Tensor(image[None])
        for request in self._own.requests:
            request.set_input_tensor(inputs)
            request.infer()
            inputs = request.get_output_tensor(0)
        last = self._own.requests[-1]
        return {
            tap: np.array(last.get_output_tensor(output).data[0], dtype=np.float32)
            for output, tap in enumerate(self.taps)
        }


def _converted(backbone: Backbone, taps: Sequence[str], precision: str) -> list[Path]:
    """Return the converted models, to be run one after the other; they are made on first use.

    An unfinished file is never left behind.
    """
    key = "|".join((str(CONVERSION), ov.__version__, precision, backbone.weights, *taps))
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    folder = cache_folder() / "models"
    name = backbone.name.replace(":", "-").replace("/", "-")
    stages = ("front", "back") if backbone.precise_module else ("whole",)
    paths = [folder / f"{name}-{digest}-{stage}.xml" for stage in stages]
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        model = _convert(backbone, taps)
        models = [model]
        if backbone.precise_module:
            models = cut(model, backbone.precise_module, getattr(ov.Type, precision))
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            for path, part in zip(paths, models, strict=True):
                made = Path(scratch) / path.name
                ov.save_model(part, made, compress_to_fp16=False)
                os.replace(made.with_suffix(".bin"), path.with_suffix(".bin"))
                os.replace(made, path)  # the .xml is what is looked for: it comes last
    return paths


def cut(model: Any, module: str, precision: ov.Type) -> list[Any]:
    """Cut a converted model behind the torch module of this name; what runs first comes first.

    The second part runs in `precision`.
    """
    prefix = f"__module.network.{module}"
    edge = [
        op.output(0)
        for op in model.get_ordered_ops()
        if op.get_friendly_name().startswith((f"{prefix}.", f"{prefix}/"))
        and len(op.output(0).get_partial_shape()) == 4  # (B, channels, h, w)
    ][-1]
    targets = list(edge.get_target_inputs())
    # What is handed over has the precision of the second part: half of the bytes are to be moved.
    rest = ov.opset13.parameter(edge.get_partial_shape(), precision)
    widened = ov.opset13.convert(rest, edge.get_element_type())
    for target in targets:
        target.replace_source_output(widened.output(0))
    front = ov.opset13.convert(edge, precision)
    return [
        ov.Model([ov.opset13.result(front)], model.get_parameters()),
        ov.Model(model.get_results(), [rest]),
    ]


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
