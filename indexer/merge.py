"""Merging: stores and exported folders are taken over into a store, without reading a photo."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from indexer.errors import ExportError, StoreNotFoundError
from indexer.exports.read import Export, is_export, read_export, unpack_export
from indexer.join import join_stores
from indexer.join_plan import JoinRules
from indexer.parts import differing_specs, open_or_create_whole, open_parts
from indexer.progress import Progress, no_progress
from indexer.run import IndexReport
from indexer.store.places import is_store
from indexer.store.reader import StoreReader
from indexer.store.store import Store

MERGING = JoinRules(newest=True, needs_photos=False)


@contextmanager
def merging(
    place: Path, sources: Sequence[Path], progress: Progress = no_progress
) -> Iterator[tuple[Store, list[StoreReader]]]:
    """Open the store at `place`, created if there is none, and the sources to be merged into it.

    A source is a store, or an exported folder, which is checked and becomes a store in a folder
    beside `place` until the end. Raises what `open_parts`, `open_or_create_whole`, `read_export`
    and `unpack_export` do, and `StoreNotFoundError` where a source is neither.
    """
    exports = _find_exports(sources)
    _require_same_specs(place, exports)
    with ExitStack() as stack:
        unpacked: dict[Path, Path] = {}
        for number, (source, export) in enumerate(exports.items()):
            if not unpacked:
                scratch = Path(stack.enter_context(_scratch_beside(place)))
            unpack_export(export, scratch / str(number), progress)
            unpacked[source] = scratch / str(number)
        places = [unpacked.get(source.resolve(), source) for source in sources]
        origins = {made: source for source, made in unpacked.items()}
        parts = stack.enter_context(open_parts(places, origins))
        yield stack.enter_context(open_or_create_whole(place, parts)), parts


def merge_stores(
    whole: Store,
    parts: Sequence[StoreReader],
    progress: Progress = no_progress,
    stop: Callable[[], bool] = lambda: False,
) -> IndexReport:
    """Take over all images of the parts, see `join_stores`; of two that differ, the newer one.

    Newer is what was modified later. Where both were at the same time, the store's stays, or that
    of the first part counts. The report has a warning of each.
    """
    return join_stores(whole, parts, progress, stop, MERGING)


def _find_exports(sources: Sequence[Path]) -> dict[Path, Export]:
    """Return the exports among the sources, by their resolved paths."""
    exports = {}
    for source in sources:
        if is_store(source):
            continue
        if not is_export(source):
            raise StoreNotFoundError(
                f"There is neither a store nor an exported folder at {source}. Name the folder "
                "that cbir index or cbir export made."
            )
        exports[source.resolve()] = read_export(source)
    return exports


def _require_same_specs(place: Path, exports: dict[Path, Export]) -> None:
    """Raise `SpecMismatchError` before anything is unpacked that could not be merged."""
    specs = [(path, export.manifest.spec) for path, export in exports.items()]
    if is_store(place):
        whole = StoreReader.open(place)
        specs.insert(0, (place, whole.spec))
        whole.close()
    for other in specs[1:]:
        if other[1].fingerprint != specs[0][1].fingerprint:
            raise differing_specs(specs[0], other)


@contextmanager
def _scratch_beside(place: Path) -> Iterator[str]:
    """Yield a folder on the disk of the store, which is deleted in the end."""
    home = next(p for p in Path(os.path.abspath(place)).parents if p.is_dir())
    try:
        folder = tempfile.TemporaryDirectory(
            prefix=".cbir-merge-", dir=home, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise ExportError(
            f"Exports cannot be unpacked in {home}: {error.strerror}. Name a store in a folder "
            "that can be written to."
        ) from error
    with folder as name:
        yield name
