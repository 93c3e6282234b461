"""Pooling inside the network's graph: what leaves it are the vectors of windows, not maps.

A map just computed is in the processor's cache, in the layout and precision the processor likes;
handing it out, turning it and reading it again takes several times as long as pooling it there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from indexer.features.backbones import Backbone
from indexer.features.engine import KeptMaps, PooledMaps, T, Windowed
from indexer.features.openvino_model import Tensors, to_tensor
from indexer.features.openvino_network import OpenVinoNetwork
from indexer.features.openvino_runtime import ov
from indexer.features.pooling import FloatArray, cube_root, rmac_windows
from indexer.features.spec import FeatureSpec
from indexer.features.windows import coverage

op = ov.opset13


class OpenVinoPooler:
    """Pools in the network of an OpenVINO engine; see `Pooler`.

    `model` has an output for each of `taps`. The maps' sizes must follow from the image's.
    """

    def __init__(
        self, core: ov.Core, model: Any, taps: Sequence[str], backbone: Backbone, spec: FeatureSpec
    ) -> None:
        self._strides = _strides(backbone, spec)
        self._conv_stride = backbone.tap(spec.conv).stride_px
        self._core = core
        at = {
            tap: output.get_node().input_value(0)
            for tap, output in zip(taps, model.outputs, strict=True)
        }
        before_fc, self._after = _cut_classifier(at[spec.fc])
        self._before_fc = before_fc.partial_shape[1].get_length()
        self._conv = backbone.tap(spec.conv).channels
        self._regions = {tap: backbone.tap(tap).channels for tap in spec.region_taps}
        pooled = pooled_model(model, at | {spec.fc: before_fc}, backbone, spec)
        cut = at[spec.region_taps[0]] if spec.region_taps else None
        self._network = OpenVinoNetwork(core, pooled, cut)

    def look(
        self,
        images: Sequence[Windowed],
        use: Callable[[int, PooledMaps], T],
        *,
        in_turn: bool = False,
    ) -> list[T]:
        return self._network.apply(
            [image.shape for image in images],
            lambda i: self._inputs(images[i]),
            lambda i, outputs: use(
                i, _Outputs(outputs[0], self._before_fc, self._conv, self._regions)
            ),
            in_turn=in_turn,
        )

    def fc(self, before: FloatArray) -> FloatArray:
        [rows] = self._classifier.apply(
            [before.shape],
            lambda _: [to_tensor(before)],
            lambda _, out: out[0].copy(),
            in_turn=True,  # workers ask, and a few rows leave no work to share
        )
        return rows

    @cached_property
    def _classifier(self) -> OpenVinoNetwork:
        return OpenVinoNetwork(self._core, self._after)

    def _inputs(self, image: Windowed) -> Tensors:
        pixels = image.pixels
        height, width = pixels.shape[:2]
        conv = (height // self._conv_stride, width // self._conv_stride)
        maps = tuple((height // stride, width // stride) for stride in self._strides)
        return [to_tensor(pixels[None]), *_windows(image.boxes.tobytes(), conv, maps)]


@dataclass(frozen=True)
class _Outputs:
    """What the graph gives for one image, in numbers of `channels`; see `PooledMaps`."""

    values: FloatArray
    before_fc_channels: int
    conv_channels: int
    region_channels: dict[str, int]

    def before_fc(self) -> FloatArray:
        return self.values[: self.before_fc_channels]

    def conv(self) -> FloatArray:
        start = self.before_fc_channels
        return self.values[start : start + self.conv_channels]

    def rows(self) -> dict[str, FloatArray]:
        pooled = cube_root(self.values[self.before_fc_channels + self.conv_channels :])
        windows = len(pooled) // max(1, sum(self.region_channels.values()))
        rows, start = {}, 0
        for tap, channels in self.region_channels.items():
            stop = start + windows * channels
            rows[tap] = pooled[start:stop].reshape(windows, channels)
            start = stop
        return rows

    def kept(self) -> KeptMaps:
        return KeptMaps(self.conv().copy(), self.before_fc().copy(), self.rows())


def _cut_classifier(fc: ov.Output) -> tuple[ov.Output, Any]:
    """Cut a network before the last product of matrices on the way to its fc tap.

    Returns what goes in there, and a model that makes the fc tap (N, D') of such rows (N, C').
    """
    product = fc.get_node()
    while product.get_type_name() != "MatMul":
        product = product.input_value(0).get_node()
    before = product.input_value(0)
    rows = op.parameter([-1, before.partial_shape[1].get_length()], ov.Type.f32)
    product.input(0).replace_source_output(rows.output(0))
    return before, ov.Model([op.result(fc)], [rows])


def pooled_model(
    model: Any, at: Mapping[str, ov.Output], backbone: Backbone, spec: FeatureSpec
) -> Any:
    """Return a model that pools what `model` gives at each tap.

    Inputs: the image; the windows of R-MAC (W, 5) as 0 and their first and last cells; for each
    stride of the region taps the coverage (R, h * w) of such a map by the windows. The output is
    one vector: what is at the fc tap, R-MAC (C,), and for each region tap the means (R, C) of the
    cubes of what is positive.
    """
    corners = op.parameter([-1, 5], ov.Type.f32)
    maxima = ov.opset2.roi_pooling(at[spec.conv], corners, np.array([1, 1]), 1.0, "max")
    # Their sum, each at length 1, as a product of matrices: OpenVINO divides columns slowly.
    vectors = op.reshape(
        maxima, op.constant(np.array([-1, backbone.tap(spec.conv).channels])), False
    )
    lengths = op.reduce_l2(vectors, op.constant(np.array([1])), keep_dims=True)
    shortened = op.divide(
        op.constant(np.float32(1)), op.maximum(lengths, op.constant(np.float32(1e-12)))
    )
    rmac = op.matmul(shortened, vectors, True, False)
    shares = {stride: op.parameter([-1, -1], ov.Type.f32) for stride in _strides(backbone, spec)}
    means = []
    for tap in spec.region_taps:
        positive = op.relu(at[tap])
        cubes = op.power(positive, op.constant(np.float32(3)))
        cells = op.reshape(cubes, op.constant(np.array([backbone.tap(tap).channels, -1])), False)
        means.append(op.matmul(shares[backbone.tap(tap).stride_px], cells, False, True))
    flat = [
        op.reshape(part, op.constant(np.array([-1])), False) for part in (at[spec.fc], rmac, *means)
    ]
    inputs = [model.inputs[0].get_node(), corners, *shares.values()]
    return ov.Model([op.result(op.concat(flat, 0))], inputs)


def _strides(backbone: Backbone, spec: FeatureSpec) -> list[int]:
    return list(dict.fromkeys(backbone.tap(tap).stride_px for tap in spec.region_taps))


@lru_cache(maxsize=1024)
def _windows(boxes: bytes, conv: tuple[int, int], maps: tuple[tuple[int, int], ...]) -> Tensors:
    """Return the inputs of the graph that say where windows lie on maps (h, w)."""
    h, w = conv
    windows = [(0, x0, y0, x1 - 1, y1 - 1) for x0, y0, x1, y1 in rmac_windows(w, h)]
    shares = [coverage(np.frombuffer(boxes, np.float32).reshape(-1, 4), *size) for size in maps]
    return [to_tensor(np.array(windows, np.float32)), *(to_tensor(share) for share in shares)]
