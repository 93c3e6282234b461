"""Where the images of a benchmark are, beside the files that say which are right."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from indexer.errors import InvalidLabelsError, InvalidRegionError
from indexer.features.regions import Region

USUAL = ("jpg", "images", "full", ".")  # folders of images in the archives of the benchmarks


def choose_folder(beside: Path, given: Path | None, holds: Callable[[Path], bool]) -> Path:
    """Return the folder of the images: `given`, or a usual one in or beside a folder.

    `holds` tells whether the images are in a folder. Raises `InvalidLabelsError` where there is
    none.
    """
    if given is not None:
        if not given.is_dir():
            raise InvalidLabelsError(f"{given} is not a folder of images.")
        return given.resolve()
    places = [beside / name for name in USUAL]
    places += [beside.resolve().parent / name for name in USUAL[:-1]]
    found = next((place for place in places if place.is_dir() and holds(place)), None)
    if found is None:
        raise InvalidLabelsError(
            f"The images of {beside} are neither in it nor beside it, in a folder "
            f"{', '.join(USUAL[:-2])} or {USUAL[-2]}. Say where they are with --images FOLDER."
        )
    return found.resolve()


def round_box(values: list[float]) -> Region:
    """Return the box around four coordinates, rounded outwards and without negative ones.

    Raises `InvalidRegionError` for boxes without an area and for what is no number.
    """
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise InvalidRegionError(f"The box {values} needs four numbers X0,Y0,X1,Y1.")
    x0, y0, x1, y1 = values
    return Region(max(0, math.floor(x0)), max(0, math.floor(y0)), math.ceil(x1), math.ceil(y1))
