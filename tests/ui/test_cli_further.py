"""`cbir query` with several images: --also and --not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from indexer.errors import InvalidQueryError
from tests.ui.conftest import Album
from ui.cli.answering import read_weights
from ui.further import UNLIKE

Run = Callable[..., Result]


@pytest.fixture
def ask(album: Album, cbir: Run) -> Run:
    return lambda *arguments: cbir("query", "--store", album.store, *arguments)


def order(done: Result) -> list[str]:
    assert done.exit_code == 0, done.output
    return [Path(hit["path"]).stem for hit in json.loads(done.stdout)["hits"]]


def test_what_is_like_both_comes_first_and_what_is_unlike_last(ask: Run, album: Album) -> None:
    cat, cup = album.photos / "chelsea.jpg", album.photos / "coffee.jpg"
    alone = order(ask(cat, "--json", "-k", 0))
    both = order(ask(cat, "--also", cup, "--json", "-k", 0))
    assert set(both[:2]) == {"chelsea", "coffee"}
    unlike = order(ask(cat, "--not", f"{cup}@1", "--json", "-k", 0))
    assert unlike[-1] == "coffee"
    assert sorted(alone) == sorted(both) == sorted(unlike)


def test_a_batch_asks_with_them_too(ask: Run, album: Album, tmp_path: Path) -> None:
    cat, cup = album.photos / "chelsea.jpg", album.photos / "coffee.jpg"
    (tmp_path / "batch.csv").write_text(f"id,image\n1,{cat}\n2,{cup}\n", "utf-8")
    done = ask("--batch", tmp_path / "batch.csv", "--also", cup, "-k", 0)
    first = json.loads(done.stdout.splitlines()[0])["hits"]
    one = json.loads(ask(cat, "--also", cup, "--json", "-k", 0).stdout)["hits"]
    assert [hit["score"] for hit in first] == [hit["score"] for hit in one]


def test_faults_are_told(ask: Run, album: Album) -> None:
    cat = album.photos / "chelsea.jpg"
    for arguments, why in (
        (("--also", "nowhere.jpg"), "nowhere.jpg"),
        (("--not", f"{cat}@1"), "cancel each other out"),
        (("--not", f"{cat}@-1"), "is a number above 0, not -1"),
    ):
        done = ask(cat, *arguments)
        assert done.exit_code == 1
        assert why in done.stderr


def test_weights(tmp_path: Path, album: Album) -> None:
    odd = tmp_path / "me@2.5"
    shutil.copy(album.photos / "coffee.jpg", odd)
    given = ["a.jpg", "b.jpg@0.25", "c@home.jpg", str(odd)]
    assert read_weights(given, 1.0) == [
        ("a.jpg", 1.0),
        ("b.jpg", 0.25),
        ("c@home.jpg", 1.0),
        (str(odd), 1.0),
    ]
    assert read_weights(["a", "b@2"], -UNLIKE) == [("a", -0.5), ("b", -2.0)]
    for weight in ("0", "-1", "nan", "inf"):
        with pytest.raises(InvalidQueryError, match="above 0"):
            read_weights([f"a@{weight}"], 1.0)


def test_a_word_beside_a_picture_and_both_features(ask: Run, album: Album) -> None:
    cat = album.photos / "chelsea.jpg"
    alone = order(ask(cat, "--json", "-k", 0))
    assert alone.index("coffee") > 1
    asked = (cat, "--also-text", "espresso", "-k", 0)
    done = ask(*asked, "--json")
    assert order(done).index("coffee") < alone.index("coffee")
    assert json.loads(done.stdout)["scores"] == "reciprocal ranks"
    assert "espresso" in done.stderr
    table = " ".join(ask(*asked).stdout.split())
    assert "image search by conv + espresso" in table
    assert "1 is first in all rankings" in table
    both = ask(cat, "--feature", "conv", "--feature", "fc", "--json", "-k", 0)
    assert order(both)[0] == "chelsea"
    assert sorted(order(both)) == sorted(alone)
    assert json.loads(both.stdout)["hits"][0]["score"] == 1.0
    assert "scores" not in json.loads(ask(cat, "--json").stdout)


def test_rankings_in_a_batch_and_with_a_box(ask: Run, album: Album, tmp_path: Path) -> None:
    cat, cup = album.photos / "chelsea.jpg", album.photos / "coffee.jpg"
    (tmp_path / "batch.csv").write_text(
        f'id,image,box\n1,{cat},\n2,{cup},"40,40,240,200"\n', "utf-8"
    )
    options = ("--feature", "conv", "--feature", "fc", "--also", cup, "--also-text", "espresso")
    done = ask("--batch", tmp_path / "batch.csv", *options, "-k", 0)
    first, second = (json.loads(line)["hits"] for line in done.stdout.splitlines())
    assert first == json.loads(ask(cat, *options, "--json", "-k", 0).stdout)["hits"]
    assert Path(second[0]["path"]).stem == "coffee"
    assert second[0]["box"] is not None


def test_combinations_that_are_refused(ask: Run, album: Album) -> None:
    cat = album.photos / "chelsea.jpg"
    for arguments, code, why in (
        (("--text", "espresso", "--also", cat), 2, "a word beside it is --also-text"),
        (("--text", "espresso", "--feature", "conv", "--feature", "fc"), 2, "go with an image"),
        ((cat, "--also-text", "espresso", "--min-confidence", 0.5), 1, "have no confidence"),
        ((cat, "--feature", "conv", "--feature", "fc", "--rerank"), 1, "Re-ranking compares"),
        ((cat, "--also-text", "qwertz"), 1, "qwertz"),
        ((cat, "--also-text", "espresso@0"), 1, "above 0"),
    ):
        done = ask(*arguments)
        assert done.exit_code == code, (arguments, done.output)
        assert why in " ".join(done.stderr.replace("│", " ").split())
