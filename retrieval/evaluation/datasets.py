"""Labelled images by the name that a person gives, in whatever form they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from indexer.errors import InvalidLabelsError
from indexer.features.engines.openvino_runtime import cache_folder
from retrieval.evaluation.labelled import LabelledImages, read_labelled
from retrieval.evaluation.manifest import Manifest
from retrieval.evaluation.tasks import ClassificationTask, RetrievalTask, Task, TaskName
from retrieval.evaluation.voc import FETCHED, SERVED, fetch_voc, is_voc, read_voc

VOC_LISTS = ("train", "val")


def read_dataset(
    place: Path,
    *,
    voc_lists: tuple[str, str] = VOC_LISTS,
    test_share: float = 0.5,
    seeds: int = 1,
) -> list[LabelledImages]:
    """Read labelled images, with the split of each seed; raises `InvalidLabelsError`.

    `place` is what `read_labelled` reads, a folder with PASCAL VOC, or VOC2007, which is fetched.
    """
    if str(place) == FETCHED and not place.exists():
        place, voc_lists = fetch_voc(cache_folder() / FETCHED), SERVED
    if place.is_dir() and is_voc(place):
        return [read_voc(place, *voc_lists)] * seeds
    return [read_labelled(place, test_share=test_share, seed=seed) for seed in range(seeds)]


def find_tasks(
    place: Path,
    wanted: Sequence[TaskName],
    *,
    voc_lists: tuple[str, str] = VOC_LISTS,
    test_share: float = 0.5,
) -> list[Task]:
    """Return the wanted tasks that labelled images, or a manifest, allow.

    A manifest with queries is a task of retrieval, one with labels and splits of classification;
    other labelled images are both. Raises `InvalidLabelsError` where none of the wanted is left.
    """
    keys = _manifest_keys(place)
    tasks: list[Task] = []
    if keys is not None and "queries" in keys and "retrieval" in wanted:
        tasks.append(RetrievalTask.from_manifest(Manifest.read(place)))
    if keys is None or {"labels", "splits"} <= keys:
        [images] = read_dataset(place, voc_lists=voc_lists, test_share=test_share)
        if "retrieval" in wanted and not tasks:
            tasks.append(RetrievalTask.from_labelled(images))
        if "classification" in wanted:
            tasks.append(ClassificationTask(images))
    if not tasks:
        raise InvalidLabelsError(
            f"{place} has nothing for {' or '.join(wanted)}: retrieval needs queries or labels, "
            "classification needs labels and splits."
        )
    return tasks


def _manifest_keys(place: Path) -> set[str] | None:
    """Return what a manifest has; None where `place` is none."""
    if place.suffix.lower() != ".json":
        return None
    try:
        data = json.loads(place.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidLabelsError(f"{place} is not a manifest: {error}.") from error
    return set(data) if isinstance(data, dict) else set()
