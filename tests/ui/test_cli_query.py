from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from indexer import memory
from indexer.memory import holds_few_pages
from tests.pictures import RED, plain
from tests.ui.conftest import Album
from ui.cli import app

Run = Callable[..., Result]


@pytest.fixture
def ask(album: Album, cbir: Run) -> Run:
    return lambda *arguments: cbir("query", "--store", album.store, *arguments)


def lines(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


FIELDS = {
    *("rank", "image_id", "path", "score", "confidence", "verdict"),
    *("box", "quad", "inliers", "mirrored", "inverted", "missing"),
}


def test_an_answer_in_json(ask: Run, album: Album) -> None:
    path = album.photos / "chelsea.jpg"
    done = ask(path, "--json", "-k", 2)
    assert (done.exit_code, done.stderr) == (0, "")
    [answer] = lines(done)
    assert answer["query"] == {"path": str(path), "box": None}
    assert answer["search"] == "image"
    assert answer["elapsed_s"] > 0
    assert [set(hit) for hit in answer["hits"]] == [FIELDS] * 2
    first = answer["hits"][0]
    assert (first["rank"], first["path"], first["box"]) == (1, str(path), None)
    assert first["score"] >= 0.999


def test_a_box_in_json(ask: Run, album: Album) -> None:
    [answer] = lines(ask(album.photos / "coffee.jpg", "--box", "10,20,200,220", "--json"))
    assert answer["query"]["box"] == [10, 20, 200, 220]
    assert answer["hits"][0]["path"].endswith("coffee.jpg")


@pytest.mark.parametrize(("k", "count"), [(0, 4), (1, 1), (50, 4)])
def test_how_many(ask: Run, album: Album, k: int, count: int) -> None:
    [answer] = lines(ask(album.photos / "rocket.jpg", "-k", k, "--json", "--feature", "fc"))
    assert len(answer["hits"]) == count


def test_a_table(ask: Run, album: Album) -> None:
    done = ask(album.photos / "chelsea.jpg")
    assert done.exit_code == 0
    assert "1.000" in done.stdout
    assert "chelsea.jpg" in done.stdout.replace("\n", "").replace(" ", "")


def test_csv(ask: Run, album: Album) -> None:
    rows = list(csv.DictReader(io.StringIO(ask(album.photos / "rocket.jpg", "--csv").stdout)))
    columns = ["rank", "image_id", "path", "score", "confidence", "verdict", "box", "inliers"]
    assert list(rows[0]) == columns
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0]["path"] == str(album.photos / "rocket.jpg")


def write_batch(folder: Path, *queries: object) -> Path:
    path = folder / "queries.jsonl"
    path.write_text("\n".join(json.dumps(q, ensure_ascii=False) for q in queries), "utf-8")
    return path


def test_a_batch_is_answered_in_order(ask: Run, album: Album, tmp_path: Path) -> None:
    names = ["rocket", "chelsea", "coffee", "chelsea"]
    queries: list[dict[str, object]] = [
        {"id": str(i), "image": str(album.photos / f"{name}.jpg"), "box": None}
        for i, name in enumerate(names)
    ]
    queries[2]["box"] = [0, 0, 200, 200]
    done = ask("--batch", write_batch(tmp_path, *queries), "-k", 1)
    assert done.exit_code == 0
    answers = lines(done)
    assert [answer["id"] for answer in answers] == ["0", "1", "2", "3"]
    assert [Path(answer["hits"][0]["path"]).stem for answer in answers] == names
    assert set(answers[0]["hits"][0]) == FIELDS


def test_a_re_ranked_batch_holds_few_pages_of_files(
    ask: Run, album: Album, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_FEW_PAGES", Event())
    image = str(album.photos / "rocket.jpg")
    assert ask(image).exit_code == 0
    assert not holds_few_pages()
    batch = write_batch(tmp_path, {"id": "0", "image": image})
    assert ask("--batch", batch, "--search", "region").exit_code == 0
    assert not holds_few_pages()
    assert ask("--batch", batch, "--search", "region", "--rerank").exit_code == 0
    assert holds_few_pages()


def test_a_bad_image_in_a_batch_stops_nothing(ask: Run, album: Album, tmp_path: Path) -> None:
    good = str(album.photos / "rocket.jpg")
    batch = write_batch(
        tmp_path,
        {"id": "bad", "image": str(album.photos / "shopping list.jpg")},
        {"id": "outside", "image": good, "box": [0, 0, 9999, 9999]},
        {"id": "good", "image": good},
    )
    done = ask("--batch", batch, "-k", 1)
    assert done.exit_code == 1
    bad, outside, last = lines(done)
    assert (bad["id"], bad["hits"]) == ("bad", [])
    assert "not a readable image" in bad["error"]
    assert "320 × 240" in outside["error"]
    assert last["hits"][0]["path"] == good
    assert "2 queries" in done.stderr
    table = list(csv.DictReader(io.StringIO(ask("--batch", batch, "--csv").stdout)))
    assert {row["query"] for row in table} == {"good"}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"id": "1"}',
        '{"id": "1", "image": 5}',
        '{"id": "1", "image": null}',
        '{"id": "1", "image": "IMAGE", "box": {"x": 1}}',
        '{"id": "1", "image": "IMAGE", "box": 7}',
        '{"id": "1", "image": "IMAGE", "box": []}',
        '{"id": "1", "image": "IMAGE", "box": [1, 2, 3]}',
        b"\xff\xfe{}",
    ],
)
def test_a_line_that_is_no_query(ask: Run, album: Album, tmp_path: Path, line: str | bytes) -> None:
    text = line if isinstance(line, bytes) else line.encode()
    path = json.dumps(str(album.photos / "rocket.jpg")).strip('"').encode()
    (tmp_path / "queries.jsonl").write_bytes(text.replace(b"IMAGE", path))
    done = ask("--batch", tmp_path / "queries.jsonl")
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)  # no traceback
    assert done.stderr


def test_any_character_may_stand_in_a_name(ask: Run, album: Album, tmp_path: Path) -> None:
    odd = tmp_path / "line\u2028separator.jpg"
    shutil.copy(album.photos / "rocket.jpg", odd)
    done = ask("--batch", write_batch(tmp_path, {"id": "1", "image": str(odd)}))
    assert done.exit_code == 0
    assert lines(done)[0]["hits"][0]["path"].endswith("rocket.jpg")


def test_montage_and_page(ask: Run, album: Album, tmp_path: Path) -> None:
    sheet, page = tmp_path / "out" / "sheet.png", tmp_path / "out" / "page.html"
    done = ask(album.photos / "coffee.jpg", "--montage", sheet, "--html", page, "--json")
    assert done.exit_code == 0
    assert len(lines(done)) == 1
    with Image.open(sheet) as image:
        assert image.width > 1000
    html = page.read_text("utf-8")
    images = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert len(images) == 5
    for encoded in images:
        Image.open(io.BytesIO(base64.b64decode(encoded))).load()
    # Nothing is fetched from anywhere.
    assert not re.search(r'(src|href)="(?!data:)|url\(|@import|<script', html)


def test_a_page_escapes_names(ask: Run, album: Album, tmp_path: Path) -> None:
    odd = tmp_path / '<b>&"x.jpg'
    shutil.copy(album.photos / "coffee.jpg", odd)
    assert ask(odd, "--html", tmp_path / "page.html").exit_code == 0
    html = (tmp_path / "page.html").read_text("utf-8")
    assert "<b>" not in html
    assert "&lt;b&gt;&amp;&#34;x.jpg" in html


@pytest.mark.parametrize("option", ["--montage", "--html"])
def test_results_that_cannot_be_written(
    ask: Run, album: Album, tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    suffix = "png" if option == "--montage" else "html"
    done = ask(album.photos / "coffee.jpg", option, tmp_path / "file" / f"out.{suffix}")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["PHOTOS/nowhere.jpg"], "no such file"),
        (["PHOTOS/shopping list.jpg"], "not a readable image"),
        (["PHOTOS"], "folder"),
        (["PHOTOS/rocket.jpg", "--box", "1,2,3"], "X0,Y0,X1,Y1"),
        (["PHOTOS/rocket.jpg", "--box", "0,0,999,10"], "320 × 240"),
        (["--batch", "PHOTOS/nowhere.jsonl"], "cannot be read"),
        (["PHOTOS/rocket.jpg", "--store", "PHOTOS"], "no store at"),
    ],
)
def test_faults_are_one_line_and_exit_1(
    ask: Run, album: Album, arguments: list[str], said: str
) -> None:
    done = ask(*(a.replace("PHOTOS", str(album.photos)) for a in arguments))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.jpg", "--batch", "b.jsonl"],
        ["--batch", "b.jsonl", "--box", "0,0,1,1"],
        ["--batch", "b.jsonl", "--html", "x.html"],
        ["a.jpg", "-k", "-1"],
        ["a.jpg", "--feature", "colour"],
        ["a.jpg", "--montage", "sheet.xyz"],
        ["a.jpg", "--engine", "gpu"],
    ],
)
def test_wrong_usage_exits_2(ask: Run, arguments: list[str]) -> None:
    done = ask(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")


def test_a_proved_hit_comes_first_with_its_outline(ask: Run, album: Album, tmp_path: Path) -> None:
    with Image.open(album.photos / "chelsea.jpg") as image:
        image.rotate(90, expand=True).save(tmp_path / "turned.png")
        width, height = image.size
    [answer] = lines(ask(tmp_path / "turned.png", "--verify", "--json"))
    first = answer["hits"][0]
    assert first["path"] == str(album.photos / "chelsea.jpg")
    assert (first["verdict"], first["confidence"], first["mirrored"]) == (
        "same picture",
        1.0,
        False,
    )
    assert first["inliers"] >= 10
    # Its own upper left corner was the photo's upper right one.
    for (x, y), expected in zip(
        first["quad"], [(width, 0), (width, height), (0, height), (0, 0)], strict=True
    ):
        assert abs(x - expected[0]) < 5
        assert abs(y - expected[1]) < 5
    shown = ask(tmp_path / "turned.png", "--verify").stdout
    assert "same picture" in shown
    assert "points" in shown


def test_a_store_with_keypoints_verifies_by_default(
    cbir: Run, album: Album, tmp_path: Path
) -> None:
    store = tmp_path / ".cbir"
    cbir("index", album.photos, "--store", store, "--keypoints")
    photo = album.photos / "chelsea.jpg"
    with Image.open(photo) as image:
        image.resize((300, 200)).save(tmp_path / "small.png")
    [answer] = lines(cbir("query", tmp_path / "small.png", "--store", store, "--json"))
    assert answer["hits"][0]["inliers"]
    [plain] = lines(
        cbir("query", tmp_path / "small.png", "--store", store, "--json", "--no-verify")
    )
    assert not any(hit["inliers"] for hit in plain["hits"])


# --- other ways to ask --------------------------------------------------------------------------


def test_a_batch_with_a_byte_order_mark_and_fractional_boxes(
    ask: Run, album: Album, tmp_path: Path
) -> None:
    image = str(album.photos / "coffee.jpg")
    batch = tmp_path / "queries.jsonl"
    queries = [{"id": "1", "image": image, "box": box} for box in ([10.4, 20, 110.2, 120.9], None)]
    batch.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(map(json.dumps, queries)).encode())
    done = ask("--batch", batch, "-k", 1)
    assert (done.exit_code, done.stderr) == (0, "")
    assert all(line["hits"][0]["path"] == image for line in lines(done))


def test_a_batch_in_csv_gives_what_json_lines_give(ask: Run, album: Album, tmp_path: Path) -> None:
    images = [str(album.photos / name) for name in ("coffee.jpg", "rocket.jpg")]
    as_json = [
        {"id": "a", "image": images[0], "box": [10, 20, 110, 120]},
        {"id": "b", "image": images[1], "box": None},
    ]
    table = tmp_path / "queries.csv"
    table.write_text(f'id,image,box\na,{images[0]},"10,20,110,120"\nb,{images[1]},\n', "utf-8")
    expected = lines(ask("--batch", write_batch(tmp_path, *as_json), "-k", 2))
    assert lines(ask("--batch", table, "-k", 2)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,place\na,b\n", "neither JSON lines"),
        ("id,image\n1,a.jpg,extra\n", "Line 2 of"),
        ("id,image\n1,\n", "Line 2 of"),
    ],
)
def test_a_csv_that_is_no_batch(ask: Run, tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "queries.csv"
    table.write_text(text, "utf-8")
    done = ask("--batch", table)
    assert done.exit_code == 1
    assert message in done.stderr


def test_an_image_and_a_batch_from_standard_input(album: Album, ask: Run) -> None:
    path = album.photos / "coffee.jpg"
    [by_path] = lines(ask(path, "--json"))
    store = ["--store", str(album.store)]
    image = path.read_bytes()
    [by_stdin] = lines(CliRunner().invoke(app, ["query", "-", "--json", *store], input=image))
    assert by_stdin["query"] == {"path": "-", "box": None}
    assert by_stdin["hits"] == by_path["hits"]
    query = json.dumps({"id": "1", "image": str(path)}).encode()
    done = CliRunner().invoke(app, ["query", "--batch", "-", *store], input=query)
    assert lines(done)[0]["hits"] == by_path["hits"]


def test_a_query_over_the_limit(ask: Run, album: Album) -> None:
    done = ask(album.photos / "coffee.jpg", "--max-megapixels", 0.01)
    assert done.exit_code == 1
    assert "--max-megapixels" in done.stderr


def test_a_damaged_query_is_refused_or_taken(ask: Run, album: Album, tmp_path: Path) -> None:
    data = (album.photos / "coffee.jpg").read_bytes()
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(data[: len(data) * 9 // 10])
    refused = ask(cut)
    assert refused.exit_code == 1
    assert "is truncated; --damaged take" in refused.stderr
    [answer] = lines(ask(cut, "--damaged", "take", "--json"))
    assert answer["hits"][0]["path"].endswith("coffee.jpg")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux only")
def test_csv_keeps_every_byte_of_a_name(here: Path, cbir: Run) -> None:
    path = here / "photos" / os.fsdecode(b"caf\xe9 \xf0\x9f\x90\x88.png")
    plain(path, RED)
    assert cbir("index", "photos").exit_code == 0
    done = cbir("query", path, "--csv")
    assert done.exit_code == 0
    assert os.fsencode(path) in done.stdout_bytes


def test_boxes_are_whole_in_a_narrow_table(
    ask: Run, album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    image = album.photos / "coffee.jpg"
    asked = (image, "--box", "10,20,200,220", "-k", 2)
    [answer] = lines(ask(*asked, "--json"))
    table = ask(*asked).stdout
    for hit in answer["hits"]:
        assert ",".join(map(str, hit["box"])) in table
