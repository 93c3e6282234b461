"""Asked: all that a page is asked, as its address says it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar, cast, get_args
from urllib.parse import urlencode

from indexer.choices import SCOPES, Scope
from indexer.errors import CbirError, InvalidQueryError
from indexer.features.regions import Region
from indexer.sources.place import named
from indexer.store.filters import ImageFilter

MOST_BOXES = 8  # each is a search of its own
MOST_FURTHER = 16  # photos; each takes a search of its own time
Features = Literal["conv", "fc", "both"]
T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What is asked: the source, how it is compared, and the filters; each field is a parameter.

    `image` is an image of the store, or else `picture` the key of one in memory, see
    `query_pictures`, or `text` a word. `box` are boxes in that picture. `search` and `verify` None
    are what suits the store. `also` and `unlike` are further photos, `also_text` a further word.
    """

    image: int | None = None
    picture: str = ""
    text: str = ""
    box: tuple[Region, ...] = ()
    search: Scope | None = None
    feature: Features = "conv"
    turns: bool = False
    verify: bool | None = None
    rerank: bool = False
    also: tuple[int, ...] = ()
    unlike: tuple[int, ...] = ()
    also_text: str = ""
    folder: str = ""
    name: str = ""
    since: dt.date | None = None
    until: dt.date | None = None
    tags: tuple[str, ...] = ()
    where: str = ""

    @property
    def has_picture(self) -> bool:
        """Whether a picture is asked with, be it of the store or not."""
        return self.image is not None or bool(self.picture)

    @property
    def has_query(self) -> bool:
        """Whether there is anything to search for."""
        return self.has_picture or bool(self.text)

    @property
    def filter(self) -> ImageFilter:
        """Which images may be hits."""
        return ImageFilter(
            folder=named(self.folder) if self.folder else None,
            name=self.name,
            since=self.since,
            until=self.until,
            tags=self.tags,
            where=self.where,
        )

    def address(self) -> str:
        """Return the query string of it, empty where nothing is asked."""
        return urlencode(self.parameters(), doseq=True)

    def parameters(self) -> dict[str, list[str]]:
        """Return the parameters of the address, without those that say what goes without saying."""
        usual = Asked()
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: texts
            for name, value in given.items()
            if value != getattr(usual, name) and (texts := _WRITE.get(name, _one)(value))
        }

    @classmethod
    def read(cls, parameters: Mapping[str, Sequence[str]]) -> tuple[Asked, list[str]]:
        """Read the parameters of an address; what cannot be read is left out, and said why."""
        found: dict[str, Any] = {}
        problems: list[str] = []
        for field in fields(cls):
            texts = [text for text in parameters.get(field.name, ()) if text]
            if not texts:
                continue
            try:
                found[field.name] = _READ[field.name](texts)
            except CbirError as error:
                problems.append(str(error))
        asked = cls(**found)
        if asked.box and not asked.has_picture:
            asked = replace(asked, box=())
        return asked, problems


# --- how values are written -----------------------------------------------------------------------


def _one(value: object) -> list[str]:
    return [str(value)]


def _flag(value: bool) -> list[str]:
    return ["yes" if value else "no"]


def _each(values: Sequence[object]) -> list[str]:
    return [str(value) for value in values]


def _listed(values: Sequence[object]) -> list[str]:
    return [",".join(str(value) for value in values)]


_WRITE: dict[str, Callable[[Any], list[str]]] = {
    "box": _each,
    "turns": _flag,
    "verify": _flag,
    "rerank": _flag,
    "also": _listed,
    "unlike": _listed,
    "tags": _each,
}

# --- how they are read ----------------------------------------------------------------------------


def _text(texts: Sequence[str]) -> str:
    return texts[-1].strip()


def _number(texts: Sequence[str]) -> int:
    return image_number(texts[-1])


def image_number(text: str) -> int:
    """Return the number of an image; raises `InvalidQueryError` for any other text."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidQueryError(f"{text!r} is not the number of an image in this collection.")
    return int(text)


def _ids(texts: Sequence[str]) -> tuple[int, ...]:
    found = tuple(
        dict.fromkeys(image_number(part) for text in texts for part in text.split(",") if part)
    )
    return _bounded(found, MOST_FURTHER, "further photos")


def _boxes(texts: Sequence[str]) -> tuple[Region, ...]:
    return _bounded(tuple(dict.fromkeys(map(Region.parse, texts))), MOST_BOXES, "boxes")


def _bounded(values: tuple[T, ...], most: int, what: str) -> tuple[T, ...]:
    if len(values) > most:
        raise InvalidQueryError(f"A query takes {most} {what} at most; {len(values)} are given.")
    return values


def _yes(texts: Sequence[str]) -> bool:
    text = texts[-1].lower()
    if text not in ("yes", "no", "true", "false"):
        raise InvalidQueryError(f"{texts[-1]!r} in the address is neither yes nor no.")
    return text in ("yes", "true")


def _day(texts: Sequence[str]) -> dt.date:
    try:
        return dt.date.fromisoformat(texts[-1])
    except ValueError as error:
        raise InvalidQueryError(f"{texts[-1]!r} is not a day; write it as 2024-05-31.") from error


def _chosen(choices: Sequence[T]) -> Callable[[Sequence[str]], T]:
    def read(texts: Sequence[str]) -> T:
        if texts[-1] not in choices:
            known = ", ".join(map(str, choices))
            raise InvalidQueryError(f"{texts[-1]!r} in the address is none of {known}.")
        return cast(T, texts[-1])

    return read


_READ: dict[str, Callable[[Sequence[str]], Any]] = {
    "image": _number,
    "picture": _text,
    "text": _text,
    "box": _boxes,
    "search": _chosen(SCOPES),
    "feature": _chosen(get_args(Features)),
    "turns": _yes,
    "verify": _yes,
    "rerank": _yes,
    "also": _ids,
    "unlike": _ids,
    "also_text": _text,
    "folder": _text,
    "name": _text,
    "since": _day,
    "until": _day,
    "tags": lambda texts: tuple(dict.fromkeys(text.strip() for text in texts)),
    "where": _text,
}
