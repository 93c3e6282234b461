from __future__ import annotations

import re
from pathlib import Path

import pytest

from indexer.errors import StoreError, UntrustedStoreError
from indexer.store.catalogs import open_database
from indexer.store.config import StoreConfig
from indexer.store.store import Store
from tests.desk import Desk

URL = 'postgresql://me:s"e\\c é@h/d'


@pytest.mark.parametrize(("catalog", "vectors"), [(URL, None), (None, URL), (URL, f"{URL}2")])
def test_what_is_written_is_read_and_only_its_owner_can_read_it(
    tmp_path: Path, catalog: str | None, vectors: str | None
) -> None:
    made = StoreConfig.create(catalog, vectors)
    made.write(tmp_path)
    assert StoreConfig.read(tmp_path) == made
    assert made.is_sealed
    assert (tmp_path / "cbir.toml").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["cbir.toml"]
    assert "s" + '"e' not in repr(made)


def test_a_store_without_one_has_its_catalogue_in_a_file(tmp_path: Path) -> None:
    assert StoreConfig.read(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('catalog = "postgresql://h/d"\nschema = "a"\ncolour = 1\nsize = 2', "colour, size"),
        ('schema = "a"', "catalog is missing"),
        ('catalog = "postgresql://h/d"', "schema is missing"),
        ('vectors = ["milvus://h"]\nschema = "a"', "vectors is missing, or no text"),
        ('catalog = 7\nschema = "a"', "catalog is missing, or no text"),
        ('catalog = "postgresql://h/d"\nschema = "a\\"; DROP"', "schema is no name"),
        ("catalog = 'secret", "not valid"),
        ("a = " + "[" * 100_000, "not valid"),
        ("é", "not valid"),
    ],
)
def test_what_is_not_valid_is_named(desk: Desk, text: str, reason: str) -> None:
    (desk.store.path / "cbir.toml").write_text(text, encoding="latin-1")
    with pytest.raises(StoreError, match=r"cbir\.toml is not valid") as caught:
        Store.open(desk.store.path)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["catalog", "vectors", "schema"])
def test_a_seal_is_of_all_that_it_says(tmp_path: Path, key: str) -> None:
    StoreConfig.create("postgresql://h/d", "milvus://h").write(tmp_path)
    file = tmp_path / "cbir.toml"
    text = file.read_text("utf-8")
    file.write_text(re.sub(rf'(?m)^({key} = ".*)"$', r'\1x"', text), "utf-8")
    assert file.read_text("utf-8") != text
    read = StoreConfig.read(tmp_path)
    assert read is not None
    assert not read.is_sealed


def test_a_link_in_its_place_is_refused(tmp_path: Path, desk: Desk) -> None:
    (tmp_path / "elsewhere.toml").write_text("", "utf-8")
    (desk.store.path / "cbir.toml").symlink_to(tmp_path / "elsewhere.toml")
    with pytest.raises(StoreError, match="is a link"):
        Store.open(desk.store.path)


@pytest.mark.usefixtures("postgres")  # so that there is a driver
def test_no_database_of_somebody_else_is_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    StoreConfig.create("postgresql://me:secret@127.0.0.1:1/photos").write(tmp_path)
    file = tmp_path / "cbir.toml"
    file.write_text(file.read_text("utf-8").replace("127.0.0.1", "127.0.0.2"), "utf-8")
    with pytest.raises(UntrustedStoreError, match="--trust") as caught:
        Store.open(tmp_path)
    assert "secret" not in str(caught.value)
    with pytest.raises(UntrustedStoreError):
        Store.delete(tmp_path)
    monkeypatch.setenv("CBIR_TRUST", "1")
    database = open_database(tmp_path)
    assert database.place == "the PostgreSQL database photos on 127.0.0.2:1"
