"""The stores that are to be joined: opening them, and what must agree between them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from indexer.errors import ConceptError, SpecMismatchError, StoreCorruptError, StoreError
from indexer.features.spec import FeatureSpec
from indexer.store.catalogs import require_same
from indexer.store.places import is_store
from indexer.store.reader import StoreReader
from indexer.store.store import Store
from indexer.store.tags import read_concepts

FILES_A_STORE = 12  # those of the catalogue, for several connections
FILES_A_SEGMENT = 3
FILES_OF_PROCESS = 64  # libraries, the whole and its lock


@contextmanager
def open_parts(
    places: Sequence[Path], origins: Mapping[Path, Path] | None = None
) -> Iterator[list[StoreReader]]:
    """Open the stores to be joined, and close them in the end.

    `origins` are what some of them were made of, by which errors name them.

    Raises what `StoreReader.open` does, `SpecMismatchError` where their specs differ, and
    `StoreError` where they are too many for the files that this process may have open.
    """
    with ExitStack() as stack:
        parts: list[StoreReader] = []
        files = 0
        for place in dict.fromkeys(place.resolve() for place in places):
            part = StoreReader.open(place)
            stack.callback(part.close)
            part.origin = (origins or {}).get(place, part.origin)
            files += FILES_A_STORE + FILES_A_SEGMENT * len(part.reader.state().segments)
            _require_room(files, len(parts))
            require_same_spec(parts[0] if parts else part, part)
            parts.append(part)
        yield parts


@contextmanager
def open_or_create_whole(
    place: Path,
    parts: Sequence[StoreReader],
    *,
    catalog: str | None = None,
    vectors: str | None = None,
) -> Iterator[Store]:
    """Open the store that the parts are joined into, or create it with the choices of the first.

    A new store has its catalogue and its vectors at these URLs, if any; if it stays empty, it is
    deleted again. Raises `StoreError` where it is one of the parts,
    or holds a shard itself, and `SpecMismatchError`.
    """
    if any(part.path == place.resolve() for part in parts):
        raise StoreError(
            f"The store at {place} is one of those to be joined. Name another one with --store."
        )
    if not is_store(place):
        whole = _create_like(place, parts[0], catalog, vectors)
        try:
            yield whole
        finally:
            whole.close_or_discard()
        return
    require_same(place, catalog, vectors)
    with contextlib.closing(Store.open(place)) as whole:
        if whole.shard is not None:
            raise StoreError(
                f"The store at {place} holds shard {whole.shard} only. Join it with the others "
                "into one of another name, see --store."
            )
        require_same_spec(whole, parts[0])
        _copy_adaptation(whole, parts[0])
        yield whole


def _require_room(files: int, opened: int) -> None:
    """Raise `StoreError` where so many files cannot be open at once; `opened` parts could be."""
    try:
        import resource
    except ImportError:  # on Windows, which has no such limit
        return
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and files + FILES_OF_PROCESS > most:
        raise StoreError(
            f"These are too many stores to be joined at once: this process may have {most} files "
            f"open. Join {max(1, opened)} at a time, all into the same --store, or raise the limit "
            "with ulimit -n."
        )


def require_same_spec(one: StoreReader, other: StoreReader) -> None:
    """Raise `SpecMismatchError`, naming both stores, where their specs differ."""
    if one.spec.fingerprint == other.spec.fingerprint:
        return
    raise differing_specs((one.origin, one.spec), (other.origin, other.spec))


def differing_specs(
    one: tuple[Path, FeatureSpec], other: tuple[Path, FeatureSpec]
) -> SpecMismatchError:
    """Return the error that says how the specs of two places differ."""
    ours, theirs = asdict(one[1]), asdict(other[1])
    differing = [name for name in ours if ours[name] != theirs[name]]
    return SpecMismatchError(
        f"{one[0]} and {other[0]} cannot be joined. They were built with "
        f"{', '.join(f'{name}={ours[name]}' for name in differing)} and with "
        f"{', '.join(f'{name}={theirs[name]}' for name in differing)} (fingerprints "
        f"{one[1].fingerprint[:12]} and {other[1].fingerprint[:12]}). Index the photos of one of "
        "them again with the options of the other."
    )


def _create_like(place: Path, part: StoreReader, catalog: str | None, vectors: str | None) -> Store:
    state = part.reader.state()
    whole = Store.create(place, part.spec, catalog_url=catalog, vectors_url=vectors)
    _copy_adaptation(whole, part)
    whole.index_type = state.index_type
    whole.keep_keypoints(state.keeps_keypoints)
    return whole


def _copy_adaptation(whole: Store, part: StoreReader) -> None:
    """Give the whole the whitening that its spec names, if any, unless it has it."""
    file, adaptation = whole.adaptation_file, part.adaptation()
    if file is not None and adaptation is not None and not file.exists():
        adaptation.write(file)


def require_same_dimensions(stores: Sequence[StoreReader]) -> None:
    """Raise `StoreCorruptError` where stores of one spec have vectors of several lengths."""
    known: dict[str, int] = {}
    for store in stores:
        for entry in store.reader.state().segments:
            if known.setdefault(entry.kind, entry.dimension) != entry.dimension:
                raise StoreCorruptError(
                    f"The {entry.kind} vectors of the store at {store.origin} have "
                    f"{entry.dimension} values, others of the same spec {known[entry.kind]}. "
                    f"Check it with: cbir doctor --store {store.origin}"
                )


def require_same_concepts(stores: Sequence[StoreReader]) -> dict[str, str]:
    """Return the concepts of all stores as JSON, by name.

    Raises `ConceptError` where two stores have different ones of one name.
    """
    found: dict[str, tuple[str, Path]] = {}
    for store in stores:
        for name, json in read_concepts(store).items():
            known, home = found.setdefault(name, (json, store.origin))
            if known != json:
                raise ConceptError(
                    f"{home} and {store.origin} were taught different concepts of the name "
                    f"{name!r}. Forget one of them first: cbir teach {name!r} --delete "
                    f"--store {store.origin}"
                )
    return {name: json for name, (json, _) in found.items()}
