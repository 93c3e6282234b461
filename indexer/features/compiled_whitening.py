"""CompiledWhitening: pooled vectors of windows to region vectors, in OpenVINO.

Its matrix products give a row the same bits whatever the number of rows and of threads, which
NumPy's do not, and they take no longer.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from indexer.arrays import MIN_LENGTH, FloatArray
from indexer.features.engines.openvino_runtime import compile_model, new_core, ov
from indexer.features.whitening import PcaProjection, Whitening

op = ov.opset13


class CompiledWhitening:
    """Joins the pooled vectors of `taps` to one unit vector a window; threads may share it.

    With a `whitening` the vectors of the taps are whitened and reduced, else joined as they are;
    `adaptation` is a second projection, learned from the collection. Everything is float32.
    """

    def __init__(
        self,
        taps: tuple[str, ...],
        whitening: Whitening | None,
        adaptation: PcaProjection | None,
    ) -> None:
        self._taps = taps
        inputs = [op.parameter([-1, -1], ov.Type.f32) for _ in taps]
        parts = [_unit(rows) for rows in inputs]
        if whitening is not None:
            stages = zip(parts, whitening.by_tap, whitening.tap_weights, strict=True)
            parts = [op.multiply(_project(r, p), op.constant(weight)) for r, p, weight in stages]
        vectors = op.concat(parts, 1)
        vectors = _unit(vectors) if whitening is None else _project(vectors, whitening.joined)
        if adaptation is not None:
            vectors = _project(vectors, adaptation)
        model = ov.Model([op.result(vectors)], inputs)
        self._model = compile_model(new_core(), model, _options())
        self._idle: SimpleQueue[Any] = SimpleQueue()

    def apply(self, pooled: Mapping[str, FloatArray]) -> FloatArray:
        """Return (N, E) unit rows for pooled vectors (N, C) by tap."""
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._model.create_infer_request()
        rows = [np.ascontiguousarray(pooled[tap], np.float32) for tap in self._taps]
        request.infer(rows, share_inputs=True)
        vectors = np.array(request.get_output_tensor(0).data)
        self._idle.put(request)
        return vectors


def _options() -> dict[str, Any]:
    """One thread for each call, and as many calls at a time as there are cores."""
    cores = os.cpu_count() or 1
    return {
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": cores,
        "INFERENCE_NUM_THREADS": cores,
        "ENABLE_CPU_PINNING": False,  # the network's threads run on the same cores
    }


def _project(rows: ov.Output, projection: PcaProjection) -> ov.Output:
    """Project rows, at unit length."""
    centred = op.subtract(rows, op.constant(projection.mean[None]))
    return _unit(op.matmul(centred, op.constant(projection.projection), False, False))


def _unit(rows: ov.Output) -> ov.Output:
    lengths = op.reduce_l2(rows, op.constant(np.array([1])), keep_dims=True)
    return op.divide(rows, op.maximum(lengths, op.constant(np.float32(MIN_LENGTH))))
