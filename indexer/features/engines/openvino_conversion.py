"""Converting a torch network to an OpenVINO model, once for all sets of taps."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from indexer.features.backbones import Backbone
from indexer.features.engines.openvino_runtime import cache_folder, load_converter, ov

# Raised when the conversion changes, so that models converted before are not used.
CONVERSION = 7


def find_or_convert(backbone: Backbone) -> Path:
    """Return the file of the converted model; it is converted on first use.

    The model takes one image (1, H, W, 3) uint8 of any size and returns the activations at all taps
    of the backbone, in their order. Converting takes many seconds, most of them for loading torch:
    `up_to_taps` makes every model of fewer taps from this one.
    The layers up to the backbone's `precise_module` stay in float32 at any precision: they see the
    grey levels themselves, and what bfloat16 rounds off there shows in every vector. An unfinished
    file is never left behind.
    """
    key = "|".join(map(str, (CONVERSION, ov.__version__, backbone.weights, *backbone.taps)))
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    folder = cache_folder() / "models"
    path = folder / f"{backbone.name.replace(':', '-').replace('/', '-')}-{digest}.xml"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        model = _convert(backbone)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / path.name
            ov.save_model(model, made, compress_to_fp16=False)
            if backbone.precise_module:
                _keep_float32(made, _layers_up_to(model, backbone.precise_module))
            os.replace(made.with_suffix(".bin"), path.with_suffix(".bin"))
            os.replace(made, path)  # the .xml is what is looked for, so it comes last
    return path


def up_to_taps(model: Any, backbone: Backbone, taps: Sequence[str]) -> Any:
    """Return the model that gives the activations at `taps` alone, in their order.

    Layers that only others need are left out: it gives the same bits as one that was converted for
    these taps.
    """
    results = dict(zip(backbone.taps, model.get_results(), strict=True))
    return ov.Model([results[tap] for tap in taps], model.get_parameters(), backbone.name)


def _convert(backbone: Backbone) -> Any:
    import torch

    from indexer.features.networks import build_network

    network = build_network(backbone, list(backbone.taps))
    side = max(2 * backbone.multiple_px, 2 * backbone.min_size_px)
    example = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")  # torch.jit's deprecation and tracer notes
        model = load_converter()(network, example_input=example)
    model.reshape(ov.PartialShape([1, -1, -1, 3]))
    return model


def _layers_up_to(model: Any, module: str) -> set[str]:
    """Return the names of the layers that run before and in a torch module."""
    prefix = f"__module.network.{module}"
    names = [op.get_friendly_name() for op in model.get_ordered_ops()]
    last = max(i for i, name in enumerate(names) if name.startswith((f"{prefix}.", f"{prefix}/")))
    return set(names[: last + 1])


def _keep_float32(path: Path, layers: Iterable[str]) -> None:
    """Mark layers of a saved model as sensitive to precision, so that they run in float32.

    OpenVINO reads the mark (`DisablePrecisionConversion`) from a model's file only.
    """
    from xml.etree import ElementTree  # needed when a model is made, not when it is used

    wanted = set(layers)
    tree = ElementTree.parse(path)
    for layer in tree.iterfind("layers/layer"):
        if layer.get("name") not in wanted or layer.get("type") in ("Const", "Parameter"):
            continue
        info = layer.find("rt_info")
        if info is None:
            info = ElementTree.Element("rt_info")
            # It stands before the ports.
            layer.insert(0 if layer.find("data") is None else 1, info)
        ElementTree.SubElement(info, "attribute", {"name": "precise", "version": "0"})
    tree.write(path)
