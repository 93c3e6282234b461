"""`cbir annotate`, and what filters and hits make of it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.sample import SAMPLE

Run = Callable[..., Result]
NAMES = ("cat-1.jpg", "cat-2.jpg", "coffee-1.jpg", "rocket-1.jpg")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, cbir: Run, _own_folders: None) -> Path:
    folder = tmp_path_factory.mktemp("shelf") / "photos"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(SAMPLE / "images" / name, folder / name)
    done = cbir("index", folder, "--store", folder.parent / ".cbir", "--regions", "none")
    assert done.exit_code == 0, done.output
    table = "path,SKU,price\ncat-1.jpg,A-1,9.50\ncat-2.jpg,A-2,12\nrocket-1.jpg,R 1,\nno.jpg,,\n"
    (folder / "table.csv").write_text(table, "utf-8")
    return folder


@pytest.fixture(scope="module")
def run(photos: Path, cbir: Run) -> Run:
    return lambda *arguments: cbir(*arguments, "--store", photos.parent / ".cbir")


@pytest.fixture
def annotated(photos: Path, run: Run) -> Result:
    done = run("annotate", photos / "table.csv")
    assert done.exit_code == 0, done.output
    return done


def test_what_a_table_did_is_told(annotated: Result, photos: Path, run: Run) -> None:
    assert annotated.stdout == "3 photos have SKU, price from the table.\n"
    assert "1 rows are of no photo in the store:\n  line 5: no.jpg\n" in annotated.stderr
    done = run("annotate", photos / "table.csv", "--only", "sku", "--json")
    assert json.loads(done.stdout) == {
        "fields": ["SKU"],
        "images": 3,
        "repeated": 0,
        "unknown": [{"line": 5, "path": "no.jpg"}],
        "ambiguous": [],
    }


@pytest.mark.usefixtures("annotated")
def test_filters_and_hits_know_it(photos: Path, run: Run) -> None:
    done = run("query", photos / "cat-1.jpg", "--where", "price<20 and sku:A*", "--json")
    hits = json.loads(done.stdout)["hits"]
    assert [(Path(hit["path"]).name, hit["annotations"]) for hit in hits] == [
        ("cat-1.jpg", {"SKU": "A-1", "price": "9.50"}),
        ("cat-2.jpg", {"SKU": "A-2", "price": "12"}),
    ]
    done = run("query", photos / "rocket-1.jpg", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert rows[0]["SKU"] == "R 1"
    assert {row["price"] for row in rows} == {"9.50", "12", ""}
    done = run("query", photos / "rocket-1.jpg", "--where", "sku:r*")
    assert "SKU: R 1" in done.stdout


@pytest.mark.usefixtures("annotated")
@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("prize<20", "no field 'prize'"),
        ("price<", "ends too early"),
        ("width>wide", "a number, not with 'wide'"),
    ],
)
def test_a_filter_without_sense_is_told(photos: Path, run: Run, where: str, why: str) -> None:
    done = run("query", photos / "cat-1.jpg", "--where", where)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert why in done.stderr


@pytest.mark.usefixtures("annotated")
def test_no_photo_meets_it(photos: Path, run: Run) -> None:
    done = run("query", photos / "cat-1.jpg", "--where", "price>1000")
    assert done.exit_code == 0
    assert "No image meets the filter." in done.stderr


@pytest.mark.usefixtures("annotated")
def test_a_field_is_forgotten(photos: Path, run: Run) -> None:
    done = run("annotate", "--remove", "sku")
    assert done.stdout == "Forgotten: sku.\n"
    done = run("query", photos / "cat-1.jpg", "--where", "sku:a")
    assert "no field 'sku'" in done.stderr
    done = run("annotate", "--remove", "sku")
    assert done.exit_code == 1
    assert "no field 'sku'; there are price" in done.stderr


def test_usage(photos: Path, run: Run) -> None:
    assert run("annotate").exit_code == 2
    assert run("annotate", photos / "table.csv", "--remove", "sku").exit_code == 2
