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
AT_ONCE = 8  # images that a caller who is not alone hands over before it takes results


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
        self,
        shapes: Sequence[tuple[int, ...]],
        inputs: Callable[[int], Tensors],
        use: Callable[[int, Arrays], T],
        *,
        in_turn: bool = False,
    ) -> list[T]:
        """Return what `use` makes of the outputs for `inputs` of images of these shapes.

        Both are called in several threads: the caller's begins with the last image, the others
        with the first. Many images are taken by shape, some at a time: a network that has to
        change its shape loses time. With `in_turn` they are called in the caller's thread only, in
        order.
        """
        count = len(shapes)
        if in_turn or count < 2:
            return self._apply_in_turn(range(count), inputs, use)
        many = count > FEW * self._streams
        threads = min(count, self._streams + (SPARE_THREADS if many else 0))
        order = sorted(range(count), key=shapes.__getitem__) if many else range(count)
        size = min(AT_ONCE, max(1, count // (FEW * threads)))
        todo = deque(order[first : first + size] for first in range(0, count, size))
        done: dict[int, T] = {}

        def work(take: Callable[[], Sequence[int]]) -> None:
            while todo:
                try:
                    places = take()
                except IndexError:  # another thread was faster
                    return
                done.update(zip(places, self._apply_in_turn(places, inputs, use), strict=True))

        futures = [self._threads.submit(work, todo.popleft) for _ in range(threads - 1)]
        try:
            work(todo.pop)
            for future in futures:
                if not future.cancel():
                    future.result()
        finally:
            todo.clear()  # on Ctrl-C: what has not begun is not begun any more
            wait(futures)
        return [done[i] for i in range(count)]

    def _apply_in_turn(
        self,
        images: Sequence[int],
        inputs: Callable[[int], Tensors],
        use: Callable[[int, Arrays], T],
    ) -> list[T]:
        """See `apply`. What is done for one image is done for the next while its code is at hand.

        A network leaves nothing else in the processor's cache: alone, the few lines of Python
        round each image would take several times as long.
        """
        done: list[T] = []
        for first in range(0, len(images), AT_ONCE):
            places = images[first : first + AT_ONCE]
            requests = self._requests(len(places))
            started: list[_Request] = []
            try:
                for place, request in zip(places, requests, strict=True):
                    request.start(inputs(place))
                    started.append(request)
            finally:
                for request in started:
                    request.wait()
            done += [use(place, r.outputs()) for place, r in zip(places, requests, strict=True)]
        return done

    def _requests(self, count: int) -> list[_Request]:
        """Return requests of this thread, made where there are too few."""
        if not hasattr(self._own, "requests"):
            self._own.requests = []
        own: list[_Request] = self._own.requests
        while len(own) < count:
            own.append(_Request(self._model))
        return own[:count]


class _Request:
    """A place for one image; its outputs hold until it starts again."""

    def __init__(self, model: Any) -> None:
        self._request = model.create_infer_request()
        self._outputs = range(len(model.outputs))
        self._inputs: list[ov.Tensor | None] = [None] * len(model.inputs)

    def start(self, inputs: Tensors) -> None:
        for place, tensor in enumerate(inputs):
            if self._inputs[place] is not tensor:
                self._request.set_input_tensor(place, tensor)
        self._inputs = list(inputs)
        # Whichever stream is free takes it. `infer` would wait for the one of this thread.
        self._request.start_async()

    def wait(self) -> None:
        self._request.wait()

    def outputs(self) -> Arrays:
        return [self._request.get_output_tensor(place).data for place in self._outputs]


def to_tensor(array: np.ndarray) -> ov.Tensor:
    """Return a tensor over the memory of an array; of a copy where that is read-only."""
    return ov.Tensor(np.ascontiguousarray(array), shared_memory=array.flags.writeable)
