"""The manifest of an export: the small JSON that says what its files are, written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from indexer.choices import INDEX_TYPES, ExportFormat
from indexer.errors import ExportError, FeatureError, UntrustedStoreError
from indexer.exports.rows import REGIONS, Table
from indexer.features.spec import FeatureSpec
from indexer.reading import ReadingOptions
from indexer.sources.place import Place
from indexer.store.catalog.paths import from_stored
from indexer.store.decisions import COPY, KEEP
from indexer.store.folder import StoreFolder
from indexer.store.places import require_inside, resolve_root
from indexer.store.trust import is_seal_of, seal, trusts_all

MANIFEST = "export.json"
KIND = "cbir export"
VERSION = 1
WHITENING = "whitening.npz"
MOST_BYTES = 256 << 20  # of a manifest: concepts take 30 kB each
MOST_ROWS, MOST_WIDTH = 2**48, 2**16


@dataclass(frozen=True)
class ExportedRoot:
    """A folder of photos, as a catalogue beside the export would have it.

    `options` and `skipped` are JSON.
    """

    id: int
    path: str
    options: str
    skipped: str


@dataclass(frozen=True)
class ExportedFile:
    """A file of an export: its size, and the SHA-256 of its bytes in hex."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an export holds.

    `tables` are the regions and the vectors by kind, `fields` the columns of the user's own by
    field, `concepts` JSON by name, and `decisions` verdicts about pairs of image ids, see
    `Decisions`. `where` is the filter that chose the images, if any.
    """

    cbir: str
    format: ExportFormat
    spec: FeatureSpec
    index_type: str
    where: str
    images: int
    tables: Mapping[str, Table]
    roots: tuple[ExportedRoot, ...]
    fields: Mapping[str, str]
    concepts: Mapping[str, str]
    decisions: Mapping[tuple[int, int], str]
    files: Mapping[str, ExportedFile]

    def kinds(self) -> dict[str, Table]:
        """Return the tables of vectors, by kind."""
        return {name: table for name, table in self.tables.items() if name != REGIONS}

    def places(self, export: Path) -> dict[int, Place]:
        """Return the folders of photos by id, as absolute paths or URLs."""
        return {root.id: resolve_root(export, from_stored(root.path)) for root in self.roots}

    def to_json(self, *, seals: bool) -> bytes:
        """Return the JSON, with this account's seal if it is to vouch for the export."""
        values: dict[str, Any] = {
            "kind": KIND,
            "version": VERSION,
            "cbir": self.cbir,
            "format": self.format,
            "fingerprint": self.spec.fingerprint,
            "spec": asdict(self.spec),
            "index_type": self.index_type,
            "where": self.where,
            "images": self.images,
            "tables": {
                name: {"rows": table.rows, "dimension": table.width}
                for name, table in self.tables.items()
            },
            "roots": [asdict(root) for root in self.roots],
            "fields": dict(self.fields),
            "concepts": dict(self.concepts),
            "decisions": [[*pair, verdict] for pair, verdict in self.decisions.items()],
            "files": {name: asdict(file) for name, file in self.files.items()},
        }
        values["seal"] = seal(_checksum(values)) if seals else ""
        return json.dumps(values, indent=1).encode()


def read_manifest(folder: StoreFolder, export: Path) -> Manifest:
    """Read the manifest of the export that `folder` holds, at the path `export`.

    Raises `ExportError`, and `UntrustedStoreError` where somebody else made it and it names photos
    outside the folder that it is in.
    """
    try:
        with folder.read(MANIFEST) as file:
            values = json.loads(file.read(MOST_BYTES))
        if values["kind"] != KIND:
            raise ValueError(f"it is of the kind {values['kind']!r}")
        if values["version"] != VERSION:
            raise ExportError(
                f"The export at {export} has the version {values['version']!r}; this cbir knows "
                f"{VERSION}. Upgrade cbir to read it."
            )
        found = _parse(values)
        is_own = is_seal_of(_checksum(values), values.get("seal"))
    except OSError as error:
        raise ExportError(f"{export / MANIFEST} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, FeatureError) as error:
        raise ExportError(
            f"{export / MANIFEST} is not what cbir export writes ({error!r}). Export the store "
            "again."
        ) from error
    if not (is_own or trusts_all()):
        _require_inside(export, found)
    return found


def _require_inside(export: Path, found: Manifest) -> None:
    try:
        require_inside(export, found.places(export).values())
    except UntrustedStoreError as error:
        raise UntrustedStoreError(str(error).replace("the store at", "the export at")) from error


def _parse(values: Mapping[str, Any]) -> Manifest:
    """Return the manifest that some values are; raises what wrong values raise."""
    spec = FeatureSpec.from_json(json.dumps(values["spec"]))
    if values["fingerprint"] != spec.fingerprint:
        raise ValueError("the fingerprint is not that of the spec")
    if values["format"] not in get_args(ExportFormat):
        raise ValueError(f"there is no format {values['format']!r}")
    index_type = values["index_type"]
    roots = tuple(
        ExportedRoot(_number(r["id"]), *(_text(r[n]) for n in ("path", "options", "skipped")))
        for r in values["roots"]
    )
    if len({root.id for root in roots}) < len(roots):
        raise ValueError("two folders have one id")
    for root in roots:
        ReadingOptions.from_json(root.options)
        json.loads(root.skipped).items()
    return Manifest(
        cbir=_text(values["cbir"]),
        format=values["format"],
        spec=spec,
        index_type=index_type if index_type in INDEX_TYPES else "auto",
        where=_text(values["where"]),
        images=_number(values["images"]),
        tables=_tables(values["tables"], spec),
        roots=roots,
        fields=_texts(values["fields"]),
        concepts=_texts(values["concepts"]),
        decisions=_decisions(values["decisions"]),
        files={
            name: ExportedFile(_number(file["bytes"]), _text(file["sha256"]))
            for name, file in values["files"].items()
        },
    )


def _tables(values: Mapping[str, Any], spec: FeatureSpec) -> dict[str, Table]:
    known = (REGIONS, *(kind.name for kind in spec.kinds))
    tables = {}
    for name, table in values.items():
        if name not in known:
            raise ValueError(f"the spec makes no {name!r}")
        width = _number(table["dimension"], MOST_WIDTH)
        if width < 1 or (name == REGIONS and width != 4):
            raise ValueError(f"{name} has {width} values a row")
        tables[name] = Table.of(name, _number(table["rows"]), width)
    return tables


def _decisions(values: Iterable[tuple[Any, Any, Any]]) -> dict[tuple[int, int], str]:
    found = {(_number(first), _number(second)): verdict for first, second, verdict in values}
    for (first, second), verdict in found.items():
        if first == second or verdict not in (KEEP, COPY):
            raise ValueError(f"{verdict!r} is no decision about {first} and {second}")
    return found


def _number(value: object, most: int = MOST_ROWS) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no count")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()  # a half of a surrogate pair, which no database takes, is a `ValueError`
    return value


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in values.items()}


def _checksum(values: Mapping[str, Any]) -> str:
    """Return what the seal of a manifest covers: all of it but the seal, and so all files."""
    sealed = {name: value for name, value in values.items() if name != "seal"}
    return hashlib.sha256(json.dumps(sealed, sort_keys=True).encode()).hexdigest()
