"""Uploads: images that clients put under keys of their own, as files in one folder."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import quote, unquote

from indexer.build import index_photos
from indexer.errors import CbirError, NoImagesError, StoreLockedError, UnreadableImageError
from indexer.features.extractor import FeatureExtractor
from indexer.images.decode import load_image
from indexer.images.find import SUFFIXES
from indexer.remove import remove_images
from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo
from indexer.store.store import Store
from ui.api.problems import NotFoundError
from ui.api.writing import Writer

MAX_KEY_BYTES = 200  # of the name of its file
AT_ONCE = 256  # images that one commit takes at most
USUAL_SUFFIX = ".jpg"


class InvalidKeyError(CbirError):
    """A key that cannot name an image."""


@dataclass
class _Waiting:
    """A file that waits to be indexed, and who waits for it."""

    path: Path
    indexed: Future[ImageInfo] = field(default_factory=Future)


class Uploads:
    """Files in one folder, named by their keys, which one thread indexes as they come.

    Those that come while it is at work share the next commit.
    """

    def __init__(
        self,
        folder: Path,
        writer: Writer,
        store: Callable[[], StoreReader],
        load_extractor: Callable[[], FeatureExtractor],
    ) -> None:
        self.folder = folder
        self._writer = writer
        self._store = store
        self._load_extractor = load_extractor
        self._arrived: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="uploads", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, once it has indexed what has arrived."""
        self._arrived.put(None)
        self._thread.join()

    # --- keys ---------------------------------------------------------------------------------

    def key_of(self, path: Path) -> str | None:
        """Return the key that an image was put by, None for any other image."""
        return unquote(path.stem) if path.parent == self.folder else None

    def find(self, key: str) -> ImageInfo:
        """Return the image of a key; raises `NotFoundError`."""
        for path in self._files(key):
            info = self._store().find_image(path)
            if info is not None:
                return info
        raise NotFoundError(f"There is no image with the key {key!r}.")

    def _files(self, key: str) -> list[Path]:
        """Return the files of a key; while it is replaced in another format, there are two."""
        name = _file_name(key)
        found = (self.folder / (name + suffix) for suffix in dict.fromkeys(SUFFIXES))
        return [path for path in found if path.is_file()]

    # --- writing ------------------------------------------------------------------------------

    def put(self, key: str, data: bytes, content_type: str) -> Future[ImageInfo]:
        """Keep an image under a key, in place of the one there, if any; it is indexed soon.

        Raises `InvalidKeyError`, `ImageError` for what is no image, and `CbirError` where the file
        cannot be written.
        """
        name = _file_name(key)
        load_image(data, at_least=1, max_pixels=self._store().max_pixels, name=key)
        waiting = _Waiting(self.folder / (name + _suffix_of(content_type)))
        try:
            _write(waiting.path, data)
        except OSError as error:
            raise CbirError(f"{waiting.path} cannot be written: {error.strerror}.") from error
        self._arrived.put(waiting)
        return waiting.indexed

    def remove(self, key: str) -> None:
        """Remove the image of a key, and its file; raises `NotFoundError`."""
        files = self._files(key)
        if not files:
            raise NotFoundError(f"There is no image with the key {key!r}.")
        self._remove(files)

    def _remove(self, files: Sequence[Path]) -> None:
        with contextlib.suppress(NoImagesError):  # put, and not indexed yet
            self._writer.change(lambda store: remove_images(store, files))
        for file in files:
            file.unlink(missing_ok=True)

    def _work(self) -> None:
        while (first := self._arrived.get()) is not None:
            batch, ends = [first], False
            with contextlib.suppress(Empty):
                while len(batch) < AT_ONCE and not ends:
                    further = self._arrived.get_nowait()
                    ends = further is None
                    batch += [further] if further is not None else []
            try:
                self._index(batch)
            except StoreLockedError:
                for waiting in batch:  # another process writes for long
                    self._arrived.put(waiting)
            except CbirError as error:
                for waiting in batch:
                    if not waiting.indexed.done():
                        waiting.indexed.set_exception(error)
            if ends:
                return

    def _index(self, batch: Sequence[_Waiting]) -> None:
        files = list(dict.fromkeys(waiting.path for waiting in batch if waiting.path.is_file()))
        failed = dict(self._writer.change(lambda store: self._index_files(store, files)))
        for waiting in batch:
            info = self._store().find_image(waiting.path)
            if info is not None:
                self._drop_others(waiting.path)
                waiting.indexed.set_result(info)
            else:
                reason = failed.get(str(waiting.path), "it was removed before it was indexed")
                waiting.indexed.set_exception(UnreadableImageError(waiting.path.name, reason))

    def _index_files(self, store: Store, files: Sequence[Path]) -> list[tuple[str, str]]:
        if not files:
            return []
        return index_photos(store, files, self._load_extractor).failed

    def _drop_others(self, path: Path) -> None:
        """Remove the files that the key had in other formats."""
        others = [p for p in self._files(unquote(path.stem)) if p != path]
        if others:
            self._remove(others)


def _file_name(key: str) -> str:
    """Return the name of the file of a key, without its suffix: any text can be a key."""
    name = quote(key, safe="").replace(".", "%2E")
    if not key.strip() or len(name) > MAX_KEY_BYTES:
        raise InvalidKeyError(
            f"{key[:40]!r} is no key: it needs 1 to {MAX_KEY_BYTES} characters; letters and digits "
            "count one, others up to twelve."
        )
    return name


def _suffix_of(content_type: str) -> str:
    suffix = mimetypes.guess_extension(content_type.partition(";")[0].strip()) or USUAL_SUFFIX
    return suffix if suffix in SUFFIXES else USUAL_SUFFIX


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
