"""Collections in which the images of a group are right answers to each other."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import InvalidLabelsError, InvalidRegionError
from indexer.features.regions import Region
from retrieval.evaluation.image_folders import USUAL, choose_folder, round_box
from retrieval.evaluation.manifest import Manifest, ManifestQuery

HOLIDAYS_LIST = "holidays_images.dat"
HOLIDAYS = re.compile(r"(\d{4})(\d{2})\.jpe?g", re.IGNORECASE)
UKBENCH = re.compile(r"ukbench(\d{5})\.jpe?g", re.IGNORECASE)
UKBENCH_GROUP = 4
COORDINATES = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Row:
    """A line of a CSV file."""

    image: str
    group: str
    box: Region | None


def read_csv_groups(file: Path, images: Path | None = None) -> Manifest:
    """Read a CSV file with the columns image and group, and x0, y0, x1, y1 if objects have boxes.

    Each line is a query, with the other images of its group as positives and its own image as
    junk. Lines without a group, or alone in it, are distractors. Raises `InvalidLabelsError`,
    naming the line.
    """
    rows = _read_rows(file)
    folder = choose_folder(file.parent, images, lambda home: (home / rows[0].image).is_file())
    members: dict[str, set[str]] = {}
    boxes: dict[str, dict[str, list[Region]]] = {}
    for row in rows:
        members.setdefault(row.group, set()).add(row.image)
        if row.box:
            boxes.setdefault(row.group, {}).setdefault(row.image, []).append(row.box)
    counts = Counter(row.image for row in rows)
    seen: Counter[str] = Counter()
    queries = []
    for row in rows:
        seen[row.image] += 1
        positives = frozenset(members[row.group] - {row.image})
        if row.group and positives:
            queries.append(
                ManifestQuery(
                    id=row.image if counts[row.image] == 1 else f"{row.image}#{seen[row.image]}",
                    image=folder / row.image,
                    box=row.box,
                    positives=positives,
                    junk=frozenset([row.image]),
                    boxes=boxes.get(row.group, {}),
                )
            )
    return Manifest(file.stem, folder, sorted(counts), queries, {}, clips_boxes=True)


def _read_rows(file: Path) -> list[Row]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if not {"image", "group"} <= set(reader.fieldnames or ()):
                raise InvalidLabelsError(f"{file}, line 1: the columns image and group are needed.")
            rows = [_row(f"{file}, line {reader.line_num}", given) for given in reader]
    except OSError as error:
        raise InvalidLabelsError(f"{file} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidLabelsError(f"{file} is not a CSV file in UTF-8: {error}.") from error
    if not rows:
        raise InvalidLabelsError(f"{file} lists no images.")
    return rows


def _row(place: str, given: dict[str | None, str | None]) -> Row:
    image, group = given["image"], given["group"]
    if None in given or group is None or not image or "\0" in image:
        raise InvalidLabelsError(f"{place} does not fit the columns of the first line.")
    image = os.path.normpath(image)
    if image.startswith(("/", "..")):
        raise InvalidLabelsError(f"{place}: {image} must be relative to the folder of the images.")
    values = [given.get(name) for name in COORDINATES]
    if not any(values):
        return Row(image, group, None)
    try:
        return Row(image, group, round_box([float(value or "") for value in values]))
    except (ValueError, InvalidRegionError) as error:
        raise InvalidLabelsError(f"{place}: x0, y0, x1, y1 are not a box: {error}") from error


def is_holidays(place: Path) -> bool:
    """Whether a folder is INRIA Holidays, or holds its list of images."""
    return (place / HOLIDAYS_LIST).is_file() or _holds_below(place, HOLIDAYS)


def read_holidays(place: Path, images: Path | None = None) -> Manifest:
    """Read INRIA Holidays (Jégou et al. 2008): a folder of images NNNNNN.jpg, or its own list.

    Images of a group have the same number but for the last two digits. 00 is the query, which is
    taken out of its own answer; the others are its positives.
    """
    listed = place / HOLIDAYS_LIST if place.is_dir() else place
    names = _read_list(listed) if listed.is_file() else []
    if names:
        beside = listed.parent
        folder = choose_folder(beside, images, lambda home: (home / names[0]).is_file())
    else:
        folder = choose_folder(place, images, lambda home: _holds(home, HOLIDAYS))
        names = _names_in(folder, HOLIDAYS, "100000.jpg")
    groups: dict[str, set[str]] = {}
    for name in names:
        groups.setdefault(name[:4], set()).add(name)
    queries = [
        ManifestQuery(
            name, folder / name, None, frozenset(groups[name[:4]] - {name}), frozenset([name])
        )
        for name in sorted(set(names))
        if name[4:6] == "00"
    ]
    return Manifest("holidays", folder, sorted(set(names)), queries, {})


def _read_list(file: Path) -> list[str]:
    try:
        lines = file.read_text("utf-8").split("\n")
    except OSError as error:
        raise InvalidLabelsError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidLabelsError(f"{file} is not a text file in UTF-8.") from error
    names = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words and not HOLIDAYS.fullmatch(words[0]):
            raise InvalidLabelsError(
                f"{file}, line {number}: {line.strip()[:80]!r} is not a name such as 100000.jpg."
            )
        names += words[:1]
    if not names:
        raise InvalidLabelsError(f"{file} lists no images.")
    return names


def is_ukbench(place: Path) -> bool:
    """Whether a folder is UKBench."""
    return _holds_below(place, UKBENCH)


def read_ukbench(place: Path, images: Path | None = None) -> Manifest:
    """Read UKBench (Nistér and Stewénius 2006): ukbench00000.jpg and so on, in groups of four.

    Every image is a query. It is its own first right answer, so that the N-S score is out of 4.
    """
    folder = choose_folder(place, images, lambda home: _holds(home, UKBENCH))
    names = _names_in(folder, UKBENCH, "ukbench00000.jpg")
    groups: dict[int, set[str]] = {}
    for name in names:
        groups.setdefault(_ukbench_group(name), set()).add(name)
    queries = [
        ManifestQuery(
            name, folder / name, None, frozenset(groups[_ukbench_group(name)]), frozenset()
        )
        for name in names
    ]
    return Manifest("ukbench", folder, names, queries, {})


def _ukbench_group(name: str) -> int:
    return int(name[len("ukbench") : len("ukbench") + 5]) // UKBENCH_GROUP


def _holds_below(place: Path, pattern: re.Pattern[str]) -> bool:
    folders = [place / name for name in USUAL]
    return any(folder.is_dir() and _holds(folder, pattern) for folder in folders)


def _holds(folder: Path, pattern: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(path.name) for path in folder.iterdir())


def _names_in(folder: Path, pattern: re.Pattern[str], example: str) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if pattern.fullmatch(path.name))
    if not names:
        raise InvalidLabelsError(f"{folder} has no images such as {example}.")
    return names
