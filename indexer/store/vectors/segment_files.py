"""The files of a segment: three arrays, and the checksums of their blocks."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from indexer.arrays import BoolArray, FloatArray, HalfArray, IdArray
from indexer.errors import StoreCorruptError, StoreError
from indexer.progress import Progress, no_progress
from indexer.store.catalog.protocol import SegmentEntry
from indexer.store.folder import StoreFolder, open_folder
from indexer.store.layout import segment_name
from indexer.store.vectors.checked import (
    BLOCK_BYTES,
    CheckedRows,
    Sums,
    block_count,
    block_sums,
)
from indexer.store.vectors.segments import CHUNK_ROWS, Segment, to_float32

PARTS = ("ids", "images", "vectors")  # in the order of their checksums
REMEDY = "Mend the store with: cbir doctor --repair"
_SUM = np.dtype("<u8")
_MAGIC = b"\x93NUMPY\x01\x00"
# The header of such a file as NumPy writes it. NumPy's own way to read it evaluates it as Python,
# which fails at times in CPython 3.11 where several threads do so at once.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '(<i8|<f2)', 'fortran_order': False, "
    rb"'shape': \((\d{1,18}),(?: (\d{1,18}))?\), \} *\n",
    re.DOTALL,
)


def write_segment(
    folder: Path, name: str, ids: IdArray, image_ids: IdArray, vectors: FloatArray | HalfArray
) -> str:
    """Write a segment as `.npy` files, vectors as float16, and sync them to the disk.

    Returns its checksum. Raises `OSError`.
    """
    arrays: dict[str, np.ndarray] = {
        "ids": ids,
        "images": image_ids,
        "vectors": vectors.astype(np.float16, copy=False),
    }
    with open_folder(folder) as opened:
        for part, array in arrays.items():
            with opened.write(f"{name}.{part}.npy") as file:
                header = np.lib.format.header_data_from_array_1_0(array)
                np.lib.format.write_array_header_1_0(file, header)
                file.write(np.ascontiguousarray(array).tobytes())
                _to_disk(file)
        return _write_sums(opened, name)


def write_merged(
    folder: Path,
    name: str,
    parts: Sequence[Segment],
    keep: Sequence[BoolArray],
    *,
    change: Callable[[FloatArray], FloatArray] | None = None,
    progress: Progress = no_progress,
) -> str:
    """Write the rows to `keep` (N,) of several segments as one, and sync it to the disk.

    `change` maps vectors (n, D) to those that are written; it is called with some at a time.
    Returns its checksum. Raises `OSError`.
    """
    step = "merging segments" if change is None else "re-encoding vectors"
    rows, written = sum(int(kept.sum()) for kept in keep), 0
    with open_folder(folder) as opened:
        for part, field in zip(PARTS, ("ids", "image_ids", "vectors"), strict=True):
            sources: list[CheckedRows] = [getattr(segment, field) for segment in parts]
            header = {
                "descr": np.lib.format.dtype_to_descr(sources[0].dtype),
                "fortran_order": False,
                "shape": (rows, *sources[0].shape[1:]),
            }
            with opened.write(f"{name}.{part}.npy") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for source, kept in zip(sources, keep, strict=True):
                    for start in range(0, len(source), CHUNK_ROWS):
                        own = np.flatnonzero(kept[start : start + CHUNK_ROWS]) + start
                        chunk = source.take(own)
                        if part == "vectors":
                            written += len(chunk)
                            if change is not None:
                                chunk = change(to_float32(chunk)).astype(np.float16)
                        file.write(np.ascontiguousarray(chunk).tobytes())
                        source.let_go()
                        progress(step, written, rows)
                _to_disk(file)
        return _write_sums(opened, name)


def read_segment(folder: Path, entry: SegmentEntry) -> Segment:
    """Open a segment by memory map; its blocks are checked on first use.

    Raises `StoreCorruptError` where a file is missing or is not what the catalogue says.
    """
    name = segment_name(entry)
    try:
        with open_folder(folder) as opened:
            sums = _read_sums(opened, name, entry.checksum) if entry.checksum else None
            wanted: dict[str, tuple[tuple[int, ...], np.dtype]] = {
                "ids": ((entry.rows,), np.dtype(np.int64)),
                "images": ((entry.rows,), np.dtype(np.int64)),
                "vectors": ((entry.rows, entry.dimension), np.dtype(np.float16)),
            }
            parts, used = [], 0
            for part in PARTS:
                file = f"{name}.{part}.npy"
                blocks = block_count(opened.size_of(file))
                own = None if sums is None else sums[used : used + blocks]
                parts.append(_map(opened, file, *wanted[part], own))
                used += blocks
            if sums is not None and used != len(sums):
                raise StoreCorruptError(f"The files of {folder / name} have changed. {REMEDY}")
    except FileNotFoundError as error:
        missing = folder / Path(error.filename or name).name
        raise StoreCorruptError(f"The vector file {missing} is missing. {REMEDY}") from error
    except StoreCorruptError:
        raise
    except StoreError as error:
        raise StoreCorruptError(str(error)) from error
    except OSError as error:
        raise StoreCorruptError(
            f"The vector files {folder / name} cannot be read: {error.strerror or error}. {REMEDY}"
        ) from error
    return Segment(*parts)


def _map(
    folder: StoreFolder, name: str, shape: tuple[int, ...], dtype: np.dtype, sums: Sums | None
) -> CheckedRows:
    path = folder.path / name
    with folder.read(name) as file:
        head = np.frombuffer(file.read(BLOCK_BYTES), np.uint8)
        if sums is not None and not np.array_equal(block_sums(head), sums[:1]):
            raise StoreCorruptError(
                f"The vector file {path} is damaged: its beginning does not agree with its "
                f"checksum. {REMEDY}"
            )
        found, offset = _read_header(bytes(head))
        size = folder.size_of(name)
        expected = offset + dtype.itemsize * math.prod(shape)
        if found != (dtype, shape) or size != expected:
            raise StoreCorruptError(
                f"The vector file {path} is damaged: in its {size} bytes is not the array of "
                f"{dtype} {shape} that the catalogue names. {REMEDY}"
            )
        # As a plain view of the map: indexing a memmap costs ten times more.
        whole = np.asarray(np.memmap(file, np.uint8, mode="r"))
    rows = whole[offset:].view(dtype).reshape(shape)
    return CheckedRows(rows, whole, offset, sums, str(path))


def _read_header(head: bytes) -> tuple[tuple[np.dtype, tuple[int, ...]] | None, int]:
    """Return the type and the shape of an array's file, and the byte at which its values begin."""
    match = _HEADER.match(head)
    if match is None or match.end() != len(_MAGIC) + 2 + int.from_bytes(match[1], "little"):
        return None, 0
    shape = tuple(int(count) for count in match.groups()[2:] if count is not None)
    return (np.dtype(match[2].decode()), shape), match.end()


def _write_sums(folder: StoreFolder, name: str) -> str:
    """Write the checksums of the files just written, and return their own."""
    sums = []
    for part in PARTS:
        with folder.read(f"{name}.{part}.npy") as file:
            sums.append(block_sums(np.asarray(np.memmap(file, np.uint8, mode="r"))))
    data = np.concatenate(sums).astype(_SUM).tobytes()
    with folder.write(f"{name}.sums") as file:
        file.write(data)
        _to_disk(file)
    return hashlib.sha256(data).hexdigest()


def _read_sums(folder: StoreFolder, name: str, checksum: str) -> Sums:
    path = folder.path / f"{name}.sums"
    with folder.read(path.name) as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != checksum:
        raise StoreCorruptError(
            f"The checksums in {path} are not those that the catalogue names. {REMEDY}"
        )
    return np.frombuffer(data, _SUM)


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
