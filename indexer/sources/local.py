"""Files of this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import IO

from indexer.sources.place import Place
from indexer.sources.source import Entry, Kind, Listing


class LocalListing:
    """Reads one folder at a time."""

    problems: Sequence[tuple[str, str]] = ()

    def entries(self, folder: Place) -> Sequence[Entry]:
        """Return what is in a folder."""
        with os.scandir(str(folder)) as entries:
            return list(entries)


class LocalFiles:
    """Files of this machine."""

    def kind(self, place: Place) -> Kind | None:
        """Return what is at a place, None for nothing."""
        path = Path(str(place))
        if path.is_dir():
            return "folder"
        return "file" if path.is_file() else None

    def list(self, folder: Place) -> Listing:
        """Return what is below a folder."""
        del folder
        return LocalListing()

    def stat(self, file: Place) -> os.stat_result:
        """Return what tells a changed file."""
        return Path(str(file)).stat()

    def read(self, file: Place, most: int | None = None) -> bytes:
        """Return the bytes of a file, or `most` of them from its start."""
        with FileIO(str(file)) as opened:
            return opened.readall() if most is None else opened.read(most) or b""

    def fetch(self, file: Place, start: int, stop: int) -> bytes:
        """Return a part of a file."""
        with FileIO(str(file)) as opened:
            opened.seek(start)
            return opened.read(stop - start) or b""

    def open(self, file: Place) -> IO[bytes]:
        """Open a file."""
        return Path(str(file)).open("rb")
