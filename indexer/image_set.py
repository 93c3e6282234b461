"""ImageSet: a set of images by their ids, as filters make it and as searches take it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from indexer.arrays import BoolArray, IdArray

ITERATED = 65_536  # ids that become Python's own integers at a time


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet(Collection[int]):
    """A set of image ids, which takes eight bytes for each; equal sets are equal and hash alike.

    `ids` (N,) int64 ascend, each once; the array cannot be written. Raises `TypeError` or
    `ValueError` for other arrays; `of` takes ids in any order.
    """

    ids: IdArray

    def __post_init__(self) -> None:
        if self.ids.dtype != np.int64 or self.ids.ndim != 1:
            raise TypeError(f"ids must be (N,) int64, not {self.ids.shape} {self.ids.dtype}")
        if not _ascend(self.ids):
            raise ValueError("ids must ascend, each once; ImageSet.of takes them in any order")
        own = self.ids.view()
        own.flags.writeable = False
        object.__setattr__(self, "ids", own)

    @classmethod
    def of(cls, ids: Iterable[int]) -> ImageSet:
        """Return the set of some ids, in any order, perhaps repeated; an array of them is copied.

        Raises `TypeError` for what are no integers, or none of 64 bits.
        """
        if isinstance(ids, ImageSet):
            return ids
        given = ids if isinstance(ids, np.ndarray) else np.array([*ids])
        if not given.size:
            return cls(np.empty(0, np.int64))
        if given.dtype.kind not in "iu" or not np.can_cast(given.dtype, np.int64):
            raise TypeError(f"image ids are integers of at most 64 bits, not {given.dtype}")
        own = given.astype(np.int64).ravel()
        return cls(own if _ascend(own) else np.unique(own))

    @property
    def nbytes(self) -> int:
        """How many bytes the ids take."""
        return self.ids.nbytes

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[int]:
        for start in range(0, len(self.ids), ITERATED):
            yield from self.ids[start : start + ITERATED].tolist()

    def __contains__(self, image_id: object) -> bool:
        if not isinstance(image_id, (int, np.integer)):
            return False
        place = np.searchsorted(self.ids, image_id)
        return bool(place < len(self.ids) and self.ids[place] == image_id)

    def has(self, image_ids: IdArray) -> BoolArray:
        """Say of each of some ids (N,) whether it is in the set."""
        found: BoolArray = np.isin(image_ids, self.ids)
        return found

    def without(self, image_ids: IdArray) -> IdArray:
        """Return the ids (N,) in order, but for some (M,)."""
        return self.ids[~np.isin(self.ids, image_ids)] if len(image_ids) else self.ids

    def __and__(self, other: ImageSet) -> ImageSet:
        """Return the images that are in both sets."""
        return ImageSet(self.ids[other.has(self.ids)])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ImageSet):
            return NotImplemented
        return self is other or np.array_equal(self.ids, other.ids)

    def __hash__(self) -> int:
        ends = (int(self.ids[0]), int(self.ids[-1])) if len(self.ids) else ()
        return hash((len(self.ids), int(self.ids.sum()), ends))

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self.ids[:3].tolist()))
        return f"ImageSet({len(self.ids)} ids: {shown}{', …' if len(self.ids) > 3 else ''})"


def _ascend(ids: IdArray) -> bool:
    return bool((ids[1:] > ids[:-1]).all())
