"""OpenVINO as this project uses it: no telemetry, and the converter loaded only when needed.

By default, `import openvino` reports itself to a web service, and so does each conversion. OpenVINO
goes on without the package that does so where it cannot be imported, so it is kept from being
imported. Import OpenVINO from here and nowhere else.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs

from indexer.errors import EngineError

TELEMETRY = "openvino_telemetry"
CONVERTER = "openvino.tools.ovc"
PRECISIONS = ("auto", "f32", "bf16")

if "openvino" not in sys.modules:
    absent: Any = None  # stands for a module whose import must fail
    sys.modules[TELEMETRY] = absent
    sys.modules[CONVERTER] = absent  # saves a tenth of a second
    import openvino as ov

    del sys.modules[CONVERTER]
else:
    import openvino as ov

# OpenVINO fills its table of types on first use, and two threads doing so at once deadlock. An
# import runs in one thread only, so it is filled here.
ov.Type.u8.to_dtype()

__all__ = ["cache_folder", "choose_precision", "compile_model", "load_converter", "new_core", "ov"]


def load_converter() -> Callable[..., Any]:
    """Return `openvino.convert_model`."""
    from openvino.tools.ovc import convert_model

    converter: Callable[..., Any] = convert_model
    return converter


def cache_folder() -> Path:
    """Return the folder for converted models (`CBIR_CACHE`, else the user's cache folder)."""
    return Path(os.environ.get("CBIR_CACHE") or platformdirs.user_cache_dir("cbir"))


def new_core() -> ov.Core:
    """Return a core that keeps compiled models in the cache folder."""
    core = ov.Core()
    core.set_property({"CACHE_DIR": str(cache_folder() / "compiled")})
    return core


def compile_model(core: ov.Core, model: ov.Model, options: dict[str, Any]) -> Any:
    """Return a model compiled for the CPU, from the cache if it is there.

    Where that fails, it is compiled without the cache: processes that fill it at the same time get
    in each other's way.
    """
    try:
        return core.compile_model(model, "CPU", options)
    except RuntimeError:
        return ov.Core().compile_model(model, "CPU", options)


def choose_precision() -> str:
    """Return the precision that networks compute in: `bf16` or `f32`.

    It is bfloat16 where the processor has it, unless `CBIR_PRECISION` says `f32`. Where it says
    `bf16` and the processor lacks it, OpenVINO computes in float32, and a warning says so.

    Raises `EngineError` for any other value.
    """
    wanted = os.environ.get("CBIR_PRECISION") or "auto"
    if wanted not in PRECISIONS:
        raise EngineError(f"CBIR_PRECISION is {wanted!r}; choose from {', '.join(PRECISIONS)}.")
    if wanted == "f32" or not _has_bfloat16():
        if wanted == "bf16":
            _warn_of_float32()
        return "f32"
    return "bf16"


@cache
def _has_bfloat16() -> bool:
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def _warn_of_float32() -> None:
    logging.getLogger("cbir").warning(
        "CBIR_PRECISION=bf16: this processor has no bfloat16, so the network runs in float32."
    )
