"""KindFaults: what is wrong with the vectors of a kind, compared with the catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from indexer.arrays import IdArray

LENGTH_TOLERANCE = 0.01  # float16 changes the length of a unit vector by less than a thousandth


@dataclass
class KindFaults:
    """What is wrong with the vectors of one kind.

    `files` are the messages about segments that cannot be read, `unreadable` their ids, `broken`
    the images with a vector that is damaged or not the catalogue's, and `missing` those without
    one. `ivf` is the message about the IVF index, and `unchecked` counts segments that were written
    without checksums.
    """

    kind: str
    files: list[str] = field(default_factory=list)
    unreadable: set[int] = field(default_factory=set)
    broken: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    ivf: str | None = None
    unchecked: int = 0


@dataclass(frozen=True)
class WantedRows:
    """What the catalogue says that the vectors of a kind are.

    `rows` (N, 2) are the ids of the vectors that there are to be, with their images, ascending, and
    `images` (M,) those that are to have some.
    """

    rows: IdArray
    images: IdArray


def note_differences(found: IdArray, wanted: WantedRows, faults: KindFaults) -> None:
    """Note the images whose vectors, ids and images (N, 2), are not exactly the wanted ones."""
    found = found[np.argsort(found[:, 0], kind="stable")]
    twice = np.flatnonzero(np.diff(found[:, 0]) == 0)
    faults.broken |= set(found[twice, 1].tolist())
    for rows, others in ((found, wanted.rows), (wanted.rows, found)):
        place = np.searchsorted(others[:, 0], rows[:, 0])
        place = np.minimum(place, max(0, len(others) - 1))
        same = (others[place] == rows).all(axis=1) if len(others) else np.zeros(len(rows), bool)
        faults.broken |= set(rows[~same, 1].tolist())
    faults.missing = set(np.setdiff1d(wanted.images, found[:, 1]).tolist())
    faults.broken -= faults.missing
