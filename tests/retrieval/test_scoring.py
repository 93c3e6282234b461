"""The figures of retrieval, against hand-computed ones and a plain restatement of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from indexer.features.regions import Region
from retrieval.evaluation.manifest import Manifest, ManifestQuery
from retrieval.evaluation.metrics import average_precision, bootstrap_interval
from retrieval.evaluation.scoring import score_answers, score_protocols
from retrieval.query import Hit

FOLDER = Path("/photos")
NAMES = [f"{letter}.jpg" for letter in "abcdefghijklmnop"]
Boxes = dict[str, list[Region]]


def asked(
    query_id: str, positives: str, junk: str = "", boxes: Boxes | None = None
) -> ManifestQuery:
    files = [frozenset(f"{letter}.jpg" for letter in letters) for letters in (positives, junk)]
    return ManifestQuery(query_id, FOLDER / "q.jpg", None, files[0], files[1], boxes)


def manifest(*queries: ManifestQuery, boxes: Boxes | None = None, **fields: Any) -> Manifest:
    return Manifest("made", FOLDER, NAMES, list(queries), boxes or {}, **fields)


def hits(letters: str, boxes: dict[str, Region] | None = None) -> list[Hit]:
    return [
        Hit(rank, rank, FOLDER / f"{letter}.jpg", 1 / rank, (boxes or {}).get(letter))
        for rank, letter in enumerate(letters, 1)
    ]


def figures(found: str, query: ManifestQuery) -> dict[str, Any]:
    return score_answers(manifest(query), {query.id: hits(found)}).as_dict()


# --- by hand ---------------------------------------------------------------------------------


def test_a_ranking_by_hand() -> None:
    row = figures("axbcyz", asked("q", "abp"))  # x, y and z are no database entries
    assert row["mAP"] == round((1 + 1) / 3, 4)  # a and b are 1 and 2, p is not found
    row = figures("dabc", asked("q", "ab"))
    assert row["mAP"] == round((1 / 2 + 2 / 3) / 2, 4)
    assert (row["precision@10"], row["recall@10"]) == (0.2, 1.0)
    assert (row["hit@1"], row["hit@10"], row["N-S"]) == (0.0, 1.0, 2.0)


def test_junk_is_taken_out_of_the_ranking() -> None:
    assert figures("jdja", asked("q", "a", "j"))["mAP"] == 0.5
    assert figures("ja", asked("q", "a", "j"))["hit@1"] == 1.0
    assert figures("ja", asked("q", "aj", "j"))["mAP"] == 0.5  # it is both: never found


def test_an_entry_counts_once() -> None:
    row = figures("daab", asked("q", "ab"))
    assert row["mAP"] == round((1 / 2 + 2 / 3) / 2, 4)
    assert row["precision@10"] == 0.2


def test_a_query_without_an_answer_counts_as_nothing() -> None:
    collection = manifest(asked("1", "a"), asked("2", "b"), asked("3", "c"))
    scores = score_answers(collection, {"1": hits("a"), "2": []})
    row = scores.as_dict()
    assert (row["queries"], row["unanswered"], row["mAP"]) == (3, 1, round(1 / 3, 4))
    assert [query.answered for query in scores.queries] == [True, True, False]


def test_a_query_without_positives_is_left_out() -> None:
    scores = score_answers(manifest(asked("1", "a"), asked("2", "")), {"1": hits("a"), "2": []})
    row = scores.as_dict()
    assert (row["queries"], row["unanswered"], row["without_positives"]) == (1, 0, 1)
    assert (row["mAP"], scores.left_out) == (1.0, ("2",))
    empty = score_answers(manifest(asked("1", "")), {}).as_dict()
    assert (empty["queries"], empty["mAP"], empty["mAP_low"]) == (0, None, None)


def test_boxes_by_hand() -> None:
    truths = {
        "a.jpg": [Region(0, 0, 10, 10), Region(20, 20, 40, 40)],
        "b.jpg": [Region(0, 0, 4, 4)],
    }
    boxes = {"a": Region(20, 20, 40, 30), "b": Region(2, 2, 12, 12), "d": Region(0, 0, 1, 1)}
    given = manifest(asked("q", "abc"), boxes=truths)
    row = score_answers(given, {"q": hits("adbc", boxes)}).as_dict()
    assert row["located"] == 2  # c has no box, and d is wrong
    assert row["box_iou"] == round((200 / 400 + 4 / (100 + 16 - 4)) / 2, 4)
    assert row["box_iou>=0.5"] == 0.5
    assert row["pointing"] == 0.5  # b's centre, 7, 7, is outside


def test_boxes_of_a_query_go_before_those_of_the_manifest() -> None:
    own = {"a.jpg": [Region(0, 0, 10, 10)]}
    given = manifest(asked("q", "a", boxes=own), boxes={"a.jpg": [Region(50, 50, 60, 60)]})
    answer = {"q": hits("a", {"a": Region(0, 0, 10, 10)})}
    assert score_answers(given, answer).as_dict()["box_iou"] == 1.0
    none = manifest(asked("q", "a", boxes={}), boxes=own)
    assert score_answers(none, answer).as_dict()["box_iou"] is None


def test_protocols_share_the_answers() -> None:
    easy = manifest(asked("q", "a", "b"), protocol="easy")
    hard = manifest(asked("q", "b", "a"), protocol="hard")
    rows = [s.as_dict() for s in score_protocols([easy, hard], iter([("q", hits("adb"))]))]
    assert [(row["protocol"], row["mAP"]) for row in rows] == [("easy", 1.0), ("hard", 0.5)]


def test_an_entry_is_what_a_path_ends_with() -> None:
    given = Manifest("made", FOLDER, ["x/a.jpg", "a.jpg"], [], {})
    assert given.find_entry(Path("/photos/a.jpg")) == "a.jpg"
    assert given.find_entry(Path("/elsewhere/x/a.jpg")) == "x/a.jpg"
    assert given.find_entry(Path("/photos/ba.jpg")) is None


def test_the_worst_come_first() -> None:
    collection = manifest(asked("good", "a"), asked("poor", "b"), asked("none", "c"))
    answers = {"good": hits("a"), "poor": hits("ab"), "none": hits("a")}
    scores = score_answers(collection, answers)
    assert [query.query.id for query in scores.worst(5)] == ["none", "poor"]
    assert [query.query.id for query in scores.worst(1)] == ["none"]
    assert scores.queries[1].as_dict() == {
        "id": "poor",
        "average_precision": 0.5,
        "first_right_rank": 2,
        "positives": 1,
        "found": 1,
        "answered": True,
    }


def test_an_interval_holds_the_mean_and_is_repeatable() -> None:
    values = [0.0, 1.0] * 50
    low, high = bootstrap_interval(values)
    assert (low, high) == bootstrap_interval(values)
    assert 0.35 < low < 0.45 < 0.55 < high < 0.65  # 0.5 ± 1.96 · 0.5 / √100
    assert bootstrap_interval([0.25]) == (0.25, 0.25)
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval([])


# --- against a restatement of the definitions ------------------------------------------------


def restated(given: Manifest, answers: dict[str, list[Hit]]) -> dict[str, float | None]:
    """The figures in the plainest way: sets, counts and sums, no code of the project."""
    sums: dict[str, list[float]] = {
        name: [] for name in ("mAP", "precision@10", "recall@10", "hit@1")
    }
    ious: list[float] = []
    pointing: list[float] = []
    for query in given.queries:
        ranking: list[tuple[str, Region | None]] = []
        for hit in answers.get(query.id, []):
            entry = hit.path.name
            known = entry in set(given.database) - query.junk
            if known and entry not in [e for e, _ in ranking]:
                ranking.append((entry, hit.region))
        right = [entry in query.positives for entry, _ in ranking]
        total = len(query.positives)
        sums["mAP"].append(
            sum(sum(right[: i + 1]) / (i + 1) for i in range(len(right)) if right[i]) / total
        )
        sums["precision@10"].append(sum(right[:10]) / 10)
        sums["recall@10"].append(sum(right[:10]) / total)
        sums["hit@1"].append(float(right[:1] == [True]))
        truths = given.boxes if query.boxes is None else query.boxes
        for (entry, box), is_right in zip(ranking[:10], right[:10], strict=True):
            if is_right and box and truths.get(entry):
                ious.append(max(overlap(box, truth) for truth in truths[entry]))
                pointing.append(any(contains(t, box) for t in truths[entry]))
    means = {name: sum(values) / len(values) for name, values in sums.items()}
    located = len(ious)
    return means | {
        "queries": len(given.queries),
        "unanswered": sum(query.id not in answers for query in given.queries),
        "located": located,
        "box_iou": sum(ious) / located if located else None,
        "box_iou>=0.5": sum(v >= 0.5 for v in ious) / located if located else None,
        "pointing": sum(pointing) / located if located else None,
    }


def pixels(box: Region) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box.x0, box.x1) for y in range(box.y0, box.y1)}


def overlap(a: Region, b: Region) -> float:
    return len(pixels(a) & pixels(b)) / len(pixels(a) | pixels(b))


def contains(truth: Region, box: Region) -> bool:
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return truth.x0 <= x < truth.x1 and truth.y0 <= y < truth.y1


def some_box(chance: random.Random) -> Region:
    x, y = chance.randrange(12), chance.randrange(12)
    return Region(x, y, x + chance.randint(1, 8), y + chance.randint(1, 8))


def some_boxes(chance: random.Random) -> Boxes:
    names = chance.sample(NAMES, 9)
    return {name: [some_box(chance) for _ in range(chance.randint(1, 3))] for name in names}


def some_query(chance: random.Random, number: int) -> ManifestQuery:
    files = chance.sample(NAMES, 9)
    count = chance.randint(1, 6)
    own = some_boxes(chance) if chance.random() < 0.3 else None
    return ManifestQuery(
        f"q{number}",
        FOLDER / "q.jpg",
        None,
        frozenset([*files[:count], *(["lost.jpg"] if chance.random() < 0.2 else [])]),
        frozenset(files[count:][: chance.randint(0, 3)]),
        own,
    )


def some_answer(chance: random.Random) -> list[Hit]:
    """Entries, some of them twice and tied, and strangers, with and without boxes."""
    names = chance.choices([*NAMES, "stranger.jpg"], k=chance.randint(0, 30))
    return [
        Hit(
            rank,
            rank,
            FOLDER / name,
            chance.choice((0.5, 0.6)),
            some_box(chance) if chance.random() < 0.7 else None,
        )
        for rank, name in enumerate(names, 1)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_random_answers_score_as_restated(seed: int) -> None:
    chance = random.Random(seed)
    queries = [some_query(chance, number) for number in range(chance.randint(1, 12))]
    given = manifest(*queries, boxes=some_boxes(chance))
    answers = {q.id: some_answer(chance) for q in queries if chance.random() < 0.9}
    row = score_answers(given, answers).as_dict()
    for name, wanted in restated(given, answers).items():
        assert row[name] == (None if wanted is None else pytest.approx(wanted, abs=5.1e-5)), name
    exact = sum(q.average_precision for q in score_answers(given, answers).queries) / len(queries)
    assert exact == pytest.approx(restated(given, answers)["mAP"], abs=1e-9)


def test_the_average_precision_is_that_of_the_metrics() -> None:
    query = score_answers(manifest(asked("q", "abc")), {"q": hits("adbec")}).queries[0]
    assert query.average_precision == average_precision([True, False, True, False, True], 3)
