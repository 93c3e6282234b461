"""The scripts of the pages' components, which TypeScript in ui/frontend is bundled into."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("bundle")
PLACE = "/page/bundle"


@cache
def scripts() -> dict[str, bytes]:
    """Return the scripts by the names that they are served under, made of their content."""
    return {_served_name(path): path.read_bytes() for path in sorted(FOLDER.glob("*.js"))}


@cache
def script_path(name: str) -> str:
    """Return where a server has the script `name`."""
    return f"{PLACE}/{_served_name(FOLDER / f'{name}.js')}"


def _served_name(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{path.stem}-{digest[:12]}.js"
