"""The OpenVINO engine: several times torch's speed on a CPU, and no torch at run time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from indexer.features.backbones import Backbone
from indexer.features.engine import Activations, Pixels, cache_folder

# Raised when the conversion changes, so that models converted before are not used.
CONVERSION = 1


class OpenVinoEngine:
    """Runs the backbone in OpenVINO, one image a request, several requests at a time.

    The model is converted from torch once, kept in `cache_folder()`, and takes images of any
    size. Precision is bf16 where the processor has it, else f32. See `InferenceEngine`.
    """

    def __init__(self, backbone: Backbone, taps: Sequence[str]) -> None:
        self.taps = list(taps)
        core = ov.Core()
        core.set_property({"CACHE_DIR": str(cache_folder() / "compiled")})
        has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        precision = "bf16" if has_bf16 else "f32"
        model = core.read_model(_converted(backbone, self.taps))
        options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"}
        compiled = core.compile_model(model, "CPU", options)
        self._queue = ov.AsyncInferQueue(compiled)
        self._queue.set_callback(self._collect)
        self._lock = threading.Lock()
        name = core.get_property("CPU", "FULL_DEVICE_NAME")
        self.description = f"OpenVINO {ov.__version__.split('-')[0]}, {name.strip()}, {precision}"

    def run(self, images: Sequence[Pixels]) -> list[Activations]:
        results: list[Activations] = [{} for _ in images]
        with self._lock:  # callers in other threads share the requests
            try:
                for i, image in enumerate(images):
                    self._queue.start_async({0: image[None]}, (results, i))
            finally:
                self._queue.wait_all()  # also on Ctrl-C: no request outlives its images
        return results

    def _collect(self, request: Any, place: tuple[list[Activations], int]) -> None:
        results, i = place
        for output, tap in enumerate(self.taps):
            data = request.get_output_tensor(output).data
            results[i][tap] = np.array(data[0], dtype=np.float32)


def _converted(backbone: Backbone, taps: Sequence[str]) -> Path:
    """Return the converted model, made on first use; an unfinished file is never left behind."""
    key = "|".join((str(CONVERSION), ov.__version__, backbone.weights, *taps))
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    folder = cache_folder() / "models"
    name = backbone.name.replace(":", "-").replace("/", "-")
    path = folder / f"{name}-{digest}.xml"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / path.name
            ov.save_model(_convert(backbone, taps), made, compress_to_fp16=False)
            os.replace(made.with_suffix(".bin"), path.with_suffix(".bin"))
            os.replace(made, path)  # the .xml is what is looked for: it comes last
    return path


def _convert(backbone: Backbone, taps: Sequence[str]) -> Any:
    import torch

    from indexer.features.networks import build_network

    network = build_network(backbone, taps)
    side = max(2 * backbone.multiple_px, 2 * backbone.min_size_px)
    example = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")  # torch.jit's deprecation and tracer notes
        model = ov.convert_model(network, example_input=example)
    model.reshape(ov.PartialShape([1, -1, -1, 3]))
    return model
