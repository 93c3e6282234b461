from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import duckdb
import numpy as np
import pandas as pd
import pytest

from indexer.choices import ExportFormat
from indexer.errors import ExportError, InvalidFilterError, StoreChangedError, StoreError
from indexer.exports import write
from indexer.exports.records import column_names
from indexer.exports.write import export_store
from indexer.images.facts import ImageFacts
from indexer.store.records import Entry, FileState
from indexer.store.store import Store
from tests.random_stores import features, fill

FACTS = ImageFacts(640, 480, "JPEG", None, "X100")
KINDS = ("conv", "fc", "region", "region_fc")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Five images of one folder, each with two regions; one of them is titled."""
    filling = [
        (
            Entry(FileState(1, f"{i}.jpg", 1, 1, bytes(32)), FACTS, features(FACTS, i, 2)),
            {"title": "T", "id": "7"} if i == 3 else {},
            {"cat": i / 10},
        )
        for i in range(5)
    ]
    opened = fill(tmp_path / ".cbir", filling)
    yield opened
    opened.close()


def stored(store: Store, kind: str) -> tuple[list[int], np.ndarray]:
    """The ids and vectors of a kind, in the order of their images."""
    index = store.vectors.open_index(kind)
    assert index is not None
    known = np.array(sorted(row.id for row in store.known_files().values()), np.int64)
    _, ids, vectors = index.rows_of_images(known)
    return ids.tolist(), vectors.astype(np.float16)


def test_pandas_and_duckdb_read_the_same_bits(store: Store, tmp_path: Path) -> None:
    export_store(store, tmp_path / "out")
    for kind in KINDS:
        ids, vectors = stored(store, kind)
        file = tmp_path / "out" / f"vectors-{kind}.parquet"
        frame = pd.read_parquet(file)
        assert frame["id"].tolist() == ids
        found = np.stack(frame["vector"].to_list())
        assert found.dtype == np.float16
        assert found.tobytes() == vectors.tobytes()
        rows = duckdb.execute(f"SELECT id, vector FROM '{file}'").fetchall()
        assert [row[0] for row in rows] == ids
        assert np.array([row[1] for row in rows], np.float16).tobytes() == vectors.tobytes()


def test_columns_of_images(store: Store, tmp_path: Path) -> None:
    export_store(store, tmp_path / "out")
    frame = pd.read_parquet(tmp_path / "out" / "images.parquet").set_index("path")
    row = frame.loc["3.jpg"]
    assert row["place"] == str(tmp_path / "photos" / "3.jpg")
    assert row["root"] == str(tmp_path / "photos")
    assert (row["title"], row["id_field"], row["camera"]) == ("T", "7", "X100")
    assert dict(row["tags"]) == {"cat": 0.3}
    images = tmp_path / "out" / "images.parquet"
    query = f"SELECT path FROM '{images}' WHERE tags['cat'] > 0.25 AND title IS NULL"
    assert duckdb.execute(query).fetchall() == [("4.jpg",)]
    regions = pd.read_parquet(tmp_path / "out" / "regions.parquet")
    assert regions.columns.tolist() == ["region_id", "image_id", "x0", "y0", "x1", "y1"]
    assert len(regions) == 10


def test_arrays(store: Store, tmp_path: Path) -> None:
    report = export_store(store, tmp_path / "out", format="numpy", kinds=["region"])
    assert report.rows == {"regions": 10, "region": 10}
    ids, vectors = stored(store, "region")
    folder = tmp_path / "out"
    assert np.load(folder / "vectors-region.ids.npy").tolist() == ids
    assert np.load(folder / "vectors-region.npy", mmap_mode="r").tobytes() == vectors.tobytes()
    assert np.load(folder / "regions.ids.npy").tolist() == ids
    assert np.load(folder / "regions.npy").shape == (10, 4)
    assert not (folder / "vectors-conv.npy").exists()
    frame = pd.read_json(folder / "images.jsonl", lines=True)
    assert frame["path"].tolist() == [f"{i}.jpg" for i in (0, 2, 4, 1, 3)]  # in the order of ids


def test_the_manifest(store: Store, tmp_path: Path) -> None:
    export_store(store, tmp_path / "out", where="name:3*")
    values = json.loads((tmp_path / "out" / "export.json").read_text("utf-8"))
    assert values["fingerprint"] == store.spec.fingerprint
    assert values["roots"][1]["path"] == "s3://bucket/more photos"
    assert (values["images"], values["where"]) == (1, "name:3*")
    assert values["cbir"][0].isdigit()


def test_a_store_without_images(tmp_path: Path) -> None:
    empty = fill(tmp_path / ".cbir", [])
    for format in get_args(ExportFormat):
        assert export_store(empty, tmp_path / format, format=format).images == 0
    assert len(pd.read_parquet(tmp_path / "parquet" / "images.parquet")) == 0
    empty.close()


def test_nothing_is_replaced_but_an_empty_folder(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    export_store(store, Path())
    monkeypatch.chdir(tmp_path)
    before = sorted((tmp_path / "out").iterdir())
    (tmp_path / "file").touch()
    for taken in ("out", "file"):
        with pytest.raises(ExportError, match="exists already"):
            export_store(store, tmp_path / taken)
    assert sorted((tmp_path / "out").iterdir()) == before


def test_what_cannot_be_chosen(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no nose vectors"):
        export_store(store, tmp_path / "out", kinds=["nose"])
    with pytest.raises(InvalidFilterError):
        export_store(store, tmp_path / "out", where="nose>5")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", get_args(ExportFormat))
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(errno.ENOSPC, "No space left on device"), ExportError),
    ],
)
def test_an_export_that_ends_early_leaves_nothing(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format: ExportFormat,
    fault: BaseException,
    error: type[BaseException],
) -> None:
    monkeypatch.setattr(write, "STEP_IMAGES", 2)
    before = sorted(tmp_path.iterdir())

    def fail(step: str, done: int, total: int, *, failed: int = 0) -> None:
        del step, total, failed  # the signature is that of `Progress`
        if done:
            raise fault

    with pytest.raises(error):
        export_store(store, tmp_path / "new", format=format, progress=fail)
    assert sorted(tmp_path.iterdir()) == before


def test_a_store_that_changes_meanwhile(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "STEP_IMAGES", 2)

    def change(step: str, done: int, total: int, *, failed: int = 0) -> None:
        del step, failed  # the signature is that of `Progress`
        if done == total:
            other = Store.open(tmp_path / ".cbir")
            with other.writing():
                other.index_type = "exact"
            other.close()

    with pytest.raises(StoreChangedError):
        export_store(store, tmp_path / "out", progress=change)
    assert not (tmp_path / "out").exists()


def test_names_of_columns() -> None:
    fields = ["title", "ID", "id_field", "Tags", "tags_field"]
    columns = column_names(fields)
    assert columns["title"] == "title"
    assert columns["ID"] == "ID_field_"
    lowered = [name.lower() for name in columns.values()]
    assert len(set(lowered)) == len(fields)
    assert not {"id", "tags"} & set(lowered)


def test_an_export_of_somebody_elses_store_is_not_vouched_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.catalog.transaction() as change:
        change.change_root(2, path="photos of theirs")  # below their own folder
    export_store(store, tmp_path / "mine")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "of another account"))
    opened = Store.open(tmp_path / ".cbir")
    export_store(opened, tmp_path / "theirs")
    opened.close()
    seals = [
        json.loads((tmp_path / name / "export.json").read_text("utf-8"))["seal"]
        for name in ("mine", "theirs")
    ]
    assert seals[0]
    assert seals[1] == ""
