"""The OpenVINO engine: several times torch's speed on a CPU, and no torch at run time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from queue import SimpleQueue
from typing import Any, Literal

import numpy as np

from indexer.arrays import Pixels
from indexer.features.backbones import Backbone
from indexer.features.engines.openvino_conversion import find_or_convert, up_to_taps
from indexer.features.engines.openvino_runtime import (
    choose_precision,
    compile_model,
    new_core,
    ov,
)
from indexer.features.engines.protocols import Activations, T

Hint = Literal["LATENCY", "THROUGHPUT"]

SPARE_REQUESTS = 2  # so that no core waits while the outputs of others are used
FEW_IMAGES = 4  # what one query shows the network: here the time of each image counts
SHAPES = 32  # OpenVINO keeps what it prepares for each, some MB; compiling again takes 0.1 s


class OpenVinoEngine:
    """Runs the backbone in OpenVINO; see `InferenceEngine`.

    A few images run one after the other, each on all cores; many run side by side, each on one
    core. Both ways give the same bits: OpenVINO's kernels share out an image's outputs among
    threads, never the terms of a sum.
    """

    def __init__(self, backbone: Backbone, taps: Sequence[str]) -> None:
        self.taps = list(taps)
        self.precision = choose_precision()
        self.model_file = find_or_convert(backbone)
        self._backbone = backbone
        self._core = new_core()
        self._models: dict[Hint, _Model] = {}
        self._loading = threading.Lock()
        name = self._core.get_property("CPU", "FULL_DEVICE_NAME").strip()
        version = ov.__version__.split("-")[0]
        self.description = f"OpenVINO {version}, {name}, {self.precision}"

    def run(self, images: Sequence[Pixels], use: Callable[[int, Activations], T]) -> list[T]:
        few = len(images) <= FEW_IMAGES
        model = self._model("LATENCY" if few else "THROUGHPUT", {image.shape for image in images})

        def run_one(place: int) -> T:
            return use(place, dict(zip(self.taps, model.infer(images[place]), strict=True)))

        if few:
            return [run_one(place) for place in range(len(images))]
        return model.map(run_one, range(len(images)))

    def _model(self, hint: Hint, shapes: set[tuple[int, ...]]) -> _Model:
        """Return the model for images of these shapes, compiled again after `SHAPES` others."""
        with self._loading:
            model = self._models.get(hint)
            if model is None or len(model.shapes | shapes) > max(SHAPES, len(shapes)):
                model = self._models[hint] = _Model(self._compile(hint))
            model.shapes |= shapes
            return model

    def _compile(self, hint: Hint) -> Any:
        options = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": hint,
            "ENABLE_CPU_PINNING": False,  # every model and process would pin the same cores
        }
        return compile_model(self._core, self.read_model(), options)

    def read_model(self) -> Any:
        """Return the network up to the taps, not compiled yet."""
        return up_to_taps(self._core.read_model(self.model_file), self._backbone, self.taps)


class _Model:
    """A compiled model with as many requests as it runs at a time; threads take turns at them."""

    def __init__(self, compiled: Any) -> None:
        streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests = streams + SPARE_REQUESTS
        self.shapes: set[tuple[int, ...]] = set()
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self._requests):
            self._idle.put(compiled.create_infer_request())

    def infer(self, image: Pixels) -> list[np.ndarray]:
        """Return the outputs for an image (H, W, 3), without the batch axis."""
        request = self._idle.get()
        try:
            request.infer([np.ascontiguousarray(image)[None]], share_inputs=True)
            return [np.array(tensor.data[0]) for tensor in request.output_tensors]
        finally:
            self._idle.put(request)

    def map(self, function: Callable[[int], T], places: Sequence[int]) -> list[T]:
        """Call `function` for each place, in as many threads as there are requests."""
        return list(self._threads.map(function, places))

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._requests, "network")
