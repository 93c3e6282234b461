"""Labelled collections for retrieval, recognised by their own files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from indexer.errors import InvalidLabelsError
from retrieval.evaluation.groups import (
    HOLIDAYS_LIST,
    is_holidays,
    is_ukbench,
    read_csv_groups,
    read_holidays,
    read_ukbench,
)
from retrieval.evaluation.manifest import Manifest, read_json
from retrieval.evaluation.oxford import is_oxford, read_oxford
from retrieval.evaluation.revisited import (
    PICKLES,
    PROTOCOLS,
    Protocol,
    is_revisited,
    read_revisited,
)

KNOWN = (
    "a manifest (.json), a CSV file with the columns image and group, the ground-truth files of "
    "Oxford5k or Paris6k (*_query.txt), gnd_roxford5k or gnd_rparis6k (.pkl or .json), INRIA "
    f"Holidays ({HOLIDAYS_LIST} or NNNNNN.jpg) or UKBench (ukbench00000.jpg)"
)


def read_benchmark(
    place: Path, images: Path | None = None, protocols: Sequence[Protocol] = ()
) -> list[Manifest]:
    """Read a labelled collection, whatever form it has: a manifest for each protocol, mostly one.

    The manifests have the same database and queries. `images` is the folder of the images where
    they are elsewhere. `protocols` chooses those of the revisited benchmarks, all by default.
    Raises `InvalidLabelsError` or `InvalidQueryError`, naming the file and the line or key.
    """
    try:
        found = _find_revisited(place)
        if found is not None:
            return read_revisited(found, images, protocols or tuple(PROTOCOLS))
        if protocols:
            raise InvalidLabelsError(
                f"{place} has no protocols: easy, medium and hard are those of ROxford and RParis."
            )
        return [_read_single(place, images)]
    except OSError as error:  # of folders; the readers report their files themselves
        raise InvalidLabelsError(
            f"{error.filename or place} cannot be read: {error.strerror}."
        ) from error


def _find_revisited(place: Path) -> Path | None:
    """Return the file of a revisited benchmark that `place` is, or that it holds if it is one."""
    if place.is_dir():
        files = [p for p in sorted(place.glob("gnd_r*")) if p.suffix in (*PICKLES, ".json")]
        if len(files) > 1:
            raise InvalidLabelsError(
                f"{place} has several benchmarks, {files[0].name} and {files[1].name}; name one."
            )
        return next(iter(files), None)
    suffix = place.suffix.lower()
    is_one = suffix in PICKLES or (suffix == ".json" and is_revisited(read_json(place)))
    return place if is_one else None


def _read_single(place: Path, images: Path | None) -> Manifest:
    suffix = place.suffix.lower()
    if not place.exists():
        raise InvalidLabelsError(f"{place} does not exist.")
    if place.is_file():
        if suffix == ".json":
            return Manifest.read(place, images)
        if suffix == ".csv":
            return read_csv_groups(place, images)
        if place.name == HOLIDAYS_LIST:
            return read_holidays(place, images)
    elif is_oxford(place):
        return read_oxford(place, images)
    elif is_ukbench(place):
        return read_ukbench(place, images)
    elif is_holidays(place):
        return read_holidays(place, images)
    elif (place / "manifest.json").is_file():
        return Manifest.read(place / "manifest.json", images)
    raise InvalidLabelsError(f"{place} is no labelled collection that is known: {KNOWN}.")
