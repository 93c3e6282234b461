"""StoreSettings: what a store was made with, beside its catalogue, so that it can be made again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import StoreError
from indexer.store.catalog.protocol import CatalogState
from indexer.store.folder import open_folder
from indexer.store.layout import SETTINGS
from indexer.store.trust import is_seal_of, seal


@dataclass(frozen=True)
class StoreSettings:
    """The feature spec as JSON, the choices of the store, and (path, options) of its folders.

    Paths are as the catalogue has them. `is_sealed` says whether this account wrote them.
    """

    spec: str
    index_type: str
    keeps_keypoints: bool
    roots: tuple[tuple[str, str], ...]
    is_sealed: bool = False

    @classmethod
    def of(cls, state: CatalogState) -> StoreSettings:
        """Return the settings of a store in this state."""
        roots = tuple((root.path, root.options) for root in state.roots.values())
        return cls(
            state.spec or "", state.index_type, state.keeps_keypoints, roots, state.is_sealed
        )

    @classmethod
    def read(cls, store: Path) -> StoreSettings | None:
        """Return the settings of the store at `store`; None where there are none to be read."""
        try:
            with open_folder(store.resolve()) as folder, folder.read(SETTINGS) as file:
                outer = json.loads(file.read())
            text = str(outer["settings"])
            values = json.loads(text)
            roots = tuple((str(path), str(options)) for path, options in values["roots"])
            sealed = is_seal_of(_checksum(text), outer["seal"])
            return cls(
                str(values["spec"]),
                str(values["index_type"]),
                bool(values["keeps_keypoints"]),
                roots,
                sealed,
            )
        except (OSError, StoreError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def write(self, store: Path) -> None:
        """Keep the settings in the store, where they have changed; it may be read-only."""
        if self == StoreSettings.read(store):
            return
        values = {
            "spec": self.spec,
            "index_type": self.index_type,
            "keeps_keypoints": self.keeps_keypoints,
            "roots": self.roots,
        }
        text = json.dumps(values)
        outer = {"settings": text, "seal": seal(_checksum(text)) if self.is_sealed else ""}
        with contextlib.suppress(OSError), open_folder(store.resolve()) as folder:
            with folder.write(f"{SETTINGS}.part") as file:
                file.write(json.dumps(outer, indent=1).encode())
            folder.replace(f"{SETTINGS}.part", SETTINGS)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
