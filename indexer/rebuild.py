"""What a store that is to be built again was made of, and with which settings."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.errors import FeatureError, NoImagesError, StoreError
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.spec import CHOICES, FeatureSpec
from indexer.images.page_paths import page_of
from indexer.reading import ReadingOptions
from indexer.sources.access import existing, is_file, is_folder
from indexer.sources.place import Place, is_below
from indexer.store.places import require_inside, resolve_root
from indexer.store.settings import StoreSettings
from indexer.store.store import Store
from indexer.store.trust import trusts_all


@dataclass(frozen=True)
class Remembered:
    """The folders of a store with how they are read, and the files that were given by name.

    `settings` are None where they are not known.
    """

    roots: tuple[tuple[Place, ReadingOptions], ...] = ()
    files: tuple[Place, ...] = ()
    settings: StoreSettings | None = None

    @property
    def places(self) -> list[Place]:
        """What is to be indexed, so that the store holds again what it held."""
        return [root for root, options in self.roots if not options.known_only] + [*self.files]

    def spec(self, backbone: str | None, choices: Mapping[str, Any]) -> FeatureSpec:
        """Return the spec with these choices, and those of the store where nothing is chosen.

        With another backbone, its own taps are taken. Raises what `FeatureSpec.create` does.
        """
        before = self._choices()
        if backbone not in (None, before.get("backbone")):
            before = {n: value for n, value in before.items() if n not in ("conv", "fc")}
            before["backbone"] = backbone
        return FeatureSpec.create(**{"backbone": DEFAULT_BACKBONE, **before, **choices})

    def _choices(self) -> dict[str, Any]:
        """Return what was chosen for the store's spec; nothing where it cannot be read."""
        if self.settings is None:
            return {}
        try:
            spec = FeatureSpec.from_json(self.settings.spec)
        except (ValueError, TypeError, FeatureError):
            return {}
        return {name: getattr(spec, name) for name in CHOICES}

    def not_below(self, places: Sequence[Place]) -> list[Place]:
        """Return the folders that lie in none of some places."""
        absolute = [Path(os.path.abspath(p)) if isinstance(p, Path) else p for p in places]
        return [r for r, _ in self.roots if not any(is_below(r, place) for place in absolute)]


def remembered_places(store: Path) -> Remembered:
    """Return what the store at `store`, damaged or not, was made of; nothing if it is not known.

    Raises `UntrustedStoreError` where somebody else's names photos outside its folder.
    """
    settings = StoreSettings.read(store)
    if settings is None:
        return Remembered()
    roots = [(resolve_root(store, path), options) for path, options in settings.roots]
    if not (settings.is_sealed or trusts_all()):
        require_inside(store, [root for root, _ in roots])
    read = tuple((root, ReadingOptions.from_json(options)) for root, options in roots)
    given = [root for root, options in read if options.known_only]
    return Remembered(read, tuple(_files_in(store, given)) if given else (), settings)


def _files_in(store: Path, roots: Sequence[Place]) -> list[Place]:
    """Return the files that a store knows in some folders; none where it cannot be read."""
    with contextlib.suppress(StoreError), contextlib.closing(Store.open(store)) as opened:
        known = opened.roots()
        files = {
            known[row.file.root_id] / page_of(row.file.path)[0]
            for row in opened.known_files().values()
        }
        return [
            file
            for root in roots
            for file in sorted(existing([f for f in files if is_below(f, root)], root), key=str)
        ]
    return []


def require_places(places: Sequence[Place]) -> None:
    """Raise `NoImagesError` unless all places are there, and there is one."""
    if not places:
        raise NoImagesError(
            "The store does not know what it was made of. Name the photos: cbir index PHOTOS "
            "--rebuild. Nothing was deleted."
        )
    for place in places:
        if not (is_folder(place) or is_file(place)):
            raise NoImagesError(f"There is no file or folder {place}. Nothing was deleted.")
