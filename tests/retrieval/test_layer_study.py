"""Tasks, settings and the recommendation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.errors import InvalidLabelsError
from indexer.features.spec import FeatureSpec
from retrieval.evaluation.datasets import find_tasks
from retrieval.evaluation.judging import Judgement
from retrieval.evaluation.layer_study import (
    Grid,
    LayerStudy,
    Recommendation,
    Setting,
    SettingResult,
    default_setting,
    recommend,
    whiten,
)
from retrieval.evaluation.manifest import Manifest
from retrieval.evaluation.tap_features import Crop
from retrieval.evaluation.tasks import ClassificationTask, RetrievalTask, split_halves
from tests.labelled import clouds, labelled
from tests.pictures import plain, shades
from ui.layer_report import recommendation_text, setting_row, write_spec

DEFAULT = default_setting()
STAGE6 = Setting(DEFAULT.backbone, "stage6", "gem", 448, is_whitened=False)


def judged(figure: float, spread: float = 0.5, seed: int = 0) -> Judgement:
    samples = figure + spread * np.random.default_rng(seed).normal(size=300)
    return Judgement(figure, samples, None)


def result(setting: Setting, chosen: float, held_out: float, seed: int = 0) -> SettingResult:
    return SettingResult(
        setting, "retrieval", "mAP", 8, judged(chosen), judged(held_out, seed=seed)
    )


def test_a_setting_is_recommended_for_what_it_does_on_the_other_half() -> None:
    found = recommend([result(DEFAULT, 50, 50), result(STAGE6, 60, 58, 1)], "retrieval")
    assert found.is_better
    assert found.gain == pytest.approx(8)
    assert found.low < 8 < found.high
    assert "stage6 gem 448 px, +8.0 points of mAP" in recommendation_text(found)


@pytest.mark.parametrize("held_out", [40.0, 50.2])
def test_a_setting_that_does_not_hold_up_is_not_recommended(held_out: float) -> None:
    found = recommend([result(DEFAULT, 50, 50), result(STAGE6, 60, held_out, 1)], "retrieval")
    assert not found.is_better
    assert recommendation_text(found).startswith("None beats the default")


def test_the_default_may_be_the_best() -> None:
    found = recommend([result(DEFAULT, 50, 50), result(STAGE6, 40, 60)], "retrieval")
    assert not found.is_better
    assert "keep it" in recommendation_text(found)


def test_a_whitened_setting_is_reported_only() -> None:
    whitened = Setting(DEFAULT.backbone, "head", "rmac", 320, is_whitened=True)
    found = recommend([result(DEFAULT, 50, 50), result(whitened, 90, 90)], "retrieval")
    assert found.best.setting == DEFAULT
    with pytest.raises(ValueError, match="whitening"):
        whitened.as_spec()


def test_the_spec_is_one_that_can_be_created(tmp_path: Path) -> None:
    fc = Setting(DEFAULT.backbone, "fc", None, 224, is_whitened=False)
    for setting in (STAGE6, fc):
        found = Recommendation(result(setting, 60, 60), result(DEFAULT, 50, 50), 10, 9, 11)
        write_spec(tmp_path / "spec.json", found)
        spec = FeatureSpec.create(**json.loads((tmp_path / "spec.json").read_text("utf-8")))
        assert spec.size_px == setting.size_px
        assert setting.tap in (spec.conv, spec.fc)


def test_nothing_to_choose_by() -> None:
    with pytest.raises(InvalidLabelsError, match="classification"):
        recommend([result(DEFAULT, 50, 50)], "classification")


# --- tasks -----------------------------------------------------------------------------------


def test_halves_have_nothing_in_common() -> None:
    first, second = split_halves(np.arange(31))
    assert len(first) + len(second) == 31
    assert set(first) & set(second) == set()


def test_retrieval_by_hand(tmp_path: Path) -> None:
    queries = [
        {"id": "a", "image": "q.png", "positives": ["1.png"], "junk": ["0.png"]},
        {"id": "b", "image": "q.png", "box": [0, 0, 5, 5], "positives": ["1.png", "2.png"]},
        {"id": "none", "image": "q.png", "positives": []},
    ]
    data = {"name": "m", "images": ".", "database": ["0.png", "1.png", "2.png"]}
    (tmp_path / "m.json").write_text(json.dumps(data | {"queries": queries}), "utf-8")
    task = RetrievalTask.from_manifest(Manifest.read(tmp_path / "m.json"))
    assert [isinstance(item, Crop) for item in task.items] == [False] * 4 + [True]
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [1, 0], [0, 1]], np.float32)
    first, second = task.judge_halves(vectors)
    # The first query ranks 0 (junk), 1, 2; the second 2, 1, 0: both are perfect.
    assert [first.figure, second.figure] == [100, 100]
    worse = vectors.copy()
    worse[1] = [-1, 0]  # last for the first query (1/2), and last for the second: (1 + 2/3) / 2
    figures = sorted(judged.figure for judged in task.judge_halves(worse))
    assert figures == pytest.approx([50, 100 * (1 + 2 / 3) / 2])


def test_an_image_is_no_answer_to_itself() -> None:
    images = labelled(2, 6)
    task = RetrievalTask.from_labelled(images)
    assert task.positives.sum(axis=1).tolist() == [5] * 12
    first, second = task.judge_halves(images.labels.astype(np.float32))
    assert [first.figure, second.figure] == [100, 100]
    left = task.only(np.arange(12) != 0)
    assert left.positives.shape == (11, 11)
    assert left.positives.sum() == 5 * 4 + 6 * 5


def test_a_whitening_is_learned_from_what_is_allowed() -> None:
    images = labelled(3, 40)
    vectors = clouds(images)
    task = ClassificationTask(images)
    other = vectors.copy()
    other[~images.is_train] += 1
    first, second = whiten(vectors, task), whiten(other, task)
    assert np.array_equal(first[images.is_train], second[images.is_train])
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)


# --- the whole study -------------------------------------------------------------------------


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for number, (red, green, blue) in enumerate(shades(3)):
        for i in range(8):
            colour = (red, green, (blue + 3 * i) % 256)
            plain(tmp_path / f"class {number}" / f"{i}.png", colour, (64 + i, 48))
    (tmp_path / "class 0" / "broken.png").write_bytes(b"no image")
    return tmp_path


def test_every_setting_is_measured_in_both_tasks(album: Path) -> None:
    tasks = find_tasks(album, ("retrieval", "classification"))
    grid = Grid(taps=("stage2", "fc"), poolings=("spoc", "gem"), sizes_px=(64,), cached=False)
    rows: list[dict[str, Any]] = [setting_row(found) for found in LayerStudy(tasks, grid).results()]
    settings = {(r["tap"], r["pooling"], r["size_px"], r["whitened"]) for r in rows}
    expected = {("stage2", "spoc"), ("stage2", "gem"), ("fc", None)}
    wanted = {(t, p, 64, w) for t, p in expected for w in (False, True)}
    # The default is measured, too: it is what the others are compared with.
    default = {(DEFAULT.tap, DEFAULT.pooling, DEFAULT.size_px, w) for w in (False, True)}
    assert settings == wanted | default
    assert {row["task"] for row in rows} == {"retrieval", "classification"}
    assert len(rows) == 2 * len(settings)
    plainly = next(r for r in rows if r["tap"] == "stage2" and not r["whitened"])
    assert plainly["value"] > 90


def test_tasks_that_a_manifest_allows(tmp_path: Path) -> None:
    labels = {"1.png": "a", "2.png": "a", "3.png": "b", "4.png": "b"}
    splits = {"train": ["1.png", "3.png"], "test": ["2.png", "4.png"]}
    data: dict[str, Any] = {"name": "m", "images": ".", "labels": labels, "splits": splits}
    file = tmp_path / "m.json"
    file.write_text(json.dumps(data), "utf-8")
    assert [t.name for t in find_tasks(file, ("retrieval", "classification"))] == [
        "retrieval",
        "classification",
    ]
    queries = [{"id": "a", "image": "1.png", "positives": ["2.png"]}] * 2
    only = {"name": "m", "images": ".", "database": list(labels), "queries": queries[:1]}
    file.write_text(json.dumps(only), "utf-8")
    [task] = find_tasks(file, ("retrieval", "classification"))
    assert task.name == "retrieval"
    with pytest.raises(InvalidLabelsError, match="labels and splits"):
        find_tasks(file, ("classification",))
    file.write_text("[", "utf-8")
    with pytest.raises(InvalidLabelsError, match="not a manifest"):
        find_tasks(file, ("classification",))
