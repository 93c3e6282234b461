"""ROxford and RParis, the revisited benchmarks, from gnd_roxford5k and gnd_rparis6k.

Radenović et al. 2018. The file, a pickle or JSON of the same shape, has `imlist`, the names of the
database; `qimlist`, those of the queries, which are not in the database; and in `gnd`, for each
query, its box `bbx` and the places in `imlist` of its `easy`, `hard` and `junk` images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from indexer.errors import CbirError, InvalidLabelsError
from retrieval.evaluation.image_folders import choose_folder, round_box
from retrieval.evaluation.manifest import Manifest, ManifestQuery, read_json
from retrieval.evaluation.plain_pickle import read_plain_pickle

Protocol = Literal["easy", "medium", "hard"]

PROTOCOLS: dict[Protocol, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "easy": (("easy",), ("junk", "hard")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
}
"""Which lists are positives and which are junk (section 2.3 of the paper)."""

PICKLES = (".pkl", ".pickle")
KEYS = ("imlist", "qimlist", "gnd")
SUFFIX = ".jpg"  # the lists give names without


def is_revisited(data: Any) -> bool:
    """Whether what a JSON file holds looks like such a benchmark."""
    return isinstance(data, dict) and "imlist" in data and "gnd" in data


def read_revisited(
    path: Path, images: Path | None = None, protocols: Sequence[Protocol] = tuple(PROTOCOLS)
) -> list[Manifest]:
    """Read a manifest for each protocol; raises `InvalidLabelsError`, naming the key."""
    data = read_plain_pickle(path) if path.suffix.lower() in PICKLES else read_json(path)
    database, names, truths = _check(path, data)
    folder = choose_folder(path.parent, images, lambda home: (home / database[0]).is_file())
    return [
        Manifest(
            name=path.stem.removeprefix("gnd_"),
            folder=folder,
            database=database,
            queries=[
                _query(f"{path}, gnd[{i}]", folder / name, truth, database, protocol)
                for i, (name, truth) in enumerate(zip(names, truths, strict=True))
            ],
            boxes={},
            protocol=protocol,
            clips_boxes=True,
        )
        for protocol in protocols
    ]


def _check(path: Path, data: Any) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    if type(data) is not dict:
        raise InvalidLabelsError(f"{path} has no {', '.join(KEYS)}: it is not a dict.")
    for key in KEYS:
        kind = dict if key == "gnd" else str
        values = data.get(key)
        if type(values) is not list or not values:
            raise InvalidLabelsError(f"{path}: {key} must be a list that is not empty.")
        for place, value in enumerate(values):
            if type(value) is not kind or not value or "\0" in value:
                raise InvalidLabelsError(f"{path}: {key}[{place}] must be a {kind.__name__}.")
    names, truths = data["qimlist"], data["gnd"]
    if len(names) != len(truths):
        raise InvalidLabelsError(
            f"{path}: qimlist has {len(names)} queries and gnd {len(truths)}; they must agree."
        )
    if len(set(names)) < len(names):
        raise InvalidLabelsError(f"{path}: a name occurs twice in qimlist.")
    return [_file_name(n) for n in data["imlist"]], [_file_name(n) for n in names], truths


def _query(
    place: str, image: Path, truth: dict[str, Any], database: list[str], protocol: Protocol
) -> ManifestQuery:
    lists = {key: _entries(place, truth, key, database) for key in ("easy", "hard", "junk")}
    positives, junk = (
        frozenset[str]().union(*(lists[key] for key in keys)) for keys in PROTOCOLS[protocol]
    )
    box = truth.get("bbx")
    if type(box) not in (list, tuple) or any(type(v) not in (int, float) for v in box or ()):
        raise InvalidLabelsError(f"{place}.bbx must be four numbers.")
    try:
        region = round_box(list(box or ()))
    except CbirError as error:
        raise InvalidLabelsError(f"{place}.bbx: {error}") from error
    return ManifestQuery(image.stem, image, region, positives, junk)


def _entries(place: str, truth: dict[str, Any], key: str, database: list[str]) -> frozenset[str]:
    rows = truth.get(key)
    if type(rows) not in (list, tuple):
        raise InvalidLabelsError(f"{place}.{key} must be a list of places in imlist.")
    for i, row in enumerate(rows or ()):
        if type(row) is not int or not 0 <= row < len(database):
            raise InvalidLabelsError(
                f"{place}.{key}[{i}] must be a place in imlist, from 0 to {len(database) - 1}."
            )
    return frozenset(database[row] for row in rows or ())


def _file_name(name: str) -> str:
    return name if name.lower().endswith(SUFFIX) else name + SUFFIX
