"""OpenVINO as this project uses it: without its telemetry, and the converter only when needed.

Left alone, `import openvino` reports itself to a web service, and so does each conversion. Where
the package that does so cannot be imported, OpenVINO goes on without; so it is kept out. Import
OpenVINO from here and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
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

__all__ = ["fast_precision", "load_converter", "ov"]


def load_converter() -> Callable[..., Any]:
    """Return `openvino.convert_model`."""
    from openvino.tools.ovc import convert_model

    converter: Callable[..., Any] = convert_model
    return converter


def fast_precision(core: ov.Core) -> str:
    """Return the precision to compute in: bf16 where the processor has it, else f32."""
    return "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
