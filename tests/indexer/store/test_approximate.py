"""The inverted lists: as good as they say, scored exactly, and the same every time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.errors import StoreCorruptError
from indexer.store.approximate import (
    BALANCED_ROWS,
    COMPACT_ROWS,
    RECIPES,
    ApproximateIndex,
    Form,
    _steps,
    choose_form,
    describe_lists,
    make_questions,
    nearest_rows,
)
from indexer.store.faiss_runtime import faiss
from indexer.store.segments import FloatArray, IdArray, Rows
from tests.clusters import DIMENSION, ROWS, clustered, segment, trained

LISTED: tuple[Form, ...] = ("balanced", "compact")
QUERIES = clustered(seed=2, rows=50)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows([segment(1, ROWS // 2), segment(1001, ROWS // 2, seed=3)])


@pytest.fixture(scope="module", params=LISTED)
def lists(rows: Rows, request: pytest.FixtureRequest) -> ApproximateIndex:
    return trained(rows, request.param)


def everything(rows: Rows) -> FloatArray:
    return rows.take(np.arange(len(rows)))


def best(rows: Rows, query: FloatArray, k: int) -> IdArray:
    order: IdArray = np.argsort(-(everything(rows) @ query), kind="stable")[:k]
    return order


def answers(lists: ApproximateIndex, rows: Rows, k: int = 10) -> list[tuple[IdArray, FloatArray]]:
    return [lists.search(rows, query, k, None) for query in QUERIES]


def test_the_recall_aimed_at_is_reached(lists: ApproximateIndex, rows: Rows) -> None:
    assert len(lists) == len(rows)
    assert 1 <= lists.nprobe <= lists.index.nlist
    assert lists.recall >= RECIPES[lists.form].recall or lists.nprobe == lists.index.nlist


def test_the_recall_holds_for_other_questions(lists: ApproximateIndex, rows: Rows) -> None:
    found = answers(lists, rows)
    pairs = zip(found, QUERIES, strict=True)
    shares = [len(np.intersect1d(ids, best(rows, query, 10))) / 10 for (ids, _), query in pairs]
    assert np.mean(shares) >= RECIPES[lists.form].recall - 0.05


def test_no_fewer_lists_would_reach_it(
    lists: ApproximateIndex, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = _steps(lists.index.nlist)
    fewer = steps[steps.index(lists.nprobe) - 1]
    assert fewer < lists.nprobe
    monkeypatch.setattr("indexer.store.approximate._steps", lambda _: [fewer])
    monkeypatch.setattr("indexer.store.approximate.HELD_OUT", 64)
    other = ApproximateIndex(lists.index, lists.form)
    other.calibrate(rows)
    assert other.recall < RECIPES[lists.form].recall


def test_scores_are_those_of_the_stored_vectors(lists: ApproximateIndex, rows: Rows) -> None:
    stored = everything(rows)
    for (found, scores), query in zip(answers(lists, rows, 30), QUERIES, strict=True):
        assert len(found) == len(np.unique(found)) == 30
        assert found.min() >= 0
        assert (np.diff(scores) <= 0).all()
        np.testing.assert_allclose(scores, stored[found] @ query, atol=2e-3)


def test_the_first_is_found_by_itself(lists: ApproximateIndex, rows: Rows) -> None:
    for row in range(0, ROWS, 500):
        found, _ = lists.search(rows, rows.take(np.array([row]))[0], 1, None)
        assert found.tolist() == [row]


@pytest.mark.parametrize("kept", [0, 3, 1000])
def test_only_the_rows_to_keep_are_found(lists: ApproximateIndex, rows: Rows, kept: int) -> None:
    keep = np.zeros(len(rows), bool)
    keep[np.random.default_rng(5).choice(len(rows), kept, replace=False)] = True
    for query in QUERIES[:5]:
        found, scores = lists.search(rows, query, 20, keep)
        assert len(found) == len(scores) <= min(20, kept)
        assert keep[found].all()


def test_more_than_there_are(lists: ApproximateIndex, rows: Rows) -> None:
    found, _ = lists.search(rows, QUERIES[0], 2 * len(rows), None)
    assert 0 < len(found) <= len(rows)
    assert len(np.unique(found)) == len(found)


def test_extending_again_adds_only_what_is_new(rows: Rows) -> None:
    index = ApproximateIndex.train_cells(rows, "balanced")
    index.train_codes(rows)
    index.extend(Rows(rows.segments[:1]))
    assert len(index) == ROWS // 2
    for _ in range(2):
        index.extend(rows)
        assert len(index) == ROWS
    index.nprobe = index.index.nlist
    found, _ = index.search(rows, QUERIES[0], 10, None)
    assert set(found.tolist()) == set(best(rows, QUERIES[0], 10).tolist())


def test_threads_sleep_between_searches() -> None:
    code = "import os; import indexer.store.vectors; print(os.environ['OMP_WAIT_POLICY'])"
    chosen = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    for given, expected in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env=chosen | given,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.strip() == expected


def same(ones: list[tuple[IdArray, FloatArray]], others: list[tuple[IdArray, FloatArray]]) -> None:
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_the_same_rows_make_the_same_lists(lists: ApproximateIndex, rows: Rows) -> None:
    again = trained(rows, lists.form)
    assert (again.nprobe, again.recall) == (lists.nprobe, lists.recall)
    same(answers(again, rows), answers(lists, rows))


def test_threads_that_share_a_query_find_what_one_finds(
    lists: ApproximateIndex, rows: Rows
) -> None:
    shared = answers(lists, rows)
    mode, lists.index.parallel_mode = lists.index.parallel_mode, 0
    alone = answers(lists, rows)
    lists.index.parallel_mode = mode
    assert mode != 0
    same(shared, alone)


@pytest.mark.parametrize("to_extend", [False, True])
def test_write_then_read(
    lists: ApproximateIndex, rows: Rows, tmp_path: Path, to_extend: bool
) -> None:
    path = tmp_path / "a.faiss"
    lists.write(path)
    read = ApproximateIndex.read(path, lists.form, lists.nprobe, lists.recall, to_extend=to_extend)
    assert len(read) == len(lists)
    same(answers(read, rows), answers(lists, rows))


def test_what_was_read_can_be_extended(lists: ApproximateIndex, rows: Rows, tmp_path: Path) -> None:
    lists.write(tmp_path / "a.faiss")
    read = ApproximateIndex.read(
        tmp_path / "a.faiss", lists.form, lists.nprobe, lists.recall, to_extend=True
    )
    more = Rows([*rows.segments, segment(9000, 10, seed=7)])
    read.extend(more)
    found, _ = read.search(more, more.take(np.array([ROWS + 4]))[0], 1, None)
    assert found.tolist() == [ROWS + 4]


def test_a_removed_file_stays_readable_while_it_is_open(
    lists: ApproximateIndex, rows: Rows, tmp_path: Path
) -> None:
    lists.write(tmp_path / "a.faiss")
    read = ApproximateIndex.read(tmp_path / "a.faiss", lists.form, lists.nprobe, lists.recall)
    (tmp_path / "a.faiss").unlink()
    same(answers(read, rows), answers(lists, rows))


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def behead(path: Path) -> None:
    path.write_bytes(path.read_bytes()[100:])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("to_extend", [False, True])
@pytest.mark.parametrize("harm", [halve, shorten, behead, empty, Path.unlink])
def test_a_damaged_file_is_named_with_a_remedy(
    lists: ApproximateIndex, tmp_path: Path, harm: Any, to_extend: bool
) -> None:
    path = tmp_path / "a.faiss"
    lists.write(path)
    harm(path)
    with pytest.raises(StoreCorruptError, match=r"a\.faiss.*cbir optimize"):
        ApproximateIndex.read(path, lists.form, 1, 1.0, to_extend=to_extend)


# --- what is chosen, and of what size ------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "form"),
    [
        (0, "exact"),
        (BALANCED_ROWS - 1, "exact"),
        (BALANCED_ROWS, "balanced"),
        (COMPACT_ROWS - 1, "balanced"),
        (COMPACT_ROWS, "compact"),
    ],
)
def test_the_form_suits_the_number_of_rows(rows: int, form: Form) -> None:
    assert choose_form(rows) == form


@pytest.mark.parametrize(
    ("form", "dimension", "most"),
    [
        *(("balanced", dimension, 300) for dimension in (256, 384)),
        *(("compact", dimension, 80) for dimension in (256, 384, 512, 1000, 1280)),
        *(("balanced", dimension, dimension) for dimension in (512, 1000, 1280)),
    ],
)
def test_codes_are_small(form: Form, dimension: int, most: int) -> None:
    index: Any = faiss.index_factory(
        dimension, describe_lists(form, dimension, 10**6), faiss.METRIC_INNER_PRODUCT
    )
    assert 16 <= index.code_size <= most


@pytest.mark.parametrize("rows", [0, 1, 39, 40, 1000, 60_000, 10**6, 10**9])
def test_every_list_has_rows_to_be_trained_on(rows: int) -> None:
    name = describe_lists("balanced", DIMENSION, rows)
    lists = int(name.split(",")[0].removeprefix("IVF"))
    assert 1 <= lists <= 4096
    assert lists == 1 or lists * 40 <= rows


# --- the questions, and the truth ---------------------------------------------------------------


def test_questions_are_unit_vectors_that_are_not_stored() -> None:
    vectors = clustered(1, 200)
    questions = make_questions(vectors)
    assert questions.shape == vectors.shape
    np.testing.assert_allclose(np.linalg.norm(questions, axis=1), 1, atol=1e-5)
    assert (questions @ vectors.T).max() < 0.99
    np.testing.assert_array_equal(questions, make_questions(vectors))


def test_the_truth_leaves_out_the_own_image(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.store.segments.CHUNK_ROWS", 700)
    asked = np.array([0, 2995, 3000, ROWS - 1])
    own = np.array([rows.span_of_image(i) for i in rows.image_ids[asked].tolist()])
    found = nearest_rows(rows, rows.take(asked), own, 10)
    scores = rows.take(asked) @ everything(rows).T
    for part, (start, stop) in zip(scores, own.tolist(), strict=True):
        part[start:stop] = -2
    np.testing.assert_array_equal(found, np.argsort(-scores, axis=1, kind="stable")[:, :10])
