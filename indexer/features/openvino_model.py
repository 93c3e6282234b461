"""CompiledModel: a model as OpenVINO runs it, and the requests of each thread that asks it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from indexer.features.openvino_runtime import fast_precision, ov

Arrays = Sequence[np.ndarray]
Tensors = Sequence[ov.Tensor]


class CompiledModel:
    """A compiled model. Several threads may ask at once, each with requests of its own.

    It runs `at_once` requests at a time, as many as suit the processor; with `cores` one, on so
    many cores, or on all of them where that is 0. With `kept` it is on the disk for the next
    process.
    """

    def __init__(
        self, core: ov.Core, model: Any, *, cores: int | None = None, kept: bool = True
    ) -> None:
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": fast_precision(core),
            "PERFORMANCE_HINT": "THROUGHPUT" if cores is None else "LATENCY",
            # Each model, and each process, would tie its threads to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        if cores:
            options["INFERENCE_NUM_THREADS"] = cores
        if not kept:
            options["CACHE_DIR"] = ""
        self._model = core.compile_model(model, "CPU", options)
        self._own = threading.local()
        self.at_once = int(self._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def requests(self, count: int) -> list[Request]:
        """Return requests of this thread, made where there are too few."""
        if not hasattr(self._own, "requests"):
            self._own.requests = []
        own: list[Request] = self._own.requests
        while len(own) < count:
            own.append(Request(self._model))
        return own[:count]

    def run(self, inputs: Tensors) -> Request:
        """Return a request of this thread that has run."""
        [request] = self.requests(1)
        if self.at_once > 1:
            request.start(inputs)
            request.wait()
        else:
            request.run(inputs)
        return request


class Request:
    """A place for one input; its outputs hold until it starts again."""

    def __init__(self, model: Any) -> None:
        self._request = model.create_infer_request()
        self._outputs = range(len(model.outputs))
        self._inputs: list[ov.Tensor | None] = [None] * len(model.inputs)

    def start(self, inputs: Tensors) -> None:
        """Begin, on whichever cores are free first."""
        self._take(inputs)
        self._request.start_async()  # `infer` would wait for the stream of this thread

    def wait(self) -> None:
        """Wait for the end of what was started."""
        self._request.wait()

    def run(self, inputs: Tensors) -> None:
        """Begin and wait, with the caller's thread at work: for a model on certain cores."""
        self._take(inputs)
        self._request.infer()

    def tensors(self) -> Tensors:
        """Return the outputs, to be put into another model."""
        return [self._request.get_output_tensor(place) for place in self._outputs]

    def outputs(self) -> Arrays:
        """Return the outputs as arrays."""
        return [tensor.data for tensor in self.tensors()]

    def _take(self, inputs: Tensors) -> None:
        for place, tensor in enumerate(inputs):
            if self._inputs[place] is not tensor:
                self._request.set_input_tensor(place, tensor)
        self._inputs = list(inputs)


def to_tensor(array: np.ndarray) -> ov.Tensor:
    """Return a tensor over the memory of an array; of a copy where that is read-only."""
    return ov.Tensor(np.ascontiguousarray(array), shared_memory=array.flags.writeable)
