"""A long-lived engine follows what other processes commit; each search sees one commit."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from indexer.adapt import adapt_store
from indexer.arrays import Pixels
from indexer.errors import StoreCorruptError
from indexer.features.engines.protocols import Activations, T
from indexer.optimize import optimize_store
from indexer.store.store import Store
from retrieval import ranking
from retrieval.collection import Collection
from retrieval.engine import SearchEngine
from retrieval.localize import localize
from retrieval.query import Hit, Query
from retrieval.relevance_feedback import RelevanceFeedback
from retrieval.rerank.step import Candidate, Question
from tests.colour_grid import ColourGridEngine, region_spec
from tests.desk import Desk, noisy_desk
from tests.pictures import noise, plain

WAYS: dict[str, dict[str, Any]] = {
    "image": {},
    "region": {"search": "region"},
    "verified": {"verify": True},
    "turned": {"turns": True},
    "re-ranked": {"search": "region", "rerank": True},
}


class Interrupted(ColourGridEngine):
    """Has something happen while it describes a query: each time, or the next few times."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None

    def run(self, images: Sequence[Pixels], use: Callable[[int, Activations], T]) -> list[T]:
        self.meanwhile()
        return super().run(images, use)


def other_process(desk: Desk) -> Store:
    """The store as another process has it open."""
    return Store.open(desk.store.path)


@pytest.fixture
def crops(tmp_path: Path) -> Desk:
    """Parts of one picture, which prove to be the same, and others."""
    (tmp_path / "photos").mkdir()
    engine = Interrupted()
    store = Store.create(tmp_path / ".cbir", region_spec())
    desk = Desk(tmp_path / "photos", store, engine)
    picture = Image.fromarray(noise(0, 60, 80)).resize((320, 240), Image.Resampling.BICUBIC)
    for i in range(6):
        picture.crop((10 * i, 6 * i, 250 + 10 * i, 190 + 6 * i)).save(desk.photos / f"same-{i}.png")
        other = Image.fromarray(noise(i + 1, 60, 80)).resize((320, 240), Image.Resampling.BICUBIC)
        other.save(desk.photos / f"other-{i}.png")
    picture.save(tmp_path / "asked.png")
    desk.index()
    return desk


def names(hits: list[Hit]) -> list[str]:
    return [hit.path.name for hit in hits]


def check_hits(hits: list[Hit]) -> None:
    """Each image is there once, and ranks count from 1."""
    ids = [hit.image_id for hit in hits]
    assert len(ids) == len(set(ids))
    assert [hit.rank for hit in hits] == [*range(1, len(hits) + 1)]


@pytest.mark.parametrize("way", WAYS)
def test_what_others_commit_is_found_at_once(crops: Desk, way: str) -> None:
    search, store = crops.search(), other_process(crops)
    query = Query(path=crops.photos.parent / "asked.png", k=None, **WAYS[way])
    assert len(search.search(query)) == 12
    noisy = Image.fromarray(noise(99, 80, 80))
    noisy.save(crops.photos / "new.png")
    Desk(crops.photos, store).index()
    assert "new.png" in names(search.search(query))
    store.remove([crops.id_of("same-0.png")])
    hits = search.search(query)
    check_hits(hits)
    assert "same-0.png" not in names(hits)
    assert len(hits) == 12


def test_the_network_and_the_pictures_stay_loaded(crops: Desk) -> None:
    search = crops.search()
    query = Query(path=crops.photos.parent / "asked.png", search="region", rerank=True)
    search.search(query)
    before = search.collection
    pictures = before.pictures([crops.id_of("other-0.png")])
    other_process(crops).remove([crops.id_of("same-0.png")])
    after = search.collection
    assert after is not before
    assert after.extractor is before.extractor
    assert after.pictures([crops.id_of("other-0.png")])[0] is pictures[0] is not None
    assert after.current() is after is search.collection


def test_a_collection_stays_as_of_its_commit(crops: Desk) -> None:
    before = crops.search().collection
    gone = crops.id_of("same-0.png")
    kind = crops.store.find_kind("conv", "image")
    assert gone in before.index(kind).live_ids()
    other_process(crops).remove([gone])
    assert gone in before.index(kind).live_ids()
    assert gone not in before.current().index(kind).live_ids()


def test_a_whitening_that_another_process_learned_counts_from_the_next_search(
    tmp_path: Path,
) -> None:
    desk = noisy_desk(tmp_path)
    search = desk.search()
    feedback = RelevanceFeedback(search.collection)
    query = Query(path=desk.photos / "3.png", search="region")
    before = search.search(query)
    learned = feedback.search(query, {1: True})
    adapt_store(other_process(desk))
    fresh = SearchEngine(other_process(desk), extractor=desk.extractor())
    after = search.search(query)
    assert after == fresh.search(query) != before
    assert search.store.spec == search.collection.spec == fresh.collection.extractor.spec
    assert feedback.search(query, {1: True}) != learned
    assert feedback.search(query, {1: True}) == RelevanceFeedback(fresh.collection).search(
        query, {1: True}
    )


def test_threads_finish_on_the_commit_that_they_began_with(crops: Desk) -> None:
    engine = crops.engine
    assert isinstance(engine, Interrupted)
    search, store = crops.search(), other_process(crops)
    search.search(Query(path=crops.photos.parent / "asked.png"))
    describing, removed = threading.Event(), threading.Event()

    def wait() -> None:
        describing.set()
        assert removed.wait(60)

    engine.meanwhile = wait
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(search.search, Query(path=crops.photos.parent / "asked.png", k=None))
        assert describing.wait(60)
        store.remove([crops.id_of("same-0.png")])
        optimize_store(store)
        engine.meanwhile = lambda: None
        removed.set()
        hits = asked.result()
    check_hits(hits)
    assert len(hits) == 11
    assert "same-0.png" not in names(hits)


def test_files_that_were_replaced_before_they_were_opened(crops: Desk) -> None:
    """The search starts over with the next commit."""
    engine = crops.engine
    assert isinstance(engine, Interrupted)
    store = other_process(crops)
    search = crops.search()
    gone = iter(["same-0.png", "other-0.png"])

    def replace() -> None:
        name = next(gone, None)
        if name is not None:
            store.remove([crops.id_of(name)])
            optimize_store(store)

    engine.meanwhile = replace
    query = Query(path=crops.photos.parent / "asked.png", search="region", k=None)
    hits = search.search(query)
    check_hits(hits)
    assert len(hits) == 10


def test_a_missing_file_of_the_last_commit_is_still_an_error(crops: Desk) -> None:
    for file in (crops.store.path / "vectors").glob("*conv.vectors.npy"):
        file.unlink()
    with pytest.raises(StoreCorruptError):
        crops.search().search(Query(path=crops.photos.parent / "asked.png"))


class Removal:
    """A step of re-ranking during which another process removes the best and the last image."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def apply(
        self, _collection: Collection, question: Question, candidates: list[Candidate]
    ) -> tuple[Question, list[Candidate]]:
        known = self.store.image_infos([c.image_id for c in candidates])
        there = [c.image_id for c in candidates if c.image_id in known]
        self.store.remove(there[:1] + there[-1:])
        return question, candidates


@pytest.mark.parametrize("way", ["verified", "re-ranked"])
def test_images_removed_between_steps_are_no_hits(
    crops: Desk, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = other_process(crops)
    for steps in ("VERIFY_STEPS", "RERANK_STEPS"):
        known = getattr(ranking, steps)
        mixed = [part for step in known for part in (Removal(store), step)]
        monkeypatch.setattr(ranking, steps, (*mixed, Removal(store)))
    for name in ("same-3.png", "other-3.png", "same-0.png"):
        query = Query(path=crops.photos / name, k=None, **WAYS[way])
        hits = crops.search().search(query)
        check_hits(hits)
        assert not {hit.image_id for hit in hits} - set(store.image_infos(range(100)))
        Desk(crops.photos, store).index()


def test_localising_and_feedback_while_images_are_removed(crops: Desk) -> None:
    engine = crops.engine
    assert isinstance(engine, Interrupted)
    store, search = other_process(crops), crops.search()
    left = [crops.id_of(f"other-{i}.png") for i in range(6)]
    feedback = RelevanceFeedback(search.collection)

    def remove() -> None:
        store.remove([left.pop()] if len(left) > 2 else [])
        optimize_store(store)

    engine.meanwhile = remove
    query = Query(path=crops.photos.parent / "asked.png", search="region", k=None)
    target = Image.open(crops.photos / "same-2.png").convert("RGB")
    assert localize(search.collection, query, target).score > 0
    hits = feedback.search(query, dict.fromkeys([*left, crops.id_of("same-1.png")], True))
    check_hits(hits)
    assert len(hits) == len(store.image_infos(range(100)))


def test_the_collection_of_an_emptied_store(desk: Desk) -> None:
    plain(desk.photos / "red.png", (255, 0, 0))
    plain(desk.photos / "half.png", (255, 9, 0))
    desk.index()
    search = desk.search()
    query = Query(path=desk.photos / "red.png", k=None)
    before = len(search.search(query))
    other_process(desk).remove([desk.id_of("half.png"), desk.id_of("red.png")])
    assert search.search(query) == []
    assert before
    assert np.array_equal(search.collection.index(desk.store.kind("conv")).live_ids(), [])


@pytest.mark.parametrize(
    ("statement", "search"),
    [
        ("DELETE FROM images WHERE id = 3", "image"),
        ("DELETE FROM images WHERE id = 3", "region"),
        ("DELETE FROM regions WHERE image_id = 3", "region"),
    ],
)
def test_lost_rows_are_not_taken_for_removed_ones(
    tmp_path: Path, statement: str, search: Literal["image", "region"]
) -> None:
    desk = noisy_desk(tmp_path)
    connection = sqlite3.connect(desk.store.path / "catalog.sqlite")
    with connection:
        connection.execute(statement)
    connection.close()
    engine = desk.search()
    with pytest.raises(StoreCorruptError, match=r"rows are missing.*cbir doctor --repair"):
        engine.search(Query(path=desk.photos / "1.png", search=search, k=None))
