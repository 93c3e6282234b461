"""What the images on a map are coloured by: their folder, the year, or a tag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from indexer.store.reader import StoreReader
from indexer.store.statistics import folders_of_images, years_of_images
from indexer.store.tags import read_tags

GroupedBy = Literal["folder", "date", "tag"]
MOST_GROUPS = 9  # with a colour of their own
DEEPEST = 6  # folders below a root


@dataclass(frozen=True)
class Groups:
    """Named groups with their counts, and of which of them each image is; -1 for none of them.

    `rest` is what those are called.
    """

    names: list[str]
    counts: list[int]
    numbers: list[int]
    rest: str


def group_images(store: StoreReader, image_ids: Sequence[int], by: GroupedBy) -> Groups:
    """Return the groups of images: the largest ones, and years in order."""
    names, rest = _NAMED[by](store)
    of_images = [names.get(image_id) for image_id in image_ids]
    counts = Counter(name for name in of_images if name is not None)
    chosen = [name for name, _ in counts.most_common(MOST_GROUPS)]
    if by == "date":
        chosen.sort()
    numbers = {name: number for number, name in enumerate(chosen)}
    return Groups(
        chosen,
        [counts[name] for name in chosen],
        [-1 if name is None else numbers.get(name, -1) for name in of_images],
        rest,
    )


Named = tuple[dict[int, str], str]


def _by_folder(store: StoreReader) -> Named:
    """Name images by the highest folder that tells them apart."""
    folders = folders_of_images(store)
    depth = next(
        (d for d in range(1, DEEPEST) if len({parts[:d] for parts in folders.values()}) > 1), 1
    )
    return {id_: "/".join(parts[:depth]) for id_, parts in folders.items()}, "other folders"


def _by_date(store: StoreReader) -> Named:
    """Name images by the year, or by spans of as many years each where there are many."""
    years = years_of_images(store)
    spans = spans_of(sorted(set(years.values())))
    return {id_: spans[number] for id_, number in years.items()}, "no date"


def spans_of(years: Sequence[int]) -> dict[int, str]:
    """Return the name of the span that each of some years, in order, is in."""
    size = -(-len(years) // MOST_GROUPS)
    parts = [
        [year for _, year in part]
        for _, part in groupby(enumerate(years), lambda one: one[0] // max(1, size))
    ]
    return {
        year: str(part[0]) if len(part) == 1 else f"{part[0]}–{part[-1]}"
        for part in parts
        for year in part
    }


def _by_tag(store: StoreReader) -> Named:
    """Name images by their most probable tag."""
    best: dict[int, tuple[float, str]] = {}
    for name, images in read_tags(store).items():
        for id_, probability in images.items():
            best[id_] = max(best.get(id_, (0.0, name)), (probability, name))
    return {id_: name for id_, (_, name) in best.items()}, "no tag"


_NAMED: Mapping[GroupedBy, Callable[[StoreReader], Named]] = {
    "folder": _by_folder,
    "date": _by_date,
    "tag": _by_tag,
}
