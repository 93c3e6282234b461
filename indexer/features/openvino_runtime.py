"""OpenVINO as this project uses it: without its telemetry, and the converter only when needed.

Left alone, `import openvino` reports itself to a web service, and so does each conversion. Where
the package that does so cannot be imported, OpenVINO goes on without; so it is kept out. Import
OpenVINO from here and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

TELEMETRY = "openvino_telemetry"
CONVERTER = "openvino.tools.ovc"

if "openvino" not in sys.modules:
    absent: Any = None  # what stands for a module whose import is to fail
    sys.modules[TELEMETRY] = absent
    sys.modules[CONVERTER] = absent  # saves a tenth of a second
    import openvino as ov

    del sys.modules[CONVERTER]
else:
    import openvino as ov

__all__ = ["fast_precision", "keep_precise", "load_converter", "ov"]


def load_converter() -> Callable[..., Any]:
    """Return `openvino.convert_model`."""
    from openvino.tools.ovc import convert_model

    converter: Callable[..., Any] = convert_model
    return converter


def fast_precision(core: ov.Core) -> str:
    """Return the precision to compute in: bf16 where the processor has it, else f32."""
    return "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


def keep_precise(path: Path, layers: Iterable[str]) -> None:
    """Mark layers of a saved model, so that they run in f32 whatever precision the rest has.

    OpenVINO's runtime attribute `precise` says so; it can be written in a model's file only.
    """
    from xml.etree import ElementTree  # needed when a model is made, not when it is used

    tree = ElementTree.parse(path)
    wanted = set(layers)
    for layer in tree.iterfind("layers/layer"):
        if layer.get("name") in wanted and layer.get("type") not in ("Const", "Parameter"):
            info = layer.find("rt_info")
            if info is None:
                info = ElementTree.Element("rt_info")
                # It stands before the ports.
                layer.insert(0 if layer.find("data") is None else 1, info)
            ElementTree.SubElement(info, "attribute", {"name": "precise", "version": "0"})
    tree.write(path)
