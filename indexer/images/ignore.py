"""Ignore files: what a folder says is not to be indexed, as `.gitignore` does."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

from indexer.sources.access import read_file
from indexer.sources.place import Place, path_below

IGNORE_FILE = ".cbirignore"


@dataclass(frozen=True)
class IgnoreRules:
    """The rules of the `.cbirignore` in `folder`, in the syntax of `.gitignore`."""

    folder: Place
    spec: GitIgnoreSpec

    @classmethod
    def read(cls, folder: Place) -> IgnoreRules:
        """Read the rules of a folder; raises `OSError`, and `ValueError` for a bad pattern."""
        data = read_file(folder / IGNORE_FILE)
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell writes it
            text = data.decode("utf-16")
        else:
            text = data.decode("utf-8-sig", "surrogateescape")
        return cls(folder, GitIgnoreSpec.from_lines(text.splitlines()))

    def matches(self, path: Place, is_folder: bool) -> bool:
        """Whether a file or folder below the folder is to be left out."""
        below = path_below(self.folder, path)
        return self.spec.match_file(f"{below}/" if is_folder else below)
