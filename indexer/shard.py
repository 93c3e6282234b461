"""Shard: the files that are one worker's, where many workers share a folder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import xxhash

_FORM = re.compile(r"([1-9]\d{0,8})/([1-9]\d{0,8})")


@dataclass(frozen=True)
class Shard:
    """The files of one of `count` shards, of which `number`, from 1, is this one.

    A file's shard depends on its path below its root alone, so that shards neither overlap nor miss
    a file, on whatever machine, and new files change nothing for others.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard that a text like 3/16 names; raises `ValueError`."""
        found = _FORM.fullmatch(text)
        if not found or int(found[1]) > int(found[2]):
            raise ValueError(f"{text!r} is not a shard like 3/16, the third of sixteen")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def __contains__(self, path: str) -> bool:
        """Whether the file at this path, relative to its root and with slashes, belongs to it."""
        return xxhash.xxh3_64_intdigest(os.fsencode(path)) % self.count == self.number - 1
