"""Stores written under older schemas open under this one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from PIL import Image

from indexer.errors import StoreCorruptError, StoreError
from indexer.features.extractor import ImageFeatures
from indexer.features.spec import FeatureSpec
from indexer.optimize import optimize_store
from indexer.store.catalog.schema import SCHEMA_VERSIONS
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.statistics import summarize
from indexer.store.store import Store
from indexer.store.vectors.segment_files import write_segment
from tests.colour_grid import colour_extractor
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, RED, plain
from tests.segments import ivf_of

OLD_SPEC = {
    "backbone": "efficientnet_lite0",
    "weights": "efficientnet-lite0-57934424",
    "conv": "head",
    "fc": "fc",
    "pooling": "spoc",
    "gem_p": 3.0,
    "size_px": 64,
}
COLOURS = {"red.png": RED, "green.png": GREEN}


def upgrade_to(file: Path, version: str) -> None:
    catalog = SqlAlchemyCatalog(file)
    config = Config()
    config.set_main_option("script_location", "indexer.store.catalog:migrations")
    with catalog.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    catalog.close()


def run_sql(file: Path, *statements: tuple[str, Sequence[object]]) -> None:
    connection = sqlite3.connect(file)
    with connection:
        for statement, values in statements:
            connection.execute(statement, values)
    connection.close()


def old_image(number: int, path: Path) -> tuple[str, Sequence[object]]:
    stat = path.stat()
    row = (number, path.name, stat.st_size, stat.st_mtime_ns, bytes([number]) * 32)
    return (
        "INSERT INTO images (id, root_id, path, size_bytes, mtime_ns, content_hash, state, "
        "width, height, format) VALUES (?, 1, ?, ?, ?, ?, 'ok', 48, 32, 'PNG')",
        row,
    )


def describe(photos: Sequence[Path]) -> list[ImageFeatures]:
    described = colour_extractor().extract([Image.open(photo).convert("RGB") for photo in photos])
    return [features for features in described if isinstance(features, ImageFeatures)]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of schema 0001 with two images, written without the code of today's store."""
    photos = [plain(tmp_path / "photos" / name, colour) for name, colour in COLOURS.items()]
    store = tmp_path / ".cbir"
    (store / "vectors").mkdir(parents=True)
    file = store / "catalog.sqlite"
    upgrade_to(file, "0001")
    text = json.dumps(OLD_SPEC, sort_keys=True, separators=(",", ":"))
    features = describe(photos)
    ids = np.array([1, 2], np.int64)
    statements: list[tuple[str, Sequence[object]]] = [
        ("INSERT INTO spec VALUES (1, ?, 'fingerprint of old')", (text,)),
        ("INSERT INTO roots VALUES (1, 'photos')", ()),
        *(old_image(number, photo) for number, photo in enumerate(photos, 1)),
    ]
    for number, kind in enumerate(("conv", "fc"), 1):
        vectors = np.vstack([f.vectors[kind] for f in features])
        # The first schema was never released; its segments had no file of image ids.
        write_segment(store / "vectors", f"{number:08d}-{kind}", ids, ids, vectors)
        row = (number, kind, len(ids), vectors.shape[1])
        statements.append(("INSERT INTO segments VALUES (?, ?, ?, ?)", row))
    run_sql(file, *statements)
    return store


def test_a_store_of_the_first_schema_opens_without_regions(old: Path) -> None:
    store = Store.open(old)
    assert store.spec.regions == "none"
    assert [kind.name for kind in store.spec.kinds] == ["conv", "fc"]
    assert store.spec == FeatureSpec.create(
        pooling="spoc", size_px=64, resampling="bicubic", regions="none"
    )
    summary = summarize(store)
    assert (summary.images, summary.vectors) == (2, {"conv": 2, "fc": 2})
    with pytest.raises(StoreError, match="--rebuild --regions grid"):
        store.find_kind("conv", "region")
    store.close()


def test_the_spec_on_disk_agrees_with_its_fingerprint(old: Path) -> None:
    Store.open(old).close()
    connection = sqlite3.connect(old / "catalog.sqlite")
    text, fingerprint = connection.execute("SELECT json, fingerprint FROM spec").fetchone()
    connection.close()
    spec = FeatureSpec.from_json(text)
    assert spec.to_json() == text
    assert fingerprint == spec.fingerprint


@pytest.mark.parametrize("kind", ["conv", "fc"])
def test_its_images_are_still_found(old: Path, kind: str) -> None:
    store = Store.open(old)
    for name in COLOURS:
        photo = old.parent / "photos" / name
        [features] = describe([photo])
        [match] = store.vector_index(store.kind(kind)).search(features.vectors[kind], 1)
        info = store.find_image(photo)
        assert info is not None
        assert match.ids.tolist() == [info.id]
        assert match.scores[0] > 0.999
    store.close()


def test_it_goes_on_growing(old: Path) -> None:
    desk = Desk(old.parent / "photos", Store.open(old))
    plain(desk.photos / "blue.png", BLUE)
    report = desk.index()
    assert (report.added, report.unchanged, report.regions) == (1, 2, 0)
    assert desk.paths() == ["blue.png", "green.png", "red.png"]
    desk.check_vectors()
    desk.store.close()


def test_opening_again_changes_nothing(old: Path) -> None:
    specs = []
    for _ in range(2):
        store = Store.open(old)
        specs.append(store.spec)
        store.close()
    assert specs[0] == specs[1]
    connection = sqlite3.connect(old / "catalog.sqlite")
    versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    connection.close()
    assert versions == [(SCHEMA_VERSIONS[-1],)]


def test_a_damaged_spec_of_the_first_schema(old: Path) -> None:
    run_sql(old / "catalog.sqlite", ("UPDATE spec SET json = '{'", ()))
    with pytest.raises(StoreCorruptError, match="spec"):
        Store.open(old)


def test_a_migration_that_fails_leaves_the_store_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = old / "catalog.sqlite"

    def stop(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(json, "dumps", stop)  # the spec is rewritten after the table is made
        with pytest.raises(KeyboardInterrupt):
            Store.open(old)
    connection = sqlite3.connect(file)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    assert json.loads(connection.execute("SELECT json FROM spec").fetchone()[0]) == OLD_SPEC
    connection.close()
    assert "regions" not in tables
    store = Store.open(old)
    assert summarize(store).images == 2
    store.close()


def test_a_store_of_the_second_schema_opens_without_ivf_indexes(old: Path) -> None:
    upgrade_to(old / "catalog.sqlite", "0002")
    store = Store.open(old)
    assert store.index_type == "auto"
    for kind in store.spec.kinds:
        assert store.vectors.ivf_entry(kind.name) is None
        assert ivf_of(store, kind) is None
    reports = optimize_store(store)
    assert [(report.rows, report.index_type) for report in reports] == [(2, "exact"), (2, "exact")]
    store.close()
