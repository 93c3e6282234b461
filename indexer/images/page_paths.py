"""The paths of pages: which of the pictures of a file is meant."""

from __future__ import annotations

import re
from pathlib import Path

from indexer.sources.place import Place, to_place

PAGE = "#page="  # and a number from 1, after the path of a file: one of its pictures
_NAMED = re.compile(rf"(.+){PAGE}([1-9]\d*)", re.DOTALL)


def name_page(path: str, page: int | None) -> str:
    """Return the path of a page of a file; None is its main picture."""
    return path if page is None else f"{path}{PAGE}{page + 1}"


def page_of(path: str) -> tuple[str, int | None]:
    """Return the file that a path names, and the page of it, from 0; None is the main picture."""
    found = _NAMED.fullmatch(path) if PAGE in path else None
    return (found[1], int(found[2]) - 1) if found else (path, None)


def find_page(path: Place) -> tuple[Place, int | None]:
    """Do the same as `page_of`; a file that has such a name itself is taken as it is."""
    file, page = page_of(str(path))
    if page is None or (isinstance(path, Path) and path.is_file()):
        return path, None
    return to_place(file), page
