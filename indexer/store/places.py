"""Where stores, and their photos, are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from indexer.errors import StoreNotFoundError, UntrustedStoreError
from indexer.images.find import SUFFIXES
from indexer.sources.place import Place, Remote, is_url, named
from indexer.store.layout import CATALOG, CONFIG, SETTINGS, STORE_NAME


def find_store(start: Path | None = None) -> Path | None:
    """Return the store for a command run in `start`, or None if there is none.

    It is what `CBIR_STORE` names, else `.cbir` in the folder or the nearest one above.
    """
    if named := os.environ.get("CBIR_STORE"):
        return Path(named)
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if is_store(folder / STORE_NAME):
            return folder / STORE_NAME
    return None


def is_store(path: Path) -> bool:
    """Whether there is a store at `path`, be it one without its catalogue."""
    return any((path / name).is_file() for name in (CATALOG, CONFIG, SETTINGS))


def catalog_file(path: Path) -> Path:
    """Return the file of the store at `path` that is, or names, its catalogue."""
    catalog = path / CATALOG
    return catalog if catalog.is_file() else path / CONFIG


def require_store(path: Path | str | None) -> Path:
    """Return the store at `path`, or else that of the current folder, see `find_store`.

    Raises `StoreNotFoundError` if there is none.
    """
    found = Path(path) if path is not None else find_store()
    if found is None:
        raise StoreNotFoundError(
            "There is no store in this folder or above it. Make one with: cbir index PHOTOS"
        )
    return found


def folders_of(places: Iterable[Place]) -> list[Place]:
    """Return the absolute paths of folders at `places`, and of those that hold files there.

    URLs are not looked up: one that ends like an image is that of a file.
    """
    return list(dict.fromkeys(_folder_of(place) for place in places))


def _folder_of(place: Place) -> Place:
    if isinstance(place, Remote):
        return place.parent if place.suffix.lower() in SUFFIXES else place
    path = Path(os.path.abspath(place))
    return path if path.is_dir() else path.parent


def resolve_root(store: Path, path: str) -> Place:
    """Return the absolute path or URL of a folder of photos, which the store has as `path`."""
    if is_url(path):
        return named(path)
    return Path(os.path.normpath(store.resolve().parent / path))


def stored_root(store: Path, folder: Place) -> str:
    """Return how the store has a folder of photos, see `resolve_root`."""
    if isinstance(folder, Remote):
        return str(folder)
    home = store.resolve().parent
    return (folder.relative_to(home) if folder.is_relative_to(home) else folder).as_posix()


def require_inside(store: Path, roots: Iterable[Place]) -> None:
    """Raise `UntrustedStoreError` for photos outside the store's own folder, or at a URL."""
    home = os.path.realpath(store.resolve().parent)
    for root in roots:
        if isinstance(root, Remote) or not Path(os.path.realpath(root)).is_relative_to(home):
            raise UntrustedStoreError(
                f"Another account, machine or version of cbir made the store at {store}, and it "
                f"names photos in {root}, outside its own folder. If you trust where it comes "
                "from, add --trust."
            )
