"""The command line, `cbir`; each command loads what it needs when it runs."""

from ui.cli import index, query, localize, stores  # noqa: F401, I001  in the order of the help
from ui.cli.shell import app

__all__ = ["app"]
