"""The same photos at every kind of place: a folder, archives, a bucket, a web server."""

from __future__ import annotations

import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from indexer.sources import file_systems
from indexer.sources.place import Place, to_place
from tests.s3 import Bucket

KINDS = ("folder", "zip", "tar", "s3", "zip at s3", "gs", "https")


@dataclass
class Published:
    """Photos of a folder at a place; `publish` brings it up to date with the folder."""

    folder: Path
    place: Place
    publish: Callable[[], None]


def files_of(folder: Path) -> dict[str, Path]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def write_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive, "w") as file:
        for place, (name, path) in enumerate(files_of(folder).items()):
            file.write(path, name, zipfile.ZIP_DEFLATED if place % 2 else zipfile.ZIP_STORED)


def write_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive, "w") as file:
        for name, path in files_of(folder).items():
            file.add(path, name)


WRITERS = {"zip": write_zip, "tar": write_tar}


def in_archive(kind: str, folder: Path) -> Published:
    archive = folder.with_suffix(f".{kind}")
    return Published(folder, archive, lambda: WRITERS[kind](archive, folder))


def in_bucket(bucket: Bucket, folder: Path) -> Published:
    known: dict[str, bytes] = {}

    def publish() -> None:
        wanted = {f"photos/{name}": path.read_bytes() for name, path in files_of(folder).items()}
        for key in known.keys() - wanted.keys():
            bucket.delete(key)
        for key, data in wanted.items():
            if known.get(key) != data:
                bucket.put(key, data)
        known.clear()
        known.update(wanted)

    return Published(folder, to_place(f"{bucket.url}/photos"), publish)


def in_archive_at(bucket: Bucket, kind: str, folder: Path) -> Published:
    own = in_archive(kind, folder)

    def publish() -> None:
        own.publish()
        bucket.put(f"photos.{kind}", Path(str(own.place)).read_bytes())

    return Published(folder, to_place(f"{bucket.url}/photos.{kind}"), publish)


class MemoryBuckets(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """What stands for Google Cloud Storage: its wiring is tested, not its service."""

    protocol = ("gs", "gcs")
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("gs://").strip("/")


@contextmanager
def memory_buckets() -> Iterator[None]:
    fsspec.register_implementation("gs", MemoryBuckets, clobber=True)
    MemoryBuckets.store.clear()
    file_systems.forget("gs")
    yield
    file_systems.forget("gs")


def in_memory(folder: Path) -> Published:
    files = MemoryBuckets(skip_instance_cache=True)

    def publish() -> None:
        wanted = {f"/bucket/photos/{name}": path for name, path in files_of(folder).items()}
        for name in set(MemoryBuckets.store) - set(wanted):
            files.rm_file(name)
        for name, path in wanted.items():
            data = path.read_bytes()
            if name not in MemoryBuckets.store or files.cat_file(name) != data:
                files.pipe_file(name, data)

    return Published(folder, to_place("gs://bucket/photos"), publish)


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """List a folder on a web server of this machine; yields its URL."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
