"""`cbir eval retrieval`, from a labelled collection to figures, answers and a page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from indexer.store.catalog.sqlite_reader import SqliteReader
from retrieval.engine import SearchEngine
from tests.ui.conftest import Album

Run = Callable[..., Result]
FIGURES = [
    *("name", "queries", "unanswered", "mAP", "precision@10", "recall@10", "hit@1"),
    *("located", "box_iou", "box_iou>=0.5", "pointing"),
]


@pytest.fixture
def measure(album: Album, cbir: Run) -> Run:
    return lambda *arguments: cbir("eval", "retrieval", *arguments, "--store", album.store)


@pytest.fixture
def manifest(album: Album, tmp_path: Path) -> Path:
    """Four queries: one that finds, one that finds late, one that is no image, one of nothing."""
    names = [f"{name}.jpg" for name in ("chelsea", "coffee", "rocket")]
    queries: list[dict[str, Any]] = [
        {"id": "cat", "image": names[0], "box": [0, 0, 300, 200], "positives": names[:1]},
        {"id": "<b>cup", "image": names[1], "box": None, "positives": names[2:]},
        {"id": "list", "image": "shopping list.jpg", "positives": names[1:2]},
        {"id": "none", "image": names[0], "positives": []},
    ]
    boxes = {names[0]: [[0, 0, 320, 240]]}
    data = {"name": "album", "images": str(album.photos), "database": names, "boxes": boxes}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(data | {"queries": queries}), "utf-8")
    return path


def lines(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_figures_in_json(measure: Run, manifest: Path) -> None:
    done = measure(manifest, "--search", "region", "--json")
    [row] = lines(done)
    assert list(row)[: len(FIGURES)] == FIGURES
    assert (row["name"], row["queries"], row["unanswered"]) == ("album", 3, 1)
    assert (row["without_positives"], row["protocol"]) == (1, None)
    assert row["mAP"] in (round((1 + 1 / 2) / 3, 4), round((1 + 1 / 3) / 3, 4))
    assert (row["hit@1"], row["hit@10"]) == (round(1 / 3, 4), round(2 / 3, 4))
    assert row["mAP_low"] <= row["mAP"] <= row["mAP_high"]
    assert row["located"] == 1
    assert row["pointing"] == 1.0
    assert (row["search"], row["verify"], row["k"]) == ("region", False, None)
    assert "Query list: " in done.stderr
    assert "not a readable image" in done.stderr


def test_a_line_for_each_query(measure: Run, manifest: Path) -> None:
    *queries, row = lines(measure(manifest, "--json", "--per-query"))
    assert [query["id"] for query in queries] == ["cat", "<b>cup", "list"]
    assert queries[0] == {
        "id": "cat",
        "average_precision": 1.0,
        "first_right_rank": 1,
        "positives": 1,
        "found": 1,
        "answered": True,
        "protocol": None,
    }
    assert (queries[2]["answered"], queries[2]["first_right_rank"]) == (False, None)
    mean = sum(query["average_precision"] for query in queries) / 3
    assert row["mAP"] == pytest.approx(mean, abs=1e-4)


def test_the_answers_are_written(measure: Run, manifest: Path, album: Album) -> None:
    file = manifest.parent / "out" / "hits.jsonl"
    lines(measure(manifest, "--json", "--search", "region", "--hits", file))
    answers = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [answer["id"] for answer in answers] == ["cat", "<b>cup"]
    assert [len(answer["hits"]) for answer in answers] == [3, 3]  # no camera: not in the database
    first = answers[0]["hits"][0]
    assert set(first) == {"path", "score", "box"}
    assert first["path"] == str(album.photos / "chelsea.jpg")
    assert len(first["box"]) == 4
    lines(measure(manifest, "--json", "-k", 1, "--hits", file))
    assert [len(json.loads(line)["hits"]) for line in file.read_text("utf-8").splitlines()] == [
        1,
        1,
    ]


def test_a_table(measure: Run, manifest: Path) -> None:
    done = measure(manifest, "--search", "region")
    assert done.exit_code == 0
    assert "album · 3 queries · region search by conv" in done.stdout
    assert re.search(r"\d+\.\d–\d+\.\d", done.stdout)
    assert "pointing" in done.stdout
    assert "unanswered queries, which count as 0: 1" in done.stdout
    assert "pointing" not in measure(manifest, "--search", "image").stdout


def test_a_page_of_failures(measure: Run, manifest: Path) -> None:
    page = manifest.parent / "out" / "worst.html"
    done = measure(manifest, "--json", "--search", "region", "--html", page)
    lines(done)
    assert str(page) in done.stderr
    text = page.read_text("utf-8")
    assert "<b>cup" not in text
    assert text.index("list: average precision 0.000") < text.index("&lt;b&gt;cup: average")
    assert "cat: average" not in text  # it has no failure
    assert "It could not be answered." in text
    assert "not returned" in text
    assert ("✓" in text, "✗" in text) == (True, True)
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', text)
    assert len(sources) > 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    lines(measure(manifest, "--json", "--html", page, "--failures", 1))
    assert page.read_text("utf-8").count("<article>") == 1


def test_every_nth_query(measure: Run, manifest: Path) -> None:
    *queries, row = lines(measure(manifest, "--json", "--per-query", "--every", 2))
    assert [query["id"] for query in queries] == ["cat", "list"]
    assert row["queries"] == 2


def test_protocols_have_a_row_each(measure: Run, tmp_path: Path, album: Album) -> None:
    truth = {"bbx": [0, 0, 400.5, 400.5], "easy": [0], "hard": [1], "junk": []}
    data = {"imlist": ["chelsea", "coffee", "rocket"], "qimlist": ["chelsea"], "gnd": [truth]}
    path = tmp_path / "gnd_mine.json"
    path.write_text(json.dumps(data), "utf-8")
    rows = lines(measure(path, "--images", album.photos, "--json"))
    assert [(row["protocol"], row["queries"]) for row in rows] == [
        ("easy", 1),
        ("medium", 1),
        ("hard", 1),
    ]
    assert rows[0]["mAP"] == 1.0
    chosen = measure(path, "--images", album.photos, "--protocol", "hard", "--protocol", "easy")
    assert "hard" in chosen.stdout
    assert "medium" not in chosen.stdout
    truth["easy"] = []
    path.write_text(json.dumps(data), "utf-8")
    page = tmp_path / "page.html"
    easy, *_ = lines(measure(path, "--images", album.photos, "--json", "--html", page))
    assert (easy["queries"], easy["mAP"], easy["without_positives"]) == (0, None, 1)
    assert "No query has a right image." in page.read_text("utf-8")
    assert measure(path, "--images", album.photos).exit_code == 0


def test_groups_in_a_csv_file(measure: Run, tmp_path: Path, album: Album) -> None:
    file = tmp_path / "groups.csv"
    file.write_text(
        "image,group,x0,y0,x1,y1\nchelsea.jpg,a,0,0,999.5,999\ncoffee.jpg,a,,,,\nrocket.jpg,b,,,,\n",
        "utf-8",
    )
    [row] = lines(measure(file, "--images", album.photos, "--json", "--search", "image"))
    assert (row["name"], row["queries"], row["unanswered"]) == ("groups", 2, 0)


def test_images_that_are_not_in_the_store(measure: Run, manifest: Path) -> None:
    data = json.loads(manifest.read_text("utf-8"))
    manifest.write_text(json.dumps(data | {"database": [*data["database"], "new.jpg"]}), "utf-8")
    done = measure(manifest, "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert re.search(r"^Error: 1 of the 4 images of album .*new\.jpg.*cbir index ", done.stderr)


def test_what_is_odd_but_no_reason_to_stop(measure: Run, manifest: Path) -> None:
    data = json.loads(manifest.read_text("utf-8"))
    data["database"].append("shopping list.jpg")
    data["queries"][0]["positives"].append("lost.jpg")
    manifest.write_text(json.dumps(data), "utf-8")
    done = measure(manifest, "--json")
    lines(done)
    assert "1 of the database's images could not be indexed, such as shopping list" in done.stderr
    assert "1 of the positives of album cannot be found, such as lost.jpg: not" in done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        *(("-k", "0"), ("-k", "many"), ("--every", "0"), ("--per-query",)),
        *(("--protocol", "harder"), ("--search", "nothing"), ("--failures", "0")),
    ],
)
def test_options_that_make_no_sense(measure: Run, manifest: Path, wrong: tuple[str, ...]) -> None:
    done = measure(manifest, *wrong)
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize("option", ["--hits", "--html"])
def test_a_place_that_cannot_be_written_is_told_first(
    measure: Run, manifest: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SearchEngine, "search_many", None)  # it must not come so far
    done = measure(manifest, option, manifest.parent)
    assert done.exit_code == 1
    assert re.match(rf"Error: {manifest.parent} cannot be written", done.stderr)


@pytest.mark.parametrize("text", ["", "{}", '{"imlist": [], "gnd": 7}'])
def test_a_collection_that_is_not_valid(measure: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text, "utf-8")
    done = measure(path)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {path}")


def test_a_file_that_is_not_there(measure: Run, tmp_path: Path) -> None:
    for name in ("none.json", "none.csv", "none.pkl", "none"):
        done = measure(tmp_path / name)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith(f"Error: {tmp_path / name}")


def test_ctrl_c(measure: Run, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SearchEngine, "search_many", stop)
    done = measure(manifest, "--json")
    assert (done.exit_code, done.stdout) == (130, "")
    assert "Stopped. Not all queries were asked" in done.stderr


def test_the_store_is_only_read(measure: Run, manifest: Path, album: Album) -> None:
    def state() -> dict[Path, int]:
        files = (path for path in album.store.rglob("*") if path.is_file())
        notes = (".sqlite-shm", ".sqlite-wal")  # SQLite makes them for readers, too
        times = {path: path.stat().st_mtime_ns for path in files if path.suffix not in notes}
        return times | {album.store: SqliteReader(album.store / "catalog.sqlite").commits()}

    before = state()
    lines(measure(manifest, "--json", "--html", manifest.parent / "page.html"))
    assert state() == before


def test_what_the_queries_are_compared_with(measure: Run, manifest: Path) -> None:
    [row] = lines(measure(manifest, "--json"))
    assert row["search"] == "image, region"  # one query has a box
    done = measure(manifest, "--search", "image", "--rerank")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: Re-ranking needs a search of regions")
