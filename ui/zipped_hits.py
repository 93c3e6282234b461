"""Hits as one ZIP file: the photos as they are on disk, and a table."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from zipfile import ZIP_STORED, ZipFile

from indexer.errors import CbirError
from indexer.images.page_paths import find_page
from indexer.sources.place import Place, is_below, path_below
from indexer.store.reader import StoreReader
from retrieval.query import Hit
from ui.saved_hits import save_hits

MAX_PHOTOS = 500
MAX_BYTES = 500_000_000  # of the photos: the file is in memory while it is sent


class SelectionTooLargeError(CbirError):
    """More photos, or larger ones, than one ZIP file takes."""


def require_bounded(store: StoreReader, hits: Sequence[Hit]) -> None:
    """Raise `SelectionTooLargeError` for more photos than one ZIP file takes, or this machine.

    Their sizes are those that the catalogue knows.
    """
    if len(hits) > MAX_PHOTOS:
        raise SelectionTooLargeError(
            f"{len(hits):,} photos are picked; a ZIP file takes {MAX_PHOTOS}. Pick fewer, or use "
            "cbir query --save-hits, which has no limit."
        )
    size = _bytes_of(store, [find_page(hit.path)[0] for hit in hits])
    _require_bytes(size)
    free = shutil.disk_usage(gettempdir()).free
    if size > free:
        raise SelectionTooLargeError(
            f"The photos that are picked have {size / 1e6:,.0f} MB, and {gettempdir()}, where they "
            f"are gathered, has only {free / 1e6:,.0f} MB left."
        )


def zip_hits(hits: Sequence[Hit], roots: Sequence[Place]) -> io.BytesIO:
    """Return a ZIP file of the photos of hits that lie in these folders, as `save_hits` names them.

    The table says of the others why they are missing. Raises what `save_hits` does, and
    `SelectionTooLargeError`.
    """
    zipped = io.BytesIO()
    with TemporaryDirectory(prefix="cbir-") as scratch:
        save_hits(Path(scratch), hits, roots=roots)
        files = sorted(Path(scratch).iterdir())
        _require_bytes(sum(file.stat().st_size for file in files))
        # Pictures are compressed already, and their dates may be before those that ZIP knows.
        with ZipFile(zipped, "w", ZIP_STORED, strict_timestamps=False) as archive:
            for file in files:
                archive.write(file, legible(file.name))
                file.unlink()
    zipped.seek(0)
    return zipped


def legible(name: str) -> str:
    """Return a name as ZIP can have it: Unicode, with bytes that are none replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _bytes_of(store: StoreReader, files: Sequence[Place]) -> int:
    """Return how many bytes files have, each as often as it is named."""
    keys = [
        next(
            (i, path_below(root, file)) for i, root in store.roots().items() if is_below(file, root)
        )
        for file in files
    ]
    known = store.catalog.known_files(keys)
    return sum(known[key].file.size_bytes for key in keys if key in known)


def _require_bytes(count: int) -> None:
    if count > MAX_BYTES:
        raise SelectionTooLargeError(
            f"The photos that are picked have {count / 1e6:,.0f} MB; a ZIP file takes "
            f"{MAX_BYTES / 1e6:,.0f} MB. Pick fewer, or use cbir query --save-hits, which has no "
            "limit."
        )
