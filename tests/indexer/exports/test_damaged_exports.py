"""An export that is damaged, or made to harm, is refused, and nothing is written."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest

from indexer.choices import ExportFormat
from indexer.errors import CbirError, ExportError, StoreError, UntrustedStoreError
from indexer.exports.write import export_store
from indexer.images.facts import ImageFacts
from indexer.store.records import Entry, FileState
from tests.exporting import (
    change_array,
    change_column,
    change_manifest,
    change_table,
    forge,
    merged,
)
from tests.random_stores import features, fill


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of three images, exported to Parquet and to NumPy."""
    folder = tmp_path_factory.mktemp("exports")
    facts = ImageFacts(640, 480, "JPEG", None, None)
    filling = [
        (
            Entry(FileState(1, f"{i}.jpg", 1, 1, bytes(32)), facts, features(facts, i, 2)),
            {"title": "x"},
            {"cat": 0.5},
        )
        for i in range(3)
    ]
    store = fill(folder / "store", filling)
    for format in get_args(ExportFormat):
        export_store(store, folder / format, format=format)
    store.close()
    return folder


def refused(place: Path, export: Path, match: str, error: type[CbirError] = ExportError) -> None:
    """Merging an export is refused, and there is no store, nor anything else, afterwards."""
    before = sorted(place.iterdir())
    with pytest.raises(error, match=match), merged(place / "whole", export):
        pass
    assert sorted(place.iterdir()) == before


@pytest.fixture(autouse=True)
def _trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos in a bucket are allowed: what is wrong besides is to be told."""
    monkeypatch.setenv("CBIR_TRUST", "1")


@pytest.fixture
def parquet(exports: Path, tmp_path: Path) -> Path:
    shutil.copytree(exports / "parquet", tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def numpy(exports: Path, tmp_path: Path) -> Path:
    shutil.copytree(exports / "numpy", tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("format", ["parquet", "numpy"])
def test_missing_truncated_and_changed_files(format: str, exports: Path, tmp_path: Path) -> None:
    names = sorted(file.name for file in (exports / format).iterdir())
    names.remove("export.json")
    export = tmp_path / "out"
    for name in names:
        shutil.copytree(exports / format, export, dirs_exist_ok=True)
        data = (export / name).read_bytes()
        (export / name).unlink()
        refused(tmp_path, export, f"{name} is missing")
        (export / name).write_bytes(data[: len(data) // 2])
        refused(tmp_path, export, rf"{name} has [\d,]+ bytes, not")
        (export / name).write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
        refused(tmp_path, export, f"{name} was changed")


def test_links_are_not_followed(parquet: Path, tmp_path: Path) -> None:
    (parquet / "images.parquet").rename(tmp_path / "elsewhere.parquet")
    (parquet / "images.parquet").symlink_to(tmp_path / "elsewhere.parquet")
    refused(tmp_path, parquet, "is a link", StoreError)


@pytest.mark.parametrize("name", ["images.parquet", "vectors-conv.parquet", "regions.parquet"])
def test_truncated_parquet_whose_checksum_fits(parquet: Path, tmp_path: Path, name: str) -> None:
    data = (parquet / name).read_bytes()
    for kept in (data[:-20], data[:50] + bytes(100) + data[150:], b"PAR1", b""):
        (parquet / name).write_bytes(kept)
        forge(parquet)
        refused(tmp_path, parquet, "cannot be used: ")


def as_type(value_type: pa.DataType, width: int) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        flat = pa.array(np.ones(len(table) * width, value_type.to_pandas_dtype()))
        column = pa.FixedSizeListArray.from_arrays(flat, width)
        return table.set_column(2, "vector", column)

    return change


def test_wrong_types_and_dimensions_of_parquet(parquet: Path, tmp_path: Path) -> None:
    file = parquet / "vectors-conv.parquet"
    for value_type, width in ((pa.float32(), 6), (pa.float16(), 7)):
        change_table(file, as_type(value_type, width))
        refused(tmp_path, parquet, r"column vector of vectors-conv.parquet is .*, not .*halffloat")
    change_table(file, lambda table: table.drop_columns("id"))
    refused(tmp_path, parquet, "has the columns image_id, vector, not id, image_id, vector")


def set_first(value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [value, *values[1:]]


UNIT = np.float16(6**-0.5)


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("id", 7, "ids of the conv vectors"),
        ("image_id", 2, "ids of the conv vectors"),
        ("image_id", -1, "not in the order"),
        ("image_id", 3, "not in the order"),
        ("id", None, "empty cells"),
        ("vector", None, "empty cells"),
        ("vector", [UNIT] * 5 + [None], "empty cells"),
        ("vector", [UNIT] * 5 + [np.float16("nan")], "no numbers"),
        ("vector", [UNIT] * 5 + [np.float16("inf")], "no numbers"),
        ("vector", [UNIT * 2] * 6, "length is not 1"),
        ("vector", [np.float16(0)] * 6, "length is not 1"),
    ],
)
def test_vectors_that_no_store_has(
    parquet: Path, tmp_path: Path, column: str, value: Any, match: str
) -> None:
    change_column(parquet / "vectors-conv.parquet", column, set_first(value))
    refused(tmp_path, parquet, match)


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("id", 2, "do not ascend"),
        ("id", -1, "do not ascend|ids of"),
        ("root_id", 9, "9 for root_id"),
        ("path", "../../secret.jpg", r"\.\./\.\./secret\.jpg' for path"),
        ("path", "/etc/passwd", "for path"),
        ("path", "1.jpg", "two images have the path"),
        ("path", None, "None for path"),
        ("content_hash", "xyz", "for content_hash"),
        ("content_hash", "00", "for content_hash"),
        ("state", "great", "'great' for state"),
        ("state", "failed", "for reason"),
        ("state", "blank", "ids of the conv vectors|images that have none"),
        ("width", None, "None for width"),
        ("width", 1, "region that is not inside it"),
        ("tags", [("dog", 0.5)], "'dog', which is no concept"),
        ("tags", [("cat", 1.5)], "for tags"),
        ("tags", None, "cannot be read|for tags"),
    ],
)
def test_images_that_no_store_has(
    parquet: Path, tmp_path: Path, column: str, value: Any, match: str
) -> None:
    change_column(parquet / "images.parquet", column, set_first(value))
    refused(tmp_path, parquet, match)


def test_rows_too_many_and_too_few(parquet: Path, tmp_path: Path) -> None:
    for name, match in (
        ("vectors-region.parquet", "ids of the region vectors"),
        ("regions.parquet", "ids of the region"),
        ("vectors-fc.parquet", "ids of the fc vectors"),
        ("images.parquet", "has rows of images that there are not|has 2 images, not 3"),
    ):
        data = (parquet / name).read_bytes()
        change_table(parquet / name, lambda table: table.slice(0, len(table) - 1))
        refused(tmp_path, parquet, match)
        (parquet / name).write_bytes(data)
        forge(parquet)


def test_arrays_that_are_none(numpy: Path, tmp_path: Path) -> None:
    file = numpy / "vectors-conv.npy"
    change_array(file, lambda array: array.astype(np.float32))
    refused(tmp_path, numpy, r"vectors-conv.npy is an array of <f4 .* not of <f2")
    change_array(file, lambda array: array[:, :5].astype(np.float16))
    refused(tmp_path, numpy, "shape 3, 5, not")
    change_array(file, lambda _: np.asfortranarray(np.ones((3, 6), np.float16)))
    refused(tmp_path, numpy, "Fortran")
    change_array(file, lambda _: np.full((3, 6), np.nan, np.float16))
    refused(tmp_path, numpy, "no numbers")
    np.save(file, np.ones((3, 6), np.float16))
    file.write_bytes(file.read_bytes()[:-2])
    forge(numpy)
    refused(tmp_path, numpy, "vectors-conv.npy has 162 bytes, not 164")
    file.write_bytes(b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 15 + b"\n")
    forge(numpy)
    refused(tmp_path, numpy, "is no array as NumPy writes it")


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


def test_nothing_is_unpickled(numpy: Path, tmp_path: Path) -> None:
    file = numpy / "vectors-conv.npy"
    np.save(file, np.array([Harmful(tmp_path / "harm")] * 3, object), allow_pickle=True)
    forge(numpy)
    refused(tmp_path, numpy, "array of .O|is no array as NumPy")
    file.write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    forge(numpy)
    refused(tmp_path, numpy, "is no array as NumPy writes it")


def test_lines_that_are_no_images(numpy: Path, tmp_path: Path) -> None:
    file = numpy / "images.jsonl"
    first, *others = file.read_text("utf-8").splitlines()
    for line in (
        "",
        "[]",
        "{}",
        "[" * 100_000,
        first[:-1],
        first.replace('"title": "x"', '"title": 5'),
    ):
        file.write_text("\n".join([line, *others, ""]), "utf-8")
        forge(numpy)
        refused(tmp_path, numpy, "is no image|for id|for title")
    record = json.loads(first) | {"taken_at": "yesterday"}
    file.write_text("\n".join([json.dumps(record), *others, ""]), "utf-8")
    forge(numpy)
    refused(tmp_path, numpy, "yesterday")
    record = json.loads(first) | {"path": "\ud800"}
    file.write_text("\n".join([json.dumps(record), *others, ""]), "utf-8")
    forge(numpy)
    refused(tmp_path, numpy, "for path")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "something else"),
        ("version", 2),
        ("fingerprint", "0"),
        ("format", "pickle"),
        ("spec", {}),
        ("spec", None),
        ("images", -1),
        ("images", True),
        ("tables", {"../conv": {"rows": 3, "dimension": 6}}),
        ("tables", {"conv": {"rows": 3, "dimension": 0}}),
        ("tables", {"conv": {"rows": 3, "dimension": 6}}),
        ("tables", {}),
        ("roots", [{"id": 1}]),
        ("roots", [{"id": 1, "path": "x", "options": "[", "skipped": "{}"}]),
        ("fields", {"title": "path"}),
        ("concepts", {"cat": 5}),
        ("decisions", [[1, 2]]),
        ("decisions", [[1, 1, "keep"]]),
        ("decisions", [[1, 2, "delete"]]),
        ("decisions", [[1, 99, "keep"]]),
        ("files", {}),
        ("files", {"../x": {"bytes": 1, "sha256": ""}}),
    ],
)
def test_manifests_that_are_none(parquet: Path, tmp_path: Path, name: str, value: Any) -> None:
    change_manifest(parquet, lambda values: values.update({name: value}))
    refused(tmp_path, parquet, "export", CbirError)


def test_a_manifest_that_is_no_json(parquet: Path, tmp_path: Path) -> None:
    for text in ("", "{", "[]", "5", "[" * 100_000):
        (parquet / "export.json").write_text(text, "utf-8")
        refused(tmp_path, parquet, "not what cbir export writes")
    (parquet / "export.json").unlink()
    refused(tmp_path, parquet, "neither a store nor an exported folder", StoreError)


def test_photos_outside_the_folder_of_somebody_elses_export(
    parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one of this account no more once it was changed, or taken to another one."""

    def move(values: dict[str, Any]) -> None:
        values["roots"][0]["path"] = "/home/somebody"
        del values["roots"][1]

    change_manifest(parquet, move)
    monkeypatch.delenv("CBIR_TRUST")
    refused(tmp_path, parquet, "the export at .*/home/somebody.*--trust", UntrustedStoreError)
    monkeypatch.setenv("CBIR_TRUST", "1")
    with merged(tmp_path / "whole", parquet) as (whole, report):
        assert (report.added, whole.is_foreign) == (3, False)
