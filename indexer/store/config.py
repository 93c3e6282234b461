"""StoreConfig: the file in a store that says which servers keep its catalogue and its vectors."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from indexer.errors import StoreError, UntrustedStoreError
from indexer.store.folder import open_folder
from indexer.store.layout import CONFIG
from indexer.store.trust import is_seal_of, seal, trusts_all

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,50}")
_MODE = 0o600  # the URL may hold a password
_KEYS = ("catalog", "vectors", "schema", "seal")


@dataclass(frozen=True)
class StoreConfig:
    """The URLs of the servers that keep the catalogue and the vectors; None is a file of the store.

    `schema` is the store's own name there: of its schema in PostgreSQL, and before the names of its
    collections in Milvus. `is_sealed` says whether this account wrote them, see `trust`: a store of
    somebody else may name a server that is to learn of passwords.
    """

    catalog: str | None = field(repr=False)
    vectors: str | None = field(repr=False)
    schema: str
    is_sealed: bool = False

    @classmethod
    def create(cls, catalog: str | None, vectors: str | None = None) -> StoreConfig:
        """Return the configuration of a new store."""
        return cls(catalog, vectors, f"cbir_{secrets.token_hex(4)}", is_sealed=True)

    @classmethod
    def read(cls, store: Path) -> StoreConfig | None:
        """Return the configuration of the store at `store`; None where it has no such file.

        Raises `StoreError` for what is no such configuration.
        """
        try:
            with open_folder(store.resolve()) as folder, folder.read(CONFIG) as file:
                return cls._from_toml(tomllib.load(file))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{store / CONFIG} cannot be read: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:  # TOML's repeat no values
            raise StoreError(
                f"{store / CONFIG} is not valid: {error}. It says catalog = "
                '"postgresql://user:password@host/database", vectors = '
                '"milvus://user:password@host/database", or both, and schema = "NAME".'
            ) from error

    @classmethod
    def _from_toml(cls, values: dict[str, Any]) -> StoreConfig:
        if unknown := [key for key in values if key not in _KEYS]:
            raise ValueError(f"there is no setting {', '.join(unknown)}")
        for key in [key for key in ("catalog", "vectors") if key in values] or ["catalog"]:
            _require_text(values, key)
        _require_text(values, "schema")
        catalog, vectors = values.get("catalog"), values.get("vectors")
        if not _SCHEMA.fullmatch(values["schema"]):
            raise ValueError("schema is no name of small letters, digits and underscores")
        read = cls(catalog, vectors, values["schema"])
        return replace(read, is_sealed=is_seal_of(read._to_seal(), values.get("seal")))

    def write(self, store: Path) -> None:
        """Keep this in the store, in a file that nobody else can read; raises `StoreError`."""
        values = {"catalog": self.catalog, "vectors": self.vectors, "schema": self.schema}
        values["seal"] = seal(self._to_seal())
        given = {key: json.dumps(v, ensure_ascii=False) for key, v in values.items() if v}
        text = "".join(f"{key} = {value}\n" for key, value in given.items())
        try:
            with open_folder(store.resolve()) as folder:
                folder.delete(f"{CONFIG}.part")  # or it kept its mode
                with folder.write(f"{CONFIG}.part", _MODE) as file:
                    file.write(text.encode())
                folder.replace(f"{CONFIG}.part", CONFIG)
        except OSError as error:
            raise StoreError(f"{store / CONFIG} cannot be written: {error.strerror}.") from error

    def _to_seal(self) -> str:
        if self.vectors is None:
            return f"{self.schema} {self.catalog}"
        return json.dumps([self.schema, self.catalog, self.vectors])

    def require_trusted(self, store: Path, *, trusts: bool) -> None:
        """Raise `UntrustedStoreError` where somebody else wrote this and nobody trusts the store.

        It is asked before anything is connected to.
        """
        if not (self.is_sealed or trusts or trusts_all()):
            raise UntrustedStoreError(
                f"Another account or machine wrote {store / CONFIG}, or somebody changed it, and "
                "it names the database to connect to. If you trust it, add --trust."
            )

    @staticmethod
    def delete(store: Path) -> None:
        """Delete the configuration of a store that could not be created."""
        with contextlib.suppress(OSError), open_folder(store.resolve()) as folder:
            folder.delete(CONFIG)


def _require_text(values: dict[str, Any], key: str) -> None:
    if not isinstance(values.get(key), str):
        raise ValueError(f"{key} is missing, or no text")
