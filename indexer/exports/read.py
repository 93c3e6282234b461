"""Exported folders, read and checked: what is in one becomes a store, to be merged with others.

Who made an export is unknown: nothing in it is run or unpickled, no file but its own is read, and
nothing is believed that is not checked.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import ExportError, FeatureError
from indexer.exports.manifest import MANIFEST, WHITENING, Manifest, read_manifest
from indexer.exports.numpy_files import IMAGES as IMAGE_LINES
from indexer.exports.numpy_files import SUFFIXES, NumpySource
from indexer.exports.records import column_names
from indexer.exports.rows import REGIONS, ExportSource, file_names
from indexer.exports.unpack import Unpacker
from indexer.features.whitening import PcaProjection
from indexer.progress import Progress, no_progress
from indexer.store.folder import StoreFolder, open_folder
from indexer.store.store import Store


@dataclass(frozen=True)
class Export:
    """An exported folder, of which no more than the manifest is read yet."""

    path: Path
    manifest: Manifest


def is_export(path: Path) -> bool:
    """Whether there is an exported folder at `path`."""
    return (path / MANIFEST).is_file()


def read_export(path: Path) -> Export:
    """Read the manifest of the export at `path`; raises what `read_manifest` does."""
    place = path.resolve()
    with open_folder(place) as folder:
        return Export(place, read_manifest(folder, place))


def unpack_export(export: Export, place: Path, progress: Progress = no_progress) -> None:
    """Make a store at `place` of all that an export holds.

    Raises `ExportError` where a file is missing or is not what the manifest says, where ids do not
    match, or vectors are no unit vectors; and `StoreError` where the store cannot be written.
    """
    manifest = export.manifest
    with _explaining(export.path), open_folder(export.path) as folder:
        _require_all(manifest)
        source = _open_source(folder, manifest)
        _require_files(folder, manifest, progress)
        with contextlib.closing(Store.create(place, manifest.spec)) as store:
            store.index_type = manifest.index_type
            _copy_whitening(export, store)
            with store.writing():
                Unpacker(store, manifest, source, manifest.places(export.path)).run(progress)


def _require_all(manifest: Manifest) -> None:
    """Raise `ExportError` where an export holds some kinds of vectors only."""
    kinds = manifest.spec.kinds
    missing = [kind.name for kind in kinds if kind.name not in manifest.tables]
    if manifest.tables and missing:
        raise ExportError(
            f"it has no {' and no '.join(missing)} vectors, which a store of its spec needs; leave "
            "out --kind when you export"
        )
    has_regions = any(kind.scope == "region" for kind in kinds)
    if manifest.tables and has_regions != (REGIONS in manifest.tables):
        raise ExportError("it has vectors of regions without boxes, or boxes without vectors")
    if dict(manifest.fields) != column_names([*manifest.fields]):
        raise ExportError(f"{MANIFEST} gives the columns of fields other names than cbir does")


def _open_source(folder: StoreFolder, manifest: Manifest) -> ExportSource:
    columns = [*manifest.fields.values()]
    if manifest.format == "numpy":
        return NumpySource(folder, columns)
    from indexer.exports.parquet_files import ParquetSource  # PyArrow takes long to load

    return ParquetSource(folder, columns)


def _names(manifest: Manifest) -> Iterator[str]:
    """Yield the files that an export has."""
    if manifest.format == "numpy":
        yield IMAGE_LINES
        for table in manifest.tables:
            yield from file_names(table, SUFFIXES).values()
    else:
        from indexer.exports.parquet_files import IMAGES, parquet_name

        yield from (IMAGES, *map(parquet_name, manifest.tables))
    if manifest.spec.adaptation:
        yield WHITENING


def _require_files(folder: StoreFolder, manifest: Manifest, progress: Progress) -> None:
    """Raise `ExportError` unless the files are those that the manifest was written for."""
    names: Sequence[str] = [*_names(manifest)]
    for done, name in enumerate(names):
        progress("Checking files", done, len(names))
        wanted = manifest.files.get(name)
        if wanted is None:
            raise ExportError(f"{MANIFEST} does not name {name}")
        with folder.read(name) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if file.tell() != wanted.bytes:
                raise ExportError(f"{name} has {file.tell():,} bytes, not {wanted.bytes:,}")
        if digest != wanted.sha256:
            raise ExportError(f"{name} was changed since it was written")


def _copy_whitening(export: Export, store: Store) -> None:
    """Give the store the whitening that its spec names, if any."""
    if store.adaptation_file is None:
        return
    try:
        found = PcaProjection.read(export.path / WHITENING)
    except FeatureError as error:
        raise ExportError(str(error).strip(".")) from error
    if found.digest != store.spec.adaptation:
        raise ExportError(f"{WHITENING} is another whitening than the spec names")
    found.write(store.adaptation_file)


@contextmanager
def _explaining(export: Path) -> Iterator[None]:
    """Name the export in what is wrong with it."""
    try:
        yield
    except FileNotFoundError as error:
        name = Path(str(error.filename or "")).name
        raise _damaged(export, f"{name} is missing") from error
    except OSError as error:
        raise _damaged(export, f"it cannot be read ({error.strerror or error})") from error
    except ExportError as error:
        raise _damaged(export, str(error)) from error


def _damaged(export: Path, reason: str) -> ExportError:
    return ExportError(
        f"The export at {export} cannot be used: {reason}. Nothing was taken over; export the "
        "store again."
    )
