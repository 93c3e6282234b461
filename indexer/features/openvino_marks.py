"""Marks on the layers of a model, by which OpenVINO is told how to run them.

They are attributes of its runtime that can be written in a model's file only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from indexer.features.openvino_runtime import fast_precision, ov

KERNELS = {
    kind: {"name": "primitives_priority", "value": kernels}
    for kind, kernels in (
        ("Convolution", "cpu:jit_avx2_1x1,cpu:jit_avx2"),
        ("GroupConvolution", "cpu:jit_avx2_dw"),
    )
}


def keep_precise(path: Path, layers: Iterable[str]) -> None:
    """Mark layers of a saved model, so that they run in f32 whatever precision the rest has."""
    wanted = set(layers)
    _mark(path, lambda name, _: {"name": "precise"} if name in wanted else None)


def work_in_blocks(path: Path, core: ov.Core) -> None:
    """Mark a saved model, so that its maps lie in blocks of 8 channels where AVX2 is the most.

    There OpenVINO has all channels of a cell side by side. Its kernels for blocks, which it would
    take second, run networks of depthwise convolutions in less time.
    """
    kernels = convolution_kernels(core, core.read_model(path))
    if any(kernel.startswith("brgconv_avx2") for kernel in kernels):
        _mark(path, lambda _, kind: KERNELS.get(kind))


def take_any_layout(layer: ov.Node) -> None:
    """Take the mark of `work_in_blocks` off a layer, whose input does not lie in blocks.

    With it the layer, and all that follow, would run in OpenVINO's slowest kernel.
    """
    info = layer.get_rt_info()
    if "primitives_priority_0" in info:
        del info["primitives_priority_0"]


def convolution_kernels(core: ov.Core, model: Any) -> set[str]:
    """Return the names of the kernels that run the convolutions of a model."""
    options = {"INFERENCE_PRECISION_HINT": fast_precision(core), "CACHE_DIR": ""}
    runtime = core.compile_model(model, "CPU", options).get_runtime_model()
    infos = [layer.get_rt_info() for layer in runtime.get_ops()]
    return {
        info["primitiveType"].astype(str)
        for info in infos
        if info["layerType"].astype(str).endswith("Convolution")
    }


def _mark(path: Path, choose: Callable[[str, str], dict[str, str] | None]) -> None:
    """Add to layers of a saved model the attribute chosen for their name and type, if any."""
    from xml.etree import ElementTree  # needed when a model is made, not when it is used

    tree = ElementTree.parse(path)
    for layer in tree.iterfind("layers/layer"):
        attribute = choose(layer.get("name", ""), layer.get("type", ""))
        if attribute is None or layer.get("type") in ("Const", "Parameter"):
            continue
        info = layer.find("rt_info")
        if info is None:
            info = ElementTree.Element("rt_info")
            # It stands before the ports.
            layer.insert(0 if layer.find("data") is None else 1, info)
        ElementTree.SubElement(info, "attribute", attribute | {"version": "0"})
    tree.write(path)
