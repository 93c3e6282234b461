"""Uploads: images that clients put under keys of their own, as files in one folder."""

from __future__ import annotations

import contextlib
import logging
import mimetypes
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple
from urllib.parse import quote, unquote

from indexer.build import index_photos
from indexer.errors import CbirError, NoImagesError, StoreLockedError, UnreadableImageError
from indexer.features.extractor import FeatureExtractor
from indexer.images.decode import load_image
from indexer.images.find import SUFFIXES
from indexer.remove import remove_images
from indexer.run import IndexingStopped
from indexer.sources.place import Place
from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo
from indexer.store.store import Store
from ui.api.problems import NotFoundError, NotKeptError
from ui.api.writing import Writer

MAX_KEY_BYTES = 200  # of the name of its file
AT_ONCE = 256  # images that one commit takes at most
USUAL_SUFFIX = ".jpg"
MARKER = ".new"  # ends the name of what marks a file that waits
PAUSE_S = 0.5  # between two tries, while another process writes
LOGGER = logging.getLogger("cbir.uploads")


class Version(NamedTuple):
    """What is another for every file that was put at a place."""

    inode: int
    changed_ns: int
    size: int


class InvalidKeyError(CbirError):
    """A key that cannot name an image."""


@dataclass(eq=False)
class _Waiting:
    """A file that waits to be indexed, and who waits for it."""

    path: Path
    indexed: Future[ImageInfo] = field(default_factory=Future)


class Uploads:
    """Files in one folder, named by their keys, which one thread indexes as they come.

    Those that come while it is at work share the next commit. A marker beside a file says that it
    waits, so that the next server on this folder indexes what this one no longer could.
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
        self._names = threading.Lock()  # held while a file gets its name, or loses it
        self._latest: dict[str, _Waiting] = {}  # of each key that has files waiting
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="uploads", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread soon; the next server on the folder indexes what waits."""
        self._closing.set()
        self._arrived.put(None)
        self._thread.join()

    # --- keys ---------------------------------------------------------------------------------

    def key_of(self, path: Place) -> str | None:
        """Return the key that an image was put by, None for any other image."""
        return unquote(path.stem) if path.parent == self.folder else None

    def find(self, key: str) -> ImageInfo:
        """Return the image of a key; raises `NotFoundError`."""
        for path in self._files(_file_name(key)):
            info = self._store().find_image(path)
            if info is not None:
                return info
        raise NotFoundError(f"There is no image with the key {key!r}.")

    def _files(self, name: str) -> dict[Path, Version]:
        """Return the files of a key; while it is replaced in another format, there are two."""
        paths = (self.folder / (name + suffix) for suffix in dict.fromkeys(SUFFIXES))
        return {path: version for path in paths if (version := _version_of(path)) is not None}

    # --- writing ------------------------------------------------------------------------------

    def put(self, key: str, data: bytes, content_type: str) -> Future[ImageInfo]:
        """Keep an image under a key, in place of the one there, if any; it is indexed soon.

        Raises `InvalidKeyError`, `ImageError` for what is no image, and `NotKeptError` where the
        file cannot be written.
        """
        name = _file_name(key)
        load_image(data, at_least=1, max_pixels=self._store().max_pixels, name=key)
        waiting = _Waiting(self.folder / (name + _suffix_of(content_type)))
        part = self.folder / f".{secrets.token_hex(16)}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(part, data)
            with self._names:
                _marker_of(waiting.path).touch()
                part.replace(waiting.path)
                self._wait_for(waiting)
        except OSError as error:
            raise NotKeptError(f"{waiting.path} cannot be written: {error.strerror}.") from error
        finally:
            with contextlib.suppress(OSError):  # it has its name, or was never written
                part.unlink()
        return waiting.indexed

    def remove(self, key: str) -> None:
        """Remove the image of a key, and its file; raises `NotFoundError` and `NotKeptError`."""
        files = self._files(_file_name(key))
        if not files:
            raise NotFoundError(f"There is no image with the key {key!r}.")
        try:
            self._writer.change(lambda store: self._remove(store, files))
        except OSError as error:
            raise NotKeptError(f"The file cannot be removed: {error.strerror}.") from error

    def _remove(self, store: Store, files: Mapping[Path, Version]) -> None:
        """Remove images and their files, but those that were replaced meanwhile."""
        same = [path for path, version in files.items() if _version_of(path) == version]
        for path in same:
            with contextlib.suppress(NoImagesError):  # put, and not indexed yet
                remove_images(store, [path])
        with self._names:
            for path in same:
                if _version_of(path) == files[path]:
                    path.unlink()

    # --- indexing, in the thread --------------------------------------------------------------

    def _wait_for(self, waiting: _Waiting) -> None:
        self._latest[waiting.path.stem] = waiting
        self._arrived.put(waiting)

    def _work(self) -> None:
        self._wait_for_marked()
        while (first := self._arrived.get()) is not None:
            batch = [first]
            with contextlib.suppress(Empty):
                while len(batch) < AT_ONCE and (more := self._arrived.get_nowait()) is not None:
                    batch.append(more)
            if self._closing.is_set():
                return
            try:
                self._writer.change(partial(self._index, batch))
            except IndexingStopped:
                return
            except StoreLockedError:  # another process writes for long
                for waiting in batch:
                    self._arrived.put(waiting)
                self._closing.wait(PAUSE_S)  # others want to write, too
            except Exception as error:  # the thread serves all clients, and goes on
                if not isinstance(error, CbirError):
                    LOGGER.exception("indexing failed")
                for waiting in batch:
                    self._end(waiting, error)

    def _wait_for_marked(self) -> None:
        """Let the files wait that an earlier server has not indexed, the oldest first."""
        try:
            marked = [_marked_by(path) for path in self.folder.glob(f".*{MARKER}")]
        except OSError:
            LOGGER.exception("the folder of uploads cannot be read")
            return
        versions = {path: version for path in marked if (version := _version_of(path)) is not None}
        with self._names:
            for path in sorted(versions, key=lambda path: versions[path].changed_ns):
                if path.stem not in self._latest:
                    self._wait_for(_Waiting(path))

    def _index(self, batch: Sequence[_Waiting], store: Store) -> None:
        files = list(dict.fromkeys(waiting.path for waiting in batch if waiting.path.is_file()))
        reasons: dict[str, str] = {}
        if files:
            stop = self._closing.is_set
            report = index_photos(store, files, self._load_extractor, stop=stop)
            reasons = dict(report.warnings) | dict(report.failed)
        for waiting in batch:
            info = self._store().find_image(waiting.path)
            if info is None:
                reason = "it was removed before it was indexed"
                if waiting.path in files:
                    reason = reasons.get(str(waiting.path), "it shows nothing that can be found")
                self._end(waiting, UnreadableImageError(unquote(waiting.path.stem), reason))
            else:
                self._drop_others(store, waiting)
                self._end(waiting, info)

    def _end(self, waiting: _Waiting, outcome: ImageInfo | Exception) -> None:
        """Answer who waits for a file, and let it wait no more."""
        with self._names, contextlib.suppress(OSError):
            latest = self._latest.get(waiting.path.stem, waiting)
            if latest is waiting:
                self._latest.pop(waiting.path.stem, None)
            if latest is waiting or latest.path != waiting.path:
                _marker_of(waiting.path).unlink(missing_ok=True)
        if waiting.indexed.done():
            return
        if isinstance(outcome, Exception):
            waiting.indexed.set_exception(outcome)
        else:
            waiting.indexed.set_result(outcome)

    def _drop_others(self, store: Store, waiting: _Waiting) -> None:
        """Remove the files that the key had in other formats, unless a later put does that."""
        with self._names:
            if self._latest.get(waiting.path.stem) is not waiting:
                return
            others = self._files(waiting.path.stem)
        others.pop(waiting.path, None)
        self._remove(store, others)


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


def _version_of(path: Path) -> Version | None:
    """Return the version of the file at a place, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Version(found.st_ino, found.st_mtime_ns, found.st_size)


def _marker_of(path: Path) -> Path:
    return path.with_name(f".{path.name}{MARKER}")


def _marked_by(marker: Path) -> Path:
    return marker.with_name(marker.name.removeprefix(".").removesuffix(MARKER))


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
