"""How the images of a folder are found and read; the store remembers it with the folder."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from indexer.choices import MAX_PIXELS, Damaged, Oversize, PageChoice
from indexer.shard import Shard


@dataclass(frozen=True)
class ReadingOptions:
    """How the images of a folder are found and read.

    Files whose name, or path below the folder, matches a glob of `exclude` are left out. `sniff`
    finds images without a known suffix. `pages` says which pictures of a file with several are
    taken, and `damaged` what becomes of images whose files call their pixels damaged. `max_pixels`
    is the limit of one image, and `oversize` says what becomes of larger ones. Of a folder that is
    `known_only`, files were given by name; others in it are not looked for. Of a folder with a
    `shard`, files of other shards are left to other stores. An archive had so many images as
    `members`.
    """

    exclude: tuple[str, ...] = ()
    sniff: bool = False
    pages: PageChoice = "auto"
    damaged: Damaged = "skip"
    max_pixels: int = MAX_PIXELS
    oversize: Oversize = "skip"
    known_only: bool = False
    shard: Shard | None = None
    members: int | None = None

    def to_json(self) -> str:
        """Return the options that differ from their defaults, as JSON."""
        kept = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }
        return json.dumps(kept, default=str)

    @classmethod
    def from_json(cls, text: str) -> ReadingOptions:
        """Return what `to_json` was given; options of other versions are left out."""
        names = {field.name for field in dataclasses.fields(cls)}
        found = {name: value for name, value in json.loads(text).items() if name in names}
        shard = found.get("shard")
        read = {
            "exclude": tuple(found.get("exclude", ())),
            "shard": None if shard is None else Shard.parse(shard),
        }
        return cls(**found | read)
