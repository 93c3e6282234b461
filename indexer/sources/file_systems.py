"""Files at URLs, by fsspec: buckets of S3 and Google Cloud Storage, and web servers."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import unquote

from indexer.errors import UnreachableError
from indexer.sources.faults import faults_of, retrying, translate
from indexer.sources.place import EXTRAS, WEB, Place, is_plain_name
from indexer.sources.ranges import open_ranges
from indexer.sources.source import (
    Entry,
    FoundEntry,
    Kind,
    Listing,
    Stat,
    TreeListing,
    mark_of,
)

if TYPE_CHECKING:  # loaded for the first URL
    from fsspec import AbstractFileSystem

T = TypeVar("T")
CONNECT_S, ANSWER_S = 10, 60
TRIES = 4  # of one request
CONNECTIONS = 32
NO_NAME = "has a name that is not a path, and is left out"

_opened: dict[tuple[int, str], AbstractFileSystem] = {}  # by process and scheme
_opening = threading.Lock()


def file_system(scheme: str) -> AbstractFileSystem:
    """Return the file system of a kind of URL; raises `UnreachableError` where it is missing.

    Keys and addresses are those of the environment and of the service's own files.
    """
    if scheme not in EXTRAS:
        raise UnreachableError(f"{scheme}:// is not read.")
    key = os.getpid(), scheme
    with _opening:
        if key not in _opened:
            try:
                import fsspec

                _opened[key] = fsspec.filesystem(
                    scheme, skip_instance_cache=True, use_listings_cache=False, **_options(scheme)
                )
                if scheme == "s3":
                    _opened[key].retries = 1  # those of s3fs would multiply those of botocore
            except ImportError as error:
                raise UnreachableError(
                    f"{scheme}:// cannot be read, for a package is missing ({error}). Install it "
                    f"with: pip install 'cbir[{EXTRAS[scheme]}]'"
                ) from error
        return _opened[key]


def forget(*schemes: str) -> None:
    """Let go of file systems, so that changes of the environment count."""
    with _opening:
        for key in [key for key in _opened if key[1] in schemes]:
            del _opened[key]


def _options(scheme: str) -> dict[str, Any]:
    if scheme == "s3":
        tries = {"mode": "standard", "total_max_attempts": TRIES}
        limits = {"connect_timeout": CONNECT_S, "read_timeout": ANSWER_S}
        config = limits | {"retries": tries, "max_pool_connections": CONNECTIONS}
        # One request for a file, whatever its size.
        return {"config_kwargs": config, "max_concurrency": 1}
    if scheme in WEB:
        import aiohttp

        waits = aiohttp.ClientTimeout(sock_connect=CONNECT_S, sock_read=ANSWER_S)
        return {"client_kwargs": {"timeout": waits}}
    return {}


class RemoteFiles:
    """Files at URLs of one kind."""

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme

    def _ask(self, place: Place, call: Callable[[AbstractFileSystem], T]) -> T:
        """Ask the file system, several times where the fault may pass; raises `OSError`."""
        system = file_system(self.scheme)
        faults = faults_of(self.scheme)
        try:
            return retrying(self.scheme, lambda: call(system))
        except faults as error:
            raise translate(error, str(place)) from error

    def kind(self, place: Place) -> Kind | None:
        """Return what is at a place, None for nothing; raises `UnreachableError`."""
        try:
            info = self._ask(place, lambda system: system.info(str(place)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnreachableError(f"{place} {reason_of(error)}") from error
        if self.scheme in WEB:
            return "folder" if info.get("mimetype") == "text/html" else "file"
        return "folder" if info["type"] == "directory" else "file"

    def list(self, folder: Place) -> Listing:
        """Return what is below a folder: of a bucket at once, of a web server page by page."""
        if self.scheme in WEB:
            return _WebListing(self)
        found = self._ask(folder, lambda system: system.find(str(folder), detail=True))
        own: dict[str, Stat] = {}
        problems: list[tuple[str, str]] = []
        top = str(folder).partition("://")[2]
        for name, info in found.items():
            below = str(name).lstrip("/").removeprefix(f"{top}/")
            if below in ("", top) or below.endswith("/"):  # what stands for a folder itself
                continue
            if is_plain_name(below):
                own[below] = to_stat(info)
            else:
                problems.append((f"{folder}/{below}", NO_NAME))
        return TreeListing(folder, own.items(), problems)

    def links(self, folder: Place) -> Iterator[tuple[str, bool]]:
        """Yield the names on the page of a folder, and whether they are folders."""
        page = f"{folder}/"
        found = self._ask(folder, lambda system: system.ls(page, detail=False))
        for url in sorted({str(link).partition("#")[0] for link in found}):
            name, is_folder = url.removeprefix(page).rstrip("/"), url.endswith("/")
            if url.startswith(page) and "?" not in name and is_plain_name(unquote(name)):
                yield name, is_folder

    def stat(self, file: Place) -> Stat:
        """Return what tells a changed file."""
        return to_stat(self._ask(file, lambda system: system.info(str(file))))

    def read(self, file: Place, most: int | None = None) -> bytes:
        """Return the bytes of a file, or `most` of them from its start, by one request."""
        if most is not None:
            return self.fetch(file, 0, most)
        return cast(bytes, self._ask(file, lambda system: system.cat_file(str(file))))

    def read_together(self, files: Sequence[Place]) -> Sequence[bytes | OSError]:
        """Return the bytes of files, or why they cannot be read; all are asked for at once."""
        paths = [str(file) for file in files]
        answers = file_system(self.scheme).cat_ranges(paths, None, None, on_error="return")
        return [self._settle(*asked) for asked in zip(files, answers, strict=True)]

    def _settle(self, file: Place, answer: bytes | Exception) -> bytes | OSError:
        """Return an answer; after a fault that may pass, the file is asked for again."""
        if isinstance(answer, bytes):
            return answer
        faults = [answer]

        def call(system: AbstractFileSystem) -> bytes:
            if faults:
                raise faults.pop()
            return cast(bytes, system.cat_file(str(file)))

        try:
            return self._ask(file, call)
        except OSError as error:
            return error

    def fetch(self, file: Place, start: int, stop: int) -> bytes:
        """Return a part of a file, which may have fewer bytes."""
        try:
            part = self._ask(file, lambda system: system.cat_file(str(file), start=start, end=stop))
        except OSError:
            if start == 0 and not self.stat(file).st_size:
                return b""  # of an empty file there is no part
            raise
        data = cast(bytes, part)
        if len(data) > stop - start:  # a web server that gives no parts gave all of it
            data = data[start:stop]
        return data

    def open(self, file: Place) -> IO[bytes]:
        """Open a file in which parts can be read by themselves.

        Of a web server that gives no parts it is a copy.
        """
        info = self._ask(file, lambda system: system.info(str(file)))
        if self.scheme in WEB and not self._gives_parts(file, info):
            return self._copy(file)
        size = to_stat(info).st_size
        return open_ranges(size, lambda start, stop: self.fetch(file, start, stop))

    def _gives_parts(self, file: Place, info: dict[str, Any]) -> bool:
        if info.get("partial") is False or info.get("size") is None:
            return False
        start = self._ask(file, lambda system: system.cat_file(str(file), start=0, end=1))
        return len(start) == 1

    def _copy(self, file: Place) -> IO[bytes]:
        copy = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115  # closed by the caller

        def fill(system: AbstractFileSystem) -> None:
            copy.seek(0)
            copy.truncate()
            with system.open(str(file), block_size=0) as opened:
                shutil.copyfileobj(opened, copy)

        self._ask(file, fill)
        copy.seek(0)
        return copy


class _WebListing:
    """The pages of a web server that lists its files."""

    problems: Sequence[tuple[str, str]] = ()

    def __init__(self, files: RemoteFiles) -> None:
        self._files = files

    def entries(self, folder: Place) -> Sequence[Entry]:
        """Return what the page of a folder links to below it."""
        links = self._files.links(folder)
        return [self._entry(folder / name, is_folder) for name, is_folder in links]

    def _entry(self, place: Place, is_folder: bool) -> Entry:
        return FoundEntry(place.name, str(place), is_folder, lambda: self._files.stat(place))


def to_stat(info: dict[str, Any]) -> Stat:
    """Return what a file system says of a file."""
    changed = next((info[n] for n in MODIFIED if info.get(n)), None)
    mark = next((str(info[n]) for n in MARKS if info.get(n)), "")
    return Stat(int(info.get("size") or 0), _nanoseconds(changed), 0, mark_of(mark) if mark else 0)


MODIFIED = ("LastModified", "mtime", "updated", "Last-Modified", "modified", "created")
MARKS = ("ETag", "etag", "md5Hash", "Content-MD5")


def _nanoseconds(value: object) -> int:
    """Return a time stamp as a number, 0 where it is none."""
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat if value[:1].isdigit() else parsedate_to_datetime
            return round(read(value).timestamp()) * 10**9
        if isinstance(value, datetime):
            return int(value.timestamp()) * 10**9  # a listing may be more exact than an answer
    except ValueError:
        return 0
    return 0


def reason_of(error: OSError) -> str:
    """Return why a place cannot be read, and what to do about it."""
    what = error.strerror or str(error) or type(error).__name__
    if isinstance(error, PermissionError):
        return (
            f"refuses access ({what}). Check the credentials, such as AWS_PROFILE, and what they "
            "allow; nothing was changed."
        )
    return f"cannot be read ({what}). Check the URL and the connection; nothing was changed."
