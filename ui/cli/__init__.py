"""The command line, `cbir`; each command loads what it needs when it runs."""

import gc
import sys

# In the order of the help.
from ui.cli import index, query, localize, teach, tag, annotate, duplicates, watch, browser, serve  # noqa: F401  isort: skip
from ui.cli import stores, export, doctor  # noqa: F401  isort: skip
from ui.cli import evaluate_classification, evaluate_layers, evaluate_retrieval  # noqa: F401  isort: skip
from ui.cli import evaluate_localization  # noqa: F401  isort: skip
from ui.cli.shell import app
from ui.process import configure_threads

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line as a process of its own."""
    configure_threads()
    try:
        app()
    finally:
        # The last garbage collection would take a quarter of a query's time. Where torch is loaded
        # it is short beside the rest, and triton complains about what is not collected.
        if "torch" not in sys.modules:
            gc.freeze()
