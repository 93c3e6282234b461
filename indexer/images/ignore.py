"""Ignore files: what a folder says is not to be indexed, as `.gitignore` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

IGNORE_FILE = ".cbirignore"


@dataclass(frozen=True)
class IgnoreRules:
    """The rules of the `.cbirignore` in `folder`, in the syntax of `.gitignore`."""

    folder: Path
    spec: GitIgnoreSpec

    @classmethod
    def read(cls, folder: Path) -> IgnoreRules:
        """Read the rules of a folder; raises `OSError`, and `ValueError` for a bad pattern."""
        text = (folder / IGNORE_FILE).read_text("utf-8-sig", errors="surrogateescape")
        return cls(folder, GitIgnoreSpec.from_lines(text.splitlines()))

    def matches(self, path: Path, is_folder: bool) -> bool:
        """Whether a file or folder below the folder is to be left out."""
        below = path.relative_to(self.folder).as_posix()
        return self.spec.match_file(f"{below}/" if is_folder else below)
