"""A network compiled by OpenVINO, and the threads that run it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from indexer.features.engine import T
from indexer.features.openvino_runtime import fast_precision, ov

Arrays = Sequence[np.ndarray]
Tensors = Sequence[ov.Tensor]

FEW = 4  # images for each stream: their time counts, not how many are done in it
SPARE_THREADS = 2  # so that no stream waits while Python hands results on


class OpenVinoNetwork:
    """Runs a model on one image a thread, as many at a time as the processor has streams."""

    def __init__(self, core: ov.Core, model: Any) -> None:
        options = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": fast_precision(core),
        }
        self._model = core.compile_model(model, "CPU", options)
        self._streams = int(self._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._threads = ThreadPoolExecutor(self._streams + SPARE_THREADS, "openvino")
        self._own = threading.local()

    def apply(
        self, count: int, inputs: Callable[[int], Tensors], use: Callable[[int, Arrays], T]
    ) -> list[T]:
        """Return what `use` makes of the outputs for `inputs` of each of `count` images.

        Both are called in the threads that run the model. The caller's thread begins with the last
        image, the others with the first.
        """
        if count == 1:
            return [use(0, self._run(inputs(0)))]
        todo = deque(range(count))
        done: dict[int, T] = {}

        def work(take: Callable[[], int]) -> None:
            while todo:
                try:
                    i = take()
                except IndexError:  # another thread was faster
                    return
                done[i] = use(i, self._run(inputs(i)))

        spare = SPARE_THREADS if count > FEW * self._streams else 0
        helpers = min(count, self._streams + spare) - 1
        futures = [self._threads.submit(work, todo.popleft) for _ in range(helpers)]
        try:
            work(todo.pop)
            for future in futures:
                if not future.cancel():
                    future.result()
        finally:
            todo.clear()  # on Ctrl-C: what has not begun is not begun any more
            wait(futures)
        return [done[i] for i in range(count)]

    def _run(self, inputs: Tensors) -> Arrays:
        """Return the outputs, which hold until this thread's next run."""
        own = self._own
        if not hasattr(own, "request"):
            own.request = self._model.create_infer_request()
            own.inputs = [None] * len(inputs)
        for place, tensor in enumerate(inputs):
            if own.inputs[place] is not tensor:
                own.request.set_input_tensor(place, tensor)
        own.inputs = inputs
        # Whichever stream is free takes it. `infer` would wait for the one of this thread.
        own.request.start_async()
        own.request.wait()
        return [tensor.data for tensor in own.request.output_tensors]


def to_tensor(array: np.ndarray) -> ov.Tensor:
    """Return a tensor over the memory of an array; of a copy where that is read-only."""
    return ov.Tensor(np.ascontiguousarray(array), shared_memory=array.flags.writeable)
