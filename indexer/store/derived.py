"""DerivedFiles: thumbnails, keypoints, the map and the duplicates, which can all be made again."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import xxhash

from indexer.errors import StoreError
from indexer.store.folder import StoreFolder, open_folder
from indexer.store.layout import DERIVED, is_collection_file, is_derived_file

IMAGES_A_FOLDER = 1000
_CHECKSUM_BYTES = 16  # at the end of each file: most formats of pictures ignore what follows


class DerivedFiles:
    """The files of a store that are derived from its images; each goes with its image.

    They carry a checksum. What is missing or damaged is not there, and is made again.
    """

    def __init__(self, store: Path) -> None:
        self.path = store / DERIVED

    def read(self, name: str, image_id: int | None = None) -> bytes | None:
        """Return a file of an image, or of the collection; None where there is none."""
        try:
            with self._folder(image_id) as folder, folder.read(_file(name, image_id)) as file:
                data = file.read()
        except (OSError, StoreError):
            return None
        data, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        return data if xxhash.xxh3_128_digest(data) == checksum else None

    def exists(self, name: str, image_id: int | None = None) -> bool:
        """Whether there is such a file, damaged or not."""
        try:
            with self._folder(image_id) as folder:
                return folder.is_file(_file(name, image_id))
        except (OSError, StoreError):
            return False

    def write(self, name: str, data: bytes, image_id: int | None = None) -> bool:
        """Write a file in one step; return whether that worked: a store may be read-only."""
        file = _file(name, image_id)
        part = f"{file}.{os.getpid()}-{threading.get_ident()}.part"
        try:
            with self._folder(image_id, create=True) as folder:
                try:
                    with folder.write(part) as handle:
                        handle.write(data + xxhash.xxh3_128_digest(data))
                    folder.replace(part, file)
                except OSError:
                    folder.delete(part)
                    raise
        except (OSError, StoreError):
            return False
        return True

    def delete(self, image_ids: Sequence[int]) -> None:
        """Delete the files of images."""
        by_folder: dict[int, set[str]] = {}
        for image_id in image_ids:
            by_folder.setdefault(image_id // IMAGES_A_FOLDER, set()).add(str(image_id))
        for ids in by_folder.values():
            # There are none yet; or a link has the place of the folder, and is left alone.
            with contextlib.suppress(OSError, StoreError), self._folder(int(min(ids))) as folder:
                for name in folder.names():
                    if is_derived_file(name) and name.split("-")[0] in ids:
                        folder.delete(name)

    def owned(self) -> Iterator[tuple[StoreFolder, str, int | None]]:
        """Yield every file of cbir's own with the open folder it is in, and its image's id."""
        with contextlib.suppress(OSError), open_folder(self.path) as outer:
            for name in outer.names():
                if is_collection_file(name):
                    yield outer, name, None
                elif name.isdecimal() and not outer.is_link(name) and not outer.is_file(name):
                    with outer.folder(name) as folder:
                        for file in folder.names():
                            if is_derived_file(file):
                                yield folder, file, int(file.split("-")[0])

    @contextlib.contextmanager
    def _folder(self, image_id: int | None, *, create: bool = False) -> Iterator[StoreFolder]:
        with open_folder(self.path, create=create) as outer:
            if image_id is None:
                yield outer
                return
            with outer.folder(str(image_id // IMAGES_A_FOLDER), create=create) as folder:
                yield folder


def _file(name: str, image_id: int | None) -> str:
    return name if image_id is None else f"{image_id}-{name}"
