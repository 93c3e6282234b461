"""Features that were computed before, kept in files: what was stopped goes on where it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.features.engines.openvino_runtime import cache_folder

_FILE_FAULTS = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)

Arrays = dict[str, npt.NDArray[Any]]


class FeatureCache:
    """Keeps arrays in a folder, by what they were made of."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / "evaluation"

    def find(self, key: str) -> Arrays | None:
        """Return the arrays of a key; None where they are not kept, or their file is damaged."""
        try:
            with (
                self._file(key).open("rb") as stream,
                np.load(stream, allow_pickle=False) as file,
            ):
                return {name: file[name] for name in file.files}
        except _FILE_FAULTS:
            return None  # they are computed again

    def keep(self, key: str, arrays: Arrays) -> None:
        """Keep arrays, in one step; where they cannot be written, they are computed again."""
        place = self._file(key)
        part = place.with_suffix(f".{os.getpid()}.part")
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            part.replace(place)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.npz"


def key_of(paths: Sequence[Path], *settings: object) -> str:
    """Return the key of what settings make of these files, in the state in which they are."""
    files = []
    for path in paths:
        try:
            stat = path.stat()
            files.append((str(path), stat.st_size, stat.st_mtime_ns))
        except OSError:
            files.append((str(path), -1, -1))
    text = json.dumps([version("cbir"), settings, files])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
