"""Where a query comes from: a file, standard input, a URL, or a word."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer.sources.place import to_place
from ui.cli.shell import say

if TYPE_CHECKING:  # a query by image does not load it for this
    from indexer.store.reader import StoreReader

STDIN = "-"
WEB_URL = re.compile(r"https?://", re.IGNORECASE)

PrivateOption = Annotated[
    bool,
    typer.Option(
        "--allow-private",
        help="Fetch URLs from private addresses, too, such as localhost or 192.168.1.5.",
    ),
]


def read_source(image: str, *, allow_private: bool = False) -> dict[str, Any]:
    """Return the fields of a `Query` for an image: a path, - for standard input, or a URL.

    Raises `FetchError` for a URL of the web that cannot be fetched, and `UnreachableError`.
    """
    if image == STDIN:
        return {"data": sys.stdin.buffer.read()}
    if WEB_URL.match(image):
        from ui.fetch import fetch, without_credentials

        data = fetch(image, allow_private=allow_private)
        return {"data": data, "name": without_credentials(image)}
    return {"path": to_place(image)}


def say_classes(store: StoreReader, text: str) -> None:
    """Say which of the names that the network knows a text stands for."""
    from retrieval.class_names import match_classes, require_classes

    names = require_classes(store)
    taken = "; ".join(", ".join(names[place]) for place in match_classes(names, text))
    say(f"Of the {len(names):,} names that the network knows: {taken}", err=True)
