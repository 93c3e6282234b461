"""StoreFolder: a folder of a store, held open, in which no link is followed.

A store may come from anywhere, and its folders may be replaced at any moment: a link in the place
of a file, or of a folder, must neither be read nor written nor deleted through.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BufferedWriter
from pathlib import Path

from indexer.errors import StoreError

BY_HANDLE = os.open in os.supports_dir_fd  # not on Windows, where links need special rights
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_MODE = 0o666  # less the umask


class StoreFolder:
    """The folder at `path`; names are those of files in it, without any folder.

    Raises `StoreError` where a link, or another thing that is no file, has the place of a file, and
    `OSError` as the functions of `os` do.
    """

    def __init__(self, path: Path, handle: int | None) -> None:
        self.path = path
        self._handle = handle

    def names(self) -> list[str]:
        """Return the names of all that is in the folder, sorted."""
        with os.scandir(self.path if self._handle is None else self._handle) as entries:
            return sorted(entry.name for entry in entries)

    def read(self, name: str) -> BufferedReader:
        """Open a file for reading."""
        self._require_file(name, self._stat(name).st_mode)
        flags = os.O_RDONLY | _NO_FOLLOW | _BINARY
        return os.fdopen(os.open(self._place(name), flags, dir_fd=self._handle), "rb")

    def write(self, name: str, mode: int = _MODE) -> BufferedWriter:
        """Open a new file for writing, of this mode, or an old one, whose contents go."""
        if (found := self._mode(name)) is not None:
            self._require_file(name, found)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NO_FOLLOW | _BINARY
        descriptor = os.open(self._place(name), flags, mode, dir_fd=self._handle)
        return os.fdopen(descriptor, "wb")

    def exists(self, name: str) -> bool:
        """Whether there is anything of that name, be it a link."""
        return self._mode(name) is not None

    def is_file(self, name: str) -> bool:
        """Whether there is a file of that name: no link, and no folder."""
        return stat.S_ISREG(self._mode(name) or 0)

    def is_link(self, name: str) -> bool:
        """Whether there is a link of that name."""
        return stat.S_ISLNK(self._mode(name) or 0)

    def size_of(self, name: str) -> int:
        """Return the bytes of a file."""
        return self._stat(name).st_size

    def delete(self, name: str) -> None:
        """Delete a file, or a link itself; nothing is to be there in the end."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._place(name), dir_fd=self._handle)

    def replace(self, part: str, name: str) -> None:
        """Give a file the name of another one, in one step."""
        handle = self._handle
        os.replace(self._place(part), self._place(name), src_dir_fd=handle, dst_dir_fd=handle)

    def sync(self) -> None:
        """Flush the folder's entries to the disk."""
        if self._handle is not None:
            os.fsync(self._handle)

    @contextmanager
    def folder(self, name: str, *, create: bool = False) -> Iterator[StoreFolder]:
        """Open a folder in this one, see `open_folder`."""
        with _opened(self.path / name, self._place(name), self._handle, create=create) as inner:
            yield inner

    def _place(self, name: str) -> str | Path:
        if Path(name).name != name or name in ("", ".."):
            raise ValueError(f"{name!r} is no name of a file")
        return self.path / name if self._handle is None else name

    def _mode(self, name: str) -> int | None:
        """Return the `st_mode` of what has this name, None where there is nothing."""
        try:
            return self._stat(name).st_mode
        except FileNotFoundError:
            return None

    def _stat(self, name: str) -> os.stat_result:
        return os.stat(self._place(name), dir_fd=self._handle, follow_symlinks=False)

    def _require_file(self, name: str, mode: int) -> None:
        if not stat.S_ISREG(mode):
            raise StoreError(
                f"{self.path / name} is a link or a folder, not a file that cbir wrote. Nothing "
                "was read or changed; replace it by the file."
            )


@contextmanager
def open_folder(path: Path, *, create: bool = False) -> Iterator[StoreFolder]:
    """Hold a folder open, made if it is to `create` it.

    Raises `StoreError` where it is a link, and `FileNotFoundError`.
    """
    with _opened(path, path, None, create=create) as folder:
        yield folder


@contextmanager
def _opened(
    path: Path, place: str | Path, outer: int | None, *, create: bool
) -> Iterator[StoreFolder]:
    """Open the folder at `path`, which is at `place` as seen from the handle of the `outer` one."""
    if create:
        with contextlib.suppress(FileExistsError):  # what there is, is looked at below
            os.mkdir(place, dir_fd=outer)
    found = os.stat(place, dir_fd=outer, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode) or is_link(path):
        raise StoreError(
            f"{path} is a link to {path.resolve()}. Nothing was changed: cbir uses its own folders "
            "only. Replace the link by the folder, or move the whole store and link to that."
        )
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if not BY_HANDLE:
        yield StoreFolder(path, None)
        return
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | _NO_FOLLOW, dir_fd=outer)
    try:
        yield StoreFolder(path, handle)
    finally:
        os.close(handle)


def is_link(folder: Path) -> bool:
    """Whether a folder is a symbolic link or, on Windows, a junction."""
    return folder.is_symlink() or folder.resolve() != folder.parent.resolve() / folder.name
