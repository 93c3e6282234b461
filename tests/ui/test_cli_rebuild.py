"""`cbir index --rebuild`: what is deleted first, and what a store is built again from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.pictures import BLUE, GREEN, RED, plain

Run = Callable[..., Result]


@pytest.fixture
def held(here: Path, cbir: Run) -> Path:
    """A store of two folders, of one of which a file is left out, and of a file given by name."""
    plain(here / "one" / "a.png", RED)
    plain(here / "one" / "draft.png", GREEN)
    plain(here / "two" / "b.png", BLUE)
    plain(here / "three" / "c.png", GREEN)
    plain(here / "three" / "other.png", RED)
    for arguments in (("one", "--exclude", "draft*"), ("two",), ("three/c.png",)):
        done = cbir("index", *arguments, "--regions", "none")
        assert done.exit_code == 0, done.output
    return here


def images(cbir: Run) -> int:
    return int(json.loads(cbir("info", "--json").stdout)["images"])


def report(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.usefixtures("held")
def test_without_photos_it_holds_again_what_it_held(cbir: Run) -> None:
    found = report(cbir("index", "--rebuild", "--pooling", "mac", "--regions", "none", "--json"))
    assert (found["added"], found["failed"]) == (3, [])
    again = report(cbir("index", "--json"))  # folders are read as before
    assert (again["added"], again["unchanged"], again["removed"]) == (0, 3, 0)


def test_with_photos_it_says_what_is_left_out(held: Path, cbir: Run) -> None:
    done = cbir("index", "one", "--rebuild", "--regions", "none", "--json")
    assert report(done)["added"] == 2
    assert f"also held photos of {held / 'two'}" in done.stderr
    assert str(held / "one") not in done.stderr
    assert images(cbir) == 2


@pytest.mark.usefixtures("held")
def test_nothing_is_deleted_for_photos_that_are_not_there(cbir: Run) -> None:
    done = cbir("index", "one", "onee", "--rebuild")
    assert done.exit_code == 1
    assert "There is no file or folder onee. Nothing was deleted." in done.stderr
    assert images(cbir) == 3


def test_nothing_is_deleted_where_a_folder_is_gone(held: Path, cbir: Run) -> None:
    (held / "two").rename(held / "elsewhere")
    done = cbir("index", "--rebuild")
    assert done.exit_code == 1
    assert f"There is no file or folder {held / 'two'}. Nothing was deleted." in done.stderr
    assert images(cbir) == 3


def test_nothing_is_deleted_where_nothing_is_known(here: Path, cbir: Run) -> None:
    (here / ".cbir" / "vectors").mkdir(parents=True)
    (here / ".cbir" / "catalog.sqlite").write_bytes(b"This is not a database. " * 100)
    done = cbir("index", "--rebuild")
    assert done.exit_code == 1
    assert "cbir index PHOTOS --rebuild. Nothing was deleted." in done.stderr
    assert (here / ".cbir" / "catalog.sqlite").is_file()


@pytest.mark.usefixtures("held")
def test_settings_stay_where_no_option_says_otherwise(cbir: Run) -> None:
    cbir("index", "--rebuild", "--pooling", "mac", "--index", "compact", "--keypoints")
    again = cbir("index", "--rebuild", "--size", "256")
    assert again.exit_code == 0, again.output
    found = json.loads(cbir("info", "--json").stdout)
    spec = found["spec"]
    assert (spec["pooling"], spec["regions"], spec["size_px"]) == ("mac", "none", 256)
    assert found["index_type"] == "compact"


@pytest.mark.usefixtures("held")
def test_nothing_is_deleted_for_settings_that_are_out_of_range(cbir: Run) -> None:
    done = cbir("index", "--rebuild", "--gem-p", "0")
    assert done.exit_code == 1
    assert "GeM needs an exponent" in done.stderr
    assert images(cbir) == 3


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    "server",
    [
        ("--catalog", "postgresql://me:secret@127.0.0.1:1/photos"),
        ("--vectors", "milvus://127.0.0.1:1"),
        ("--catalog", "mysql://127.0.0.1/photos"),
    ],
)
def test_nothing_is_deleted_for_a_server_that_is_not_there(
    cbir: Run, server: tuple[str, str]
) -> None:
    done = cbir("index", "--rebuild", *server)
    assert done.exit_code == 1
    assert "Nothing was deleted." in done.stderr
    assert images(cbir) == 3


def test_what_people_said_stays(held: Path, cbir: Run) -> None:
    table = held / "table.csv"
    table.write_text("path,title\none/a.png,sunset\ntwo/b.png,sea\n", "utf-8")
    assert cbir("annotate", table).exit_code == 0
    done = cbir("index", "one", "--rebuild", "--pooling", "mac", "--json")
    report(done)
    assert "Taken over from the store before: fields of 1 photo" in done.stderr
    assert "fields of 1 photo not in the store" in " ".join(done.stderr.split())
    found = cbir("query", "one/a.png", "--where", "title:sunset", "--json")
    assert [Path(hit["path"]).name for hit in json.loads(found.stdout)["hits"]] == ["a.png"]
    back = cbir("index", "two", "--json")
    assert "Taken over" in back.stderr
    assert not (held / ".cbir" / "user-data.json").exists()
