"""Where a query comes from: a file, standard input, a URL, or a word."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer.errors import UnreachableError
from indexer.sources.place import WEB, Remote, is_url, to_place
from ui.cli.shell import say

if TYPE_CHECKING:  # a query by image does not load it for this
    from indexer.store.reader import StoreReader

STDIN = "-"
KEPT_APART = ("s3", "gs", "zip", "tar")  # not of the web: buckets, and archives

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
    if is_url(image) and image.partition("://")[0].lower() not in KEPT_APART:
        from ui.fetch import fetch, without_credentials

        data = fetch(image, allow_private=allow_private)
        return {"data": data, "name": without_credentials(image)}
    place = to_place(image)
    if isinstance(place, Remote) and place.scheme in WEB:
        raise UnreachableError(f"{place}: fetch the archive first, and query with the file.")
    return {"path": place}


def say_classes(store: StoreReader, text: str) -> None:
    """Say which of the names that the network knows a text stands for."""
    from retrieval.class_names import match_classes, require_classes

    names = require_classes(store)
    taken = "; ".join(", ".join(names[place]) for place in match_classes(names, text))
    say(f"Of the {len(names):,} names that the network knows: {taken}", err=True)
