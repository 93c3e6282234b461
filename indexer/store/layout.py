"""The files of a store: how they are named, and how they, and nothing else, are deleted."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from indexer.errors import StoreError
from indexer.store.catalog.protocol import IvfEntry, SegmentEntry

STORE_NAME = ".cbir"
CATALOG = "catalog.sqlite"
VECTORS = "vectors"
DERIVED = "derived"
KEYPOINTS = "keypoints-1.bin"  # of an image; another number where their making changes

_CATALOG_FILE = re.compile(r"catalog\.sqlite(-wal|-shm|-journal)?")
_ADAPTATION_FILE = re.compile(r"adaptation-[0-9a-f]{16}\.npz")
_VECTOR_FILE = re.compile(r"\d{8}-[a-z_]+(\.(ids|images|vectors)\.npy|-[a-z]+\.faiss)")
_DERIVED_FOLDER = re.compile(r"\d+")
_DERIVED_FILE = re.compile(
    r"\d+-([0-9a-f]+-[0-9a-f]+-\d+\.(jpg|[0-9-]+\.part)|keypoints-\d+\.bin(\.[0-9-]+\.part)?)"
)
_MAP_FILE = re.compile(r"map\.(npz|\d+\.part)")


def segment_name(entry: SegmentEntry) -> str:
    """Return the stem of a segment's files."""
    return f"{entry.id:08d}-{entry.kind}"


def ivf_name(entry: IvfEntry) -> str:
    """Return the stem of the file of an IVF index."""
    return f"{entry.id:08d}-{entry.kind}-{entry.index_type}"


def require_own_folders(store: Path) -> None:
    """Raise `StoreError` where a folder of the store is a link: its files may be someone else's."""
    for name in (VECTORS, DERIVED):
        folder = store / name
        if is_link(folder):
            raise StoreError(
                f"{folder} is a link to {folder.resolve()}. Nothing was changed: cbir deletes "
                "files in its own folders only. Replace the link by the folder, or move the whole "
                "store and link to that."
            )


def is_link(folder: Path) -> bool:
    """Whether a folder is a symbolic link or, on Windows, a junction."""
    return folder.is_symlink() or folder.resolve() != folder.parent.resolve() / folder.name


def vector_files(folder: Path) -> Iterator[Path]:
    """Yield the files of vectors and of vector indexes that cbir wrote into `folder`."""
    return _files(folder, _VECTOR_FILE)


def adaptation_files(store: Path) -> Iterator[Path]:
    """Yield the whitenings that were learned from the collection."""
    return _files(store, _ADAPTATION_FILE)


def derived_files(store: Path, image_id: int) -> Iterator[Path]:
    """Yield the files that were derived from an image, such as its thumbnail."""
    folder = derived_folder(store, image_id)
    if not is_link(folder):
        for file in _files(folder, _DERIVED_FILE):
            if file.name.startswith(f"{image_id}-"):
                yield file


def derived_folder(store: Path, image_id: int) -> Path:
    """Return the folder of the files that are derived from an image."""
    return store / DERIVED / str(image_id // 1000)


def delete_store_files(store: Path) -> None:
    """Delete every file of the store at `store`; files of other names, and their folders, stay."""
    require_own_folders(store)
    derived = store / DERIVED
    found = [*_files(store, _CATALOG_FILE), *adaptation_files(store)]
    found += [*vector_files(store / VECTORS), *_files(derived, _MAP_FILE)]
    folders = [store / VECTORS]
    if derived.is_dir():
        for folder in derived.iterdir():
            if _DERIVED_FOLDER.fullmatch(folder.name) and not is_link(folder):
                found += _files(folder, _DERIVED_FILE)
                folders.append(folder)
    for file in found:
        file.unlink()
    for folder in (*folders, derived):
        with contextlib.suppress(OSError):  # other files are in it, or it does not exist
            folder.rmdir()


def _files(folder: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    if folder.is_dir():
        for file in sorted(folder.iterdir()):
            if pattern.fullmatch(file.name) and (file.is_file() or file.is_symlink()):
                yield file
