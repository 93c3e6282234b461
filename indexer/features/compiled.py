"""A whitening compiled by OpenVINO: the same figures as numpy's, in half the time for many rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from indexer.features.openvino_runtime import ov
from indexer.features.pooling import FloatArray
from indexer.features.whitening import SHORTEST, Axes, Whitening

op = ov.opset13


class CompiledWhitening:
    """Does what `Whitening.apply` does, in float32 on one thread; several threads may call it."""

    def __init__(self, whitening: Whitening) -> None:
        self._taps = whitening.taps
        inputs, parts = [], []
        stages = zip(whitening.by_tap, whitening.tap_weights, strict=True)
        for axes, weight in stages:
            rows = op.parameter([-1, len(axes.mean)], ov.Type.f32)
            inputs.append(rows)
            directions = _divided(op.matmul(rows, op.constant(axes.projection), False, False), rows)
            parts.append(op.multiply(_centred_unit(directions, axes), op.constant(weight)))
        projection = op.constant(whitening.joined.projection)
        joined = op.matmul(op.concat(parts, 1), projection, False, False)
        result = op.result(_centred_unit(joined, whitening.joined))
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
        }
        self._model = ov.Core().compile_model(ov.Model([result], inputs), "CPU", options)

    def apply(self, pooled: Mapping[str, FloatArray]) -> FloatArray:
        """Return (N, dimension) unit rows for pooled vectors (N, C) by tap."""
        request = self._model.create_infer_request()
        for place, tap in enumerate(self._taps):
            rows = np.ascontiguousarray(pooled[tap], np.float32)
            request.set_input_tensor(place, ov.Tensor(rows))
        request.infer()
        return np.array(request.get_output_tensor(0).data)


def _centred_unit(projected: ov.Output, axes: Axes) -> ov.Output:
    centred = op.subtract(projected, op.constant((axes.mean @ axes.projection)[None]))
    return _divided(centred, centred)


def _divided(rows: ov.Output, by: ov.Output) -> ov.Output:
    """Divide rows by the L2 lengths of others."""
    squares = op.reduce_sum(op.multiply(by, by), op.constant(np.array([1])), keep_dims=True)
    return op.divide(rows, op.maximum(op.sqrt(squares), op.constant(np.float32(SHORTEST))))
