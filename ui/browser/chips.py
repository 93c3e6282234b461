"""Chips: what restricts the hits, and what is asked beside the query; each can be dropped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import Any

from ui.asked import Asked
from ui.printable import printable
from ui.shown import Shown

LONGEST = 48  # characters of a chip


def chips(shown: Shown, asked: Asked) -> list[dict[str, str]]:
    """Return the text of each chip, and the address without what it stands for."""
    found = [*_further(shown, asked), *_filters(asked)]
    return [
        {"text": _short(printable(text)), "href": replace(asked, **without).address()}
        for text, without in found
    ]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _further(shown: Shown, asked: Asked) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for name, word in (("also", "like"), ("unlike", "unlike")):
        ids: tuple[int, ...] = getattr(asked, name)
        infos = shown.store.image_infos(ids) if ids else {}
        found += [
            (f"{word} {infos[one].path.name}", {name: tuple(i for i in ids if i != one)})
            for one in ids
            if one in infos
        ]
    if asked.also_text:
        found.append((f"like {asked.also_text}", {"also_text": ""}))
    return found


def _filters(asked: Asked) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    if asked.folder:
        found.append((f"folder {_last(asked.folder)}", {"folder": ""}))
    if asked.name:
        found.append((f"name {asked.name}", {"name": ""}))
    if asked.since:
        found.append((f"from {asked.since}", {"since": None}))
    if asked.until:
        found.append((f"until {asked.until}", {"until": None}))
    for tag in asked.tags:
        found.append((f"tag {tag}", {"tags": tuple(one for one in asked.tags if one != tag)}))
    if asked.where:
        found.append((asked.where, {"where": ""}))
    return found


def _last(folder: str) -> str:
    """Return the last two parts of a folder, by which it is known."""
    parts = PurePath(folder).parts
    return folder if len(parts) <= 3 else "…/" + "/".join(parts[-2:])
