"""Segments: vectors that were committed together, in files that are read by memory map."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from indexer.arrays import BoolArray, FloatArray, HalfArray, IdArray
from indexer.errors import StoreCorruptError
from indexer.progress import Progress, no_progress

CACHED_VALUES = 1 << 16  # converted at a time
SIGN_AND_REST = np.int32(-0x70002000)  # the bits of a half in a float: 0x8fffe000
SCALE = np.float32(2.0**112)
APART_ROWS = 64  # read at a time where each brings in pages of its own
CHUNK_ROWS = 16_384  # rows brought to float32 at a time, so that memory stays flat


@dataclass(frozen=True)
class Segment:
    """Vectors that were written together.

    `ids` (N,) int64, `image_ids` (N,) int64, the image that each belongs to, ascending, and
    `vectors` (N, D) float16. For vectors of whole images both ids are the same.
    """

    ids: IdArray
    image_ids: IdArray
    vectors: HalfArray

    def take(self, rows: IdArray) -> FloatArray:
        """Return the vectors (len(rows), D) float32 of these rows, in their order."""
        return to_float32(self.vectors[rows])


class Rows:
    """The vectors of several segments as one table of rows, numbered from 0; nothing is loaded."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = list(segments)
        self._starts = np.cumsum([0, *(len(s.ids) for s in self.segments)])

    def __len__(self) -> int:
        """Return how many rows there are, those of removed images included."""
        return int(self._starts[-1])

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return int(self.segments[0].vectors.shape[1])

    @cached_property
    def image_ids(self) -> IdArray:
        """The image (N,) that each row belongs to; ids ascend, as commits give them."""
        return _joined([segment.image_ids for segment in self.segments])

    def ids_of(self, rows: IdArray) -> IdArray:
        """Return the ids of these rows; like the next one, it reads no more than it has to."""
        return self._look_up(rows, lambda segment, own: segment.ids[own])

    def images_of(self, rows: IdArray) -> IdArray:
        """Return the images that these rows belong to."""
        return self._look_up(rows, lambda segment, own: segment.image_ids[own])

    def span_of_image(self, image_id: int) -> tuple[int, int]:
        """Return the half-open range of the rows of an image."""
        start, stop = np.searchsorted(self.image_ids, [image_id, image_id + 1])
        return int(start), int(stop)

    def take(self, rows: IdArray) -> FloatArray:
        """Return the vectors (len(rows), D) float32 of these rows, in their order."""
        if len(self.segments) == 1:
            return self.segments[0].take(rows)
        taken = np.empty((len(rows), self.dimension), np.float32)
        for segment, here, own in self._by_segment(rows):
            taken[here] = segment.take(own)
        return taken

    def _look_up(self, rows: IdArray, look: Callable[[Segment, IdArray], IdArray]) -> IdArray:
        """Return what `look` finds for rows, which it is given as their segment counts them."""
        if len(self.segments) == 1:
            return look(self.segments[0], rows)
        found = np.empty(len(rows), np.int64)
        for segment, here, own in self._by_segment(rows):
            found[here] = look(segment, own)
        return found

    def _by_segment(self, rows: IdArray) -> Iterator[tuple[Segment, BoolArray, IdArray]]:
        """Yield segments, which of the rows (N,) lie in each, and how it counts them itself."""
        homes = np.searchsorted(self._starts, rows, side="right") - 1
        for home in np.unique(homes).tolist():
            here = homes == home
            yield self.segments[home], here, rows[here] - self._starts[home]

    def take_scattered(self, rows: IdArray) -> FloatArray:
        """Do what `take` does for many scattered rows, without keeping their pages in memory."""
        taken = np.empty((len(rows), self.dimension), np.float32)
        for start in range(0, len(rows), APART_ROWS):
            taken[start : start + APART_ROWS] = self.take(rows[start : start + APART_ROWS])
            self.let_go()
        return taken

    def chunks(self, skipped: int = 0) -> Iterator[tuple[int, FloatArray]]:
        """Yield (first row, vectors float32), of all rows but the first `skipped`."""
        for first, segment in zip(self._starts.tolist(), self.segments, strict=False):
            for start in range(max(0, skipped - first), len(segment.ids), CHUNK_ROWS):
                stop = start + CHUNK_ROWS
                yield first + start, to_float32(segment.vectors[start:stop])
                let_go(segment.vectors)

    def let_go(self) -> None:
        """Drop the pages of all segments from this process, see `let_go`."""
        for segment in self.segments:
            let_go(segment.vectors)


def _joined(parts: Sequence[IdArray]) -> IdArray:
    """Return the parts as one array; a single one is not read."""
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])


def let_go(array: np.ndarray) -> None:
    """Drop the pages of a memory map from this process, where the system supports it."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def to_float32(half: HalfArray) -> FloatArray:
    """Convert finite rows (N, D) to float32: `astype` does the same in two to four times the time.

    The bits of a half, moved to where a float has them, are its value times 2**-112.
    """
    widened = np.empty(half.shape, np.float32)
    bits = widened.view(np.int32)
    rows = max(1, CACHED_VALUES // half.shape[1])
    for start in range(0, len(half), rows):
        part = bits[start : start + rows]
        np.left_shift(half[start : start + rows].view(np.int16), 13, out=part, dtype=np.int32)
        part &= SIGN_AND_REST
        widened[start : start + rows] *= SCALE
    return widened


def write_segment(
    folder: Path, name: str, ids: IdArray, image_ids: IdArray, vectors: FloatArray | HalfArray
) -> None:
    """Write a segment as `.npy` files, vectors as float16, and sync them to the disk."""
    parts: dict[str, np.ndarray] = {
        "ids": ids,
        "images": image_ids,
        "vectors": vectors.astype(np.float16, copy=False),
    }
    for part, array in parts.items():
        with (folder / f"{name}.{part}.npy").open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())


def write_merged(
    folder: Path,
    name: str,
    parts: Sequence[Segment],
    keep: Sequence[BoolArray],
    *,
    change: Callable[[FloatArray], FloatArray] | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write the rows to `keep` (N,) of several segments as one, and sync it to the disk.

    `change` maps vectors (n, D) to those that are written; it is called with some at a time.
    """
    step = "merging segments" if change is None else "re-encoding vectors"
    rows, written = sum(int(kept.sum()) for kept in keep), 0
    for part, field in (("ids", "ids"), ("images", "image_ids"), ("vectors", "vectors")):
        sources = [getattr(segment, field) for segment in parts]
        header = {
            "descr": np.lib.format.dtype_to_descr(sources[0].dtype),
            "fortran_order": False,
            "shape": (rows, *sources[0].shape[1:]),
        }
        with (folder / f"{name}.{part}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for source, kept in zip(sources, keep, strict=True):
                for start in range(0, len(source), CHUNK_ROWS):
                    stop = start + CHUNK_ROWS
                    chunk = source[start:stop][kept[start:stop]]
                    if part == "vectors":
                        written += len(chunk)
                        if change is not None:
                            chunk = change(to_float32(chunk)).astype(np.float16)
                    file.write(np.ascontiguousarray(chunk).tobytes())
                    let_go(source)
                    progress(step, written, rows)
            file.flush()
            os.fsync(file.fileno())


def read_segment(folder: Path, name: str, rows: int, dimension: int) -> Segment:
    """Open a segment by memory map.

    Raises `StoreCorruptError` where a file is missing or is not what the catalogue says.
    """
    ids = _map(folder / f"{name}.ids.npy", (rows,), np.dtype(np.int64))
    image_ids = _map(folder / f"{name}.images.npy", (rows,), np.dtype(np.int64))
    vectors = _map(folder / f"{name}.vectors.npy", (rows, dimension), np.dtype(np.float16))
    return Segment(ids, image_ids, vectors)


def _map(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    remedy = "Restore it from a backup, or rebuild the store with cbir index --rebuild."
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise StoreCorruptError(f"The vector file {path} is missing. {remedy}") from error
    except (OSError, ValueError, EOFError) as error:
        raise StoreCorruptError(f"The vector file {path} is damaged ({error}). {remedy}") from error
    if array.shape != shape or array.dtype != dtype:
        raise StoreCorruptError(
            f"The vector file {path} holds {array.dtype} {array.shape}, the catalogue says "
            f"{dtype} {shape}. {remedy}"
        )
    return np.asarray(array)  # as a plain view of the map: indexing a memmap costs ten times more
