"""Networks of depthwise convolutions work in blocks of channels where OpenVINO would not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from indexer.features.backbones import get_backbone
from indexer.features.openvino_engine import OpenVinoEngine
from indexer.features.openvino_marks import convolution_kernels, work_in_blocks
from indexer.features.openvino_network import cut_model
from indexer.features.openvino_runtime import ov
from indexer.features.spec import FeatureSpec

op = ov.opset13
MAPS = np.random.default_rng(5).normal(size=(1, 3, 19, 23)).astype(np.float32)


def build() -> Any:
    """A 3 x 3, a depthwise and a 1 x 1 convolution; the middle one is called `inside`."""
    draw = np.random.default_rng(4).normal
    maps = op.parameter([1, 3, -1, -1], ov.Type.f32)
    there, back = (draw(size=size).astype(np.float32) for size in ((96, 3, 3, 3), (24, 96, 1, 1)))
    own = draw(size=(96, 1, 1, 3, 3)).astype(np.float32)
    wide = op.convolution(maps, there, [1, 1], [1, 1], [1, 1], [1, 1])
    inside = op.group_convolution(wide, own, [2, 2], [1, 1], [1, 1], [1, 1])
    inside.set_friendly_name("inside")
    narrow = op.convolution(inside, back, [1, 1], [0, 0], [0, 0], [1, 1])
    return ov.Model([op.result(narrow)], [maps])


def answer(core: ov.Core, model: Any, values: np.ndarray) -> np.ndarray:
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled([values])[0])


def output_of(model: Any, name: str) -> ov.Output:
    [layer] = [op for op in model.get_ordered_ops() if op.get_friendly_name() == name]
    return layer.output(0)


def marked(core: ov.Core, path: Path) -> bool:
    """Save the model, let it be marked, and say whether it was."""
    ov.save_model(build(), path, compress_to_fp16=False)
    before = path.read_text()
    work_in_blocks(path, core)
    return path.read_text() != before


def only_avx2(core: ov.Core) -> bool:
    return any(kernel.startswith("brgconv_avx2") for kernel in convolution_kernels(core, build()))


def test_a_model_is_marked_only_where_avx2_is_the_most(tmp_path: Path) -> None:
    core, path = ov.Core(), tmp_path / "model.xml"
    assert marked(core, path) == only_avx2(core)
    kernels = convolution_kernels(core, core.read_model(path))
    assert not any(kernel.startswith("brgconv_avx2") for kernel in kernels)


def test_a_mark_changes_how_a_model_runs_but_not_what_it_gives(tmp_path: Path) -> None:
    core, path = ov.Core(), tmp_path / "model.xml"
    marked(core, path)
    expected = answer(core, build(), MAPS)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(answer(core, core.read_model(path), MAPS), expected, rtol=1e-3)


def test_a_model_that_is_cut_has_no_slow_kernels(tmp_path: Path) -> None:
    core, path = ov.Core(), tmp_path / "model.xml"
    marked(core, path)
    model = core.read_model(path)
    parts = cut_model(model, output_of(model, "inside"))
    assert parts is not None
    for part in parts:
        assert not any("gemm" in kernel for kernel in convolution_kernels(core, part))
    expected = answer(core, build(), MAPS)
    found = answer(core, parts[1], answer(core, parts[0], MAPS))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_default_network_works_in_blocks() -> None:
    spec = FeatureSpec.create()
    core = ov.Core()
    engine = OpenVinoEngine(get_backbone(spec.backbone), spec.taps)
    kernels = convolution_kernels(core, core.read_model(engine.model_file))
    assert all(kernel.startswith("jit_avx2") for kernel in kernels) == only_avx2(core)
