"""The command line, `cbir`; each command loads what it needs when it runs."""

import gc
import sys

# In the order of the help.
from ui.cli import index, query, localize, browser, stores  # noqa: F401  isort: skip
from ui.cli.shell import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line as a process of its own."""
    try:
        app()
    finally:
        # Python would look for garbage once more before it ends: a quarter of a query's time. Where
        # torch is loaded that is little, and triton would complain of what it has not cleared away.
        if "torch" not in sys.modules:
            gc.freeze()
