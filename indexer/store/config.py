"""StoreConfig: the file in a store that says where its catalogue is, if not in a file there."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexer.errors import StoreError
from indexer.store.folder import open_folder
from indexer.store.layout import CONFIG
from indexer.store.trust import is_seal_of, seal

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,50}")
_MODE = 0o600  # the URL may hold a password
_KEYS = ("catalog", "schema", "seal")


@dataclass(frozen=True)
class StoreConfig:
    """The URL of the database of the catalogue, and the schema in it that is the store's own.

    `is_sealed` says whether this account wrote them, see `trust`: a store of somebody else may
    name a server that is to learn of passwords.
    """

    catalog: str = field(repr=False)
    schema: str
    is_sealed: bool = False

    @classmethod
    def create(cls, catalog: str) -> StoreConfig:
        """Return the configuration of a new store."""
        return cls(catalog, f"cbir_{secrets.token_hex(4)}", is_sealed=True)

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
                '"postgresql://user:password@host/database" and schema = "NAME".'
            ) from error

    @classmethod
    def _from_toml(cls, values: dict[str, Any]) -> StoreConfig:
        if unknown := [key for key in values if key not in _KEYS]:
            raise ValueError(f"there is no setting {', '.join(unknown)}")
        for key in ("catalog", "schema"):
            if not isinstance(values.get(key), str):
                raise ValueError(f"{key} is missing, or no text")
        catalog, schema = values["catalog"], values["schema"]
        if not _SCHEMA.fullmatch(schema):
            raise ValueError("schema is no name of small letters, digits and underscores")
        return cls(catalog, schema, is_seal_of(_sealed(catalog, schema), values.get("seal")))

    def write(self, store: Path) -> None:
        """Keep this in the store, in a file that nobody else can read; raises `StoreError`."""
        values = {"catalog": self.catalog, "schema": self.schema}
        values["seal"] = seal(_sealed(self.catalog, self.schema))
        text = "".join(f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in values.items())
        try:
            with open_folder(store.resolve()) as folder:
                folder.delete(f"{CONFIG}.part")  # or it kept its mode
                with folder.write(f"{CONFIG}.part", _MODE) as file:
                    file.write(text.encode())
                folder.replace(f"{CONFIG}.part", CONFIG)
        except OSError as error:
            raise StoreError(f"{store / CONFIG} cannot be written: {error.strerror}.") from error

    @staticmethod
    def delete(store: Path) -> None:
        """Delete the configuration of a store that could not be created."""
        with contextlib.suppress(OSError), open_folder(store.resolve()) as folder:
            folder.delete(CONFIG)


def _sealed(catalog: str, schema: str) -> str:
    return f"{schema} {catalog}"
