"""FixedShapes: models compiled anew for the few shapes that a network is asked most."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any

from indexer.features.openvino_model import CompiledModel, Tensors
from indexer.features.openvino_runtime import ov

Key = tuple[Hashable, tuple[tuple[int, ...], ...]]

OFTEN = 8  # times a shape is asked before a model of its own is compiled
ROOM_BYTES = 128 << 20  # for the weights of all of them
RARE = 2  # a shape gives way to one that is asked so many times as often


class FixedShapes:
    """Keeps models that take inputs of one shape only, for the shapes that are asked most.

    A model that takes any shape sets itself up for each that differs from the last one, which is
    a tenth of what an image takes; one that takes a single shape never does. They are compiled in
    the background, while whoever asks goes on with the other. Each holds weights of its own.
    """

    def __init__(self, core: ov.Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._asked: Counter[Key] = Counter()
        self._models: dict[Key, Future[CompiledModel]] = {}
        self._weights: dict[Hashable, int] = {}  # of a part, in bytes

    def find(self, part: Hashable, model: Any, cores: int, inputs: Tensors) -> CompiledModel | None:
        """Return a model for the shapes of these inputs, if it is there by now.

        `model` is what it is made of, `part` its name here, and `cores` is as in `CompiledModel`.
        """
        shapes = tuple(tuple(tensor.shape) for tensor in inputs)
        key = (part, shapes)
        with self._lock:
            self._asked[key] += 1
            if key not in self._models and self._asked[key] >= OFTEN:
                self._begin(key, model, cores)
            found = self._models.get(key)
        return found.result() if found is not None and found.done() else None

    def wait(self) -> None:
        """Wait until all that has begun is compiled."""
        for future in list(self._models.values()):
            future.result()

    def _begin(self, key: Key, model: Any, cores: int) -> None:
        """Have a model compiled, if there is room for it or something asked less gives way."""
        part, shapes = key
        if part not in self._weights:
            self._weights[part] = _bytes_of_weights(model)
        room = ROOM_BYTES - sum(self._weights[held] for held, _ in self._models)
        leaving: list[Key] = []
        for other in sorted(self._models, key=self._asked.__getitem__):
            if room >= self._weights[part] or self._asked[other] * RARE > self._asked[key]:
                break
            leaving.append(other)
            room += self._weights[other[0]]
        if room >= self._weights[part]:
            for other in leaving:
                del self._models[other]
            self._models[key] = self._thread.submit(self._compile, model, shapes, cores)

    def _compile(self, model: Any, shapes: tuple[tuple[int, ...], ...], cores: int) -> Any:
        fixed = model.clone()
        fixed.reshape({place: ov.PartialShape(list(shape)) for place, shape in enumerate(shapes)})
        return CompiledModel(self._core, fixed, cores=cores, kept=False)

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "compile")


def _bytes_of_weights(model: Any) -> int:
    """Return how many bytes the constants of a model take."""
    constants = (op for op in model.get_ops() if op.get_type_name() == "Constant")
    return sum(constant.get_byte_size() for constant in constants)
