"""The files of a store, and how they are named: cbir reads, writes and deletes no others."""

from __future__ import annotations

import re
from pathlib import Path

from indexer.errors import StoreError
from indexer.store.catalog.protocol import IvfEntry, SegmentEntry
from indexer.store.folder import open_folder

STORE_NAME = ".cbir"
CATALOG = "catalog.sqlite"
CONFIG = "cbir.toml"  # names another place of the catalogue
VECTORS = "vectors"
DERIVED = "derived"
SETTINGS = "settings.json"
USER_DATA = "user-data.json"  # stays where the store is deleted, to be built again
DUPLICATES = "duplicates-1.json"  # another number where their finding changes
KEYPOINTS = "keypoints-1.bin"  # of an image; another number where their making changes
TAPS = "taps-1.bin"  # of an image, at every tap of the network; another number likewise

_TOP_FILE = re.compile(
    r"catalog(\.damaged)?\.sqlite(-wal|-shm|-journal)?|settings\.json(\.part)?|"
    r"cbir\.toml(\.part)?|lock"
)
_ADAPTATION_FILE = re.compile(r"adaptation-[0-9a-f]{16}\.npz")
_VECTOR_FILE = re.compile(r"\d{8}-[a-z_]+(\.(ids|images|vectors)\.npy|\.sums|-[a-z]+\.faiss)")
_DERIVED_FILE = re.compile(
    r"\d+-([0-9a-f]+-[0-9a-f]+-\d+(\.jpg)?|(keypoints|taps)-\d+\.bin)(\.[0-9-]+\.part)?"
)
_COLLECTION_FILE = re.compile(r"(map\.npz|duplicates-\d+\.json)(\.[0-9-]+\.part)?|map\.\d+\.part")


def segment_name(entry: SegmentEntry) -> str:
    """Return the stem of a segment's files."""
    return f"{entry.id:08d}-{entry.kind}"


def ivf_name(entry: IvfEntry) -> str:
    """Return the stem of the file of an IVF index."""
    return f"{entry.id:08d}-{entry.kind}-{entry.index_type}"


def is_vector_file(name: str) -> bool:
    """Whether cbir gives such a name to files of vectors and of vector indexes."""
    return _VECTOR_FILE.fullmatch(name) is not None


def is_adaptation_file(name: str) -> bool:
    """Whether cbir gives such a name to whitenings that were learned from a collection."""
    return _ADAPTATION_FILE.fullmatch(name) is not None


def is_derived_file(name: str) -> bool:
    """Whether cbir gives such a name to files that are derived from an image."""
    return _DERIVED_FILE.fullmatch(name) is not None


def is_collection_file(name: str) -> bool:
    """Whether cbir gives such a name to files that are derived from the whole collection."""
    return _COLLECTION_FILE.fullmatch(name) is not None


def is_top_file(name: str) -> bool:
    """Whether cbir gives such a name to files in the folder of the store itself."""
    return _TOP_FILE.fullmatch(name) is not None or is_adaptation_file(name)


def require_own_files(store: Path) -> None:
    """Raise `StoreError` where a link has the place of a file or folder of the store.

    What it leads to may be someone else's.
    """
    with open_folder(store.resolve()) as folder:
        for name in folder.names():
            if (is_top_file(name) or name in (VECTORS, DERIVED)) and folder.is_link(name):
                raise StoreError(
                    f"{store / name} is a link to {(store / name).resolve()}. Nothing was read or "
                    "changed: cbir uses its own files only. Replace the link by what it leads to, "
                    "or move the whole store and link to that."
                )
