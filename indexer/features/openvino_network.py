"""A network in OpenVINO, and the threads that run it: compiled for many images, and for few."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cached_property
from typing import Any, Literal

from indexer.features.engine import T
from indexer.features.openvino_fixed import FixedShapes
from indexer.features.openvino_marks import take_any_layout
from indexer.features.openvino_model import Arrays, CompiledModel, Tensors
from indexer.features.openvino_runtime import ov

Part = Literal["many", "beside", "one", "first", "second"]
Shapes = Sequence[tuple[int, ...]]

FEW = 4  # images for each stream: their time counts, not how many are done in it
SPARE_THREADS = 2  # so that no stream waits while Python hands results on
AT_ONCE = 8  # images that a caller who is not alone hands over before it takes results
CORES: dict[Part, int] = {"beside": 1, "one": 0, "first": 1, "second": 0}


class OpenVinoNetwork:
    """Runs a model on one image a thread, as many at a time as the processor has streams.

    A single image has all cores. `cut` is an output inside the model from which all that it gives
    follows: there the way of the last of a few images is cut in two, see `apply`. What it takes to
    run in each of these ways is compiled when it is first due.
    """

    def __init__(self, core: ov.Core, model: Any, cut: ov.Output | None = None) -> None:
        self._core = core
        self._source = model
        self._cut = cut
        self._loading = threading.Lock()
        self._models: dict[Part, CompiledModel] = {}
        self._fixed = FixedShapes(core)
        self._alone = threading.Lock()
        self._asked_for_few = False

    def apply(
        self,
        shapes: Shapes,
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

        While nobody else asks the caller has all cores: for a single image; and for the second
        part of the last image, where the others are done by then. There the shapes asked most
        have models of their own.
        """
        if in_turn or not shapes:
            return self._apply_in_turn(range(len(shapes)), inputs, use)
        alone = self._alone.acquire(blocking=False)
        try:
            if len(shapes) > 1:
                return self._apply_at_once(shapes, inputs, use, self._ending(shapes, alone=alone))
            if alone:
                return [self._apply_through(["one"], 0, inputs, use)]
            return self._apply_in_turn([0], inputs, use)
        finally:
            if alone:
                self._alone.release()

    def _ending(self, shapes: Shapes, *, alone: bool) -> list[Part]:
        """Return the parts that the last image goes through; nothing where that does not pay.

        The others are done soon after the first part is, or little is gained. Nor is it the first
        time: a command asks once, and has two models less to load.
        """
        asked, self._asked_for_few = self._asked_for_few, True
        *others, last = (math.prod(shape) for shape in shapes)
        if not (alone and asked) or sum(others) >= last:
            return []
        if self._parts is None or self._model("many").at_once < 2:
            return []
        return ["first", "second"]

    def _apply_at_once(
        self,
        shapes: Shapes,
        inputs: Callable[[int], Tensors],
        use: Callable[[int, Arrays], T],
        ending: Sequence[Part],
    ) -> list[T]:
        """See `apply`; the last image goes through the parts of `ending`, if there are any."""
        count, streams = len(shapes), self._model("many").at_once
        many = count > FEW * streams
        threads = min(count, streams + (SPARE_THREADS if many else 0))
        order = sorted(range(count), key=shapes.__getitem__) if many else range(count)
        size = min(AT_ONCE, max(1, count // (FEW * threads)))
        todo = deque(order[first : first + size] for first in range(0, count, size))
        own = todo.pop()
        done: dict[int, T] = {}

        def work(take: Callable[[], Sequence[int]]) -> None:
            while todo:
                try:
                    places = take()
                except IndexError:  # another thread was faster
                    return
                if ending:
                    results = [self._apply_through(["beside"], i, inputs, use) for i in places]
                else:
                    results = self._apply_in_turn(places, inputs, use)
                done.update(zip(places, results, strict=True))

        futures = [self._threads.submit(work, todo.popleft) for _ in range(threads - 1)]
        try:
            if ending:
                results = [self._apply_through(ending, place, inputs, use) for place in own]
            else:
                results = self._apply_in_turn(own, inputs, use)
            done.update(zip(own, results, strict=True))
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
            requests = self._model("many").requests(len(places))
            started = []
            try:
                for place, request in zip(places, requests, strict=True):
                    request.start(inputs(place))
                    started.append(request)
            finally:
                for request in started:
                    request.wait()
            done += [use(place, r.outputs()) for place, r in zip(places, requests, strict=True)]
        return done

    def _apply_through(
        self,
        parts: Sequence[Part],
        place: int,
        inputs: Callable[[int], Tensors],
        use: Callable[[int, Arrays], T],
    ) -> T:
        """See `apply`: one image goes through parts, what each gives in place of the image."""
        values = list(inputs(place))
        for part in parts:
            source = self._source_of(part)
            taken = values[: len(source.inputs)]
            fixed = self._fixed.find(part, source, CORES[part], taken)
            request = (fixed or self._model(part)).run(taken)
            values = [*request.tensors(), *values[1:]]
        return use(place, request.outputs())

    def _model(self, part: Part) -> CompiledModel:
        if part == "beside":
            part = "many"
        with self._loading:
            if part not in self._models:
                cores = CORES.get(part)
                self._models[part] = CompiledModel(self._core, self._source_of(part), cores=cores)
            return self._models[part]

    def _source_of(self, part: Part) -> Any:
        if self._parts is not None and part in ("first", "second"):
            return self._parts[part == "second"]
        return self._source

    @cached_property
    def _parts(self) -> tuple[Any, Any] | None:
        return None if self._cut is None else cut_model(self._source, self._cut)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._model("many").at_once + SPARE_THREADS, "openvino")


def cut_model(model: Any, output: ov.Output) -> tuple[Any, Any] | None:
    """Cut a model, whose first input is an image, at an output inside it.

    Returns a model from the image to that output, and one that takes it in place of the image and
    gives all that `model` gives; None where that needs the image as well.
    """
    first, end = _copied(model, output)
    second, start = _copied(model, output)
    maps = ov.opset13.parameter(start.partial_shape, start.element_type)
    for target in start.get_target_inputs():
        target.replace_source_output(maps.output(0))
        take_any_layout(target.get_node())
    image, *others = (entry.get_node() for entry in second.inputs)
    results = [result.get_node() for result in second.outputs]
    rest = ov.Model(results, [maps, image, *others])
    sources = [source.get_node() for op in rest.get_ordered_ops() for source in op.input_values()]
    if image.get_friendly_name() in (source.get_friendly_name() for source in sources):
        return None
    upstream = ov.Model([ov.opset13.result(end)], [first.inputs[0].get_node()])
    return upstream, ov.Model(results, [maps, *others])


def _copied(model: Any, output: ov.Output) -> tuple[Any, ov.Output]:
    """Return a copy of a model, and which of its outputs is the copy of this one."""
    copy = model.clone()
    name = output.get_node().get_friendly_name()
    [op] = [op for op in copy.get_ordered_ops() if op.get_friendly_name() == name]
    return copy, op.output(output.get_index())
