"""Exporting: the metadata and vectors of a store, written into a folder for other programs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from indexer.arrays import IdArray
from indexer.choices import ExportFormat
from indexer.errors import ExportError
from indexer.exports.manifest import MANIFEST, WHITENING, ExportedFile, ExportedRoot, Manifest
from indexer.exports.numpy_files import NumpyWriter
from indexer.exports.records import column_names, to_record
from indexer.exports.rows import REGIONS, ExportWriter, ImageRecord, Rows, Table
from indexer.progress import Progress, no_progress
from indexer.store.annotations import read_annotations
from indexer.store.catalog.paths import to_stored
from indexer.store.contents import StoreContents
from indexer.store.decisions import read_decisions
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.places import stored_root
from indexer.store.reader import StoreReader
from indexer.store.records import Entry, StoredFeatures
from indexer.store.tags import read_concepts, read_tags

STEP_IMAGES = 512  # whose vectors are in memory together


@dataclass(frozen=True)
class ExportReport:
    """What was exported: counts of images and of rows by table, and the bytes of all files."""

    images: int
    rows: dict[str, int]
    bytes: int


def export_store(
    store: StoreReader,
    folder: Path,
    *,
    where: str = "",
    kinds: Sequence[str] | None = None,
    format: ExportFormat = "parquet",
    progress: Progress = no_progress,
) -> ExportReport:
    """Write the images of a store, with these kinds of vectors or all, into a new folder.

    With `where`, a filter, only readable images that meet it. The folder appears once all is
    written. Raises `ExportError` where it cannot be made, `StoreError` for a kind that there is
    not, `InvalidFilterError`, and `StoreChangedError` where the store changes meanwhile.
    """
    folder = Path(os.path.abspath(folder))  # "." has no name
    names = [store.kind(name).name for name in dict.fromkeys(kinds)] if kinds else None
    contents = StoreContents(store, names)
    if where:
        ids: list[int] = find_ids(store, ImageFilter(where=where)).ids.tolist()
    else:
        ids = sorted(row.id for row in contents.files)
    with _explaining(folder), _new_folder(folder) as part:
        return _Exporter(contents, part, format).write(ids, where, progress)


class _Exporter:
    """An export in progress, into the folder `part`."""

    def __init__(self, contents: StoreContents, part: Path, format: ExportFormat) -> None:
        self._contents, self._part, self._format = contents, part, format
        self._store = store = contents.store
        self._roots = store.roots()
        said = read_annotations(store)
        self._columns = column_names(list(said))
        self._said = {self._columns[field]: texts for field, texts in said.items()}
        self._concepts = read_concepts(store)
        self._tags = read_tags(store)
        self._decisions = read_decisions(store).verdicts
        self._dimensions = contents.dimensions()
        self._of_regions = {REGIONS, *(k.name for k in contents.kinds if k.scope == "region")}
        self._counts = dict.fromkeys(_table_names(contents, self._dimensions), 0)

    def write(self, ids: Sequence[int], where: str, progress: Progress) -> ExportReport:
        """Write these images, ascending, and in the end the manifest."""
        tables = self._tables()
        with contextlib.closing(
            _open_writer(self._format, self._part, self._columns, tables)
        ) as to:
            progress("Exporting", 0, len(ids))
            for start in range(0, len(ids), STEP_IMAGES):
                step = ids[start : start + STEP_IMAGES]
                self._write_step(to, step)
                self._contents.let_go()
                progress("Exporting", start + len(step), len(ids))
        progress("Computing checksums", 0, 0)
        manifest = self._finish(ids, where)
        sizes = sum(file.bytes for file in manifest.files.values())
        return ExportReport(len(ids), dict(self._counts), sizes)

    def _tables(self) -> dict[str, Table]:
        return {
            name: Table.of(name, count, 4 if name == REGIONS else self._dimensions[name])
            for name, count in self._counts.items()
        }

    def _write_step(self, to: ExportWriter, ids: Sequence[int]) -> None:
        entries = dict(zip(ids, self._contents.entries(ids), strict=True))
        to.add_images([self._record(image_id, entry) for image_id, entry in entries.items()])
        features = {i: e.stored_features() for i, e in entries.items()}
        described = {i: own for i, own in features.items() if own is not None}
        regions = self._contents.region_ids([*described])
        for name in self._counts:
            of_regions = name in self._of_regions
            parts = [
                _rows(name, i, own, regions[i] if of_regions else None)
                for i, own in described.items()
            ]
            if parts:
                rows = Rows.join(parts)
                to.add_rows(name, rows)
                self._counts[name] += len(rows)

    def _record(self, image_id: int, entry: Entry) -> ImageRecord:
        fields = {column: texts.get(image_id) for column, texts in self._said.items()}
        tags = {name: own[image_id] for name, own in self._tags.items() if image_id in own}
        return to_record(image_id, entry, self._roots[entry.file.root_id], fields, tags)

    def _finish(self, ids: Sequence[int], where: str) -> Manifest:
        exported = {*ids}
        store, state = self._store, self._store.reader.state()
        self._contents.require_unchanged()
        whitening = store.adaptation()
        if whitening is not None:
            whitening.write(self._part / WHITENING)
        manifest = Manifest(
            cbir=version("cbir"),
            format=self._format,
            spec=store.spec,
            index_type=state.index_type,
            where=where,
            images=len(ids),
            tables=self._tables(),
            roots=tuple(
                ExportedRoot(
                    i,
                    to_stored(stored_root(self._part, self._roots[i])),
                    root.options,
                    root.skipped,
                )
                for i, root in state.roots.items()
            ),
            fields=self._columns,
            concepts=self._concepts,
            decisions={p: v for p, v in self._decisions.items() if exported.issuperset(p)},
            files={file.name: _checked(file) for file in sorted(self._part.iterdir())},
        )
        # A store of somebody else is trusted no more for having been exported.
        _write(self._part / MANIFEST, manifest.to_json(seals=not store.is_foreign))
        return manifest


def _table_names(contents: StoreContents, dimensions: Mapping[str, int]) -> list[str]:
    """Return the kinds of vectors that there are, after the regions that some describe."""
    kinds = [kind for kind in contents.kinds if kind.name in dimensions]
    has_regions = any(kind.scope == "region" for kind in kinds)
    return [*([REGIONS] if has_regions else []), *(kind.name for kind in kinds)]


def _rows(name: str, image_id: int, features: StoredFeatures, regions: IdArray | None) -> Rows:
    """Return the rows of an image in a table; `regions` are the ids of its regions."""
    values = features.boxes if name == REGIONS else features.vectors[name]
    owners = np.full(len(values), image_id, np.int64)
    return Rows(owners if regions is None else regions, owners, values)


def _open_writer(
    format: ExportFormat, part: Path, columns: Mapping[str, str], tables: Mapping[str, Table]
) -> ExportWriter:
    if format == "numpy":
        return NumpyWriter(part, [*columns.values()], tables)
    from indexer.exports.parquet_files import ParquetWriter  # PyArrow takes long to load

    return ParquetWriter(part, [*columns.values()], tables)


def _checked(file: Path) -> ExportedFile:
    """Return the checksum of a file, once it is on the disk."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return ExportedFile(stream.tell(), digest)


def _write(file: Path, data: bytes) -> None:
    with file.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder beside the one to be made, which takes its name once all is written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} exists already, and nothing is replaced. Name a new folder.")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part.mkdir()
    try:
        yield part
        if folder.exists():  # empty; Windows renames to none that is there
            folder.rmdir()
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _explaining(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"The store cannot be exported to {folder}: {error.strerror or error}."
        ) from error
