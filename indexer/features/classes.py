"""The names of the classes whose scores a network's last layer gives."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from indexer.choices import ClassSet


@lru_cache
def class_names(classes: ClassSet) -> tuple[tuple[str, ...], ...]:
    """Return the names of each class, in the order of the scores, the usual one first."""
    text = Path(__file__).with_name(f"{classes}.txt").read_text("utf-8")
    return tuple(tuple(line.split(", ")) for line in text.splitlines())
