"""Processes that query a store while another one adds, removes, optimises and whitens."""

from __future__ import annotations

import multiprocessing
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

from PIL import Image

from indexer.adapt import adapt_store
from indexer.errors import CbirError
from indexer.optimize import optimize_store
from indexer.store.reader import StoreReader
from retrieval.engine import SearchEngine
from retrieval.query import Query
from tests.colour_grid import colour_extractor
from tests.desk import Desk, noisy_desk
from tests.pictures import noise

READERS = 2
ROUNDS = 6


WAYS: tuple[dict[str, Any], ...] = ({}, {"search": "region"}, {"search": "region", "rerank": True})


def read(
    store: Path, asked: Path, begin: Barrier, stop: Event, seen: Queue[tuple[int, list[str]]]
) -> None:
    """Query until told to stop; say how many commits were seen, and what was wrong."""
    opened = StoreReader.open(store)
    engine = SearchEngine(opened, extractor=colour_extractor(spec=opened.spec))
    faults: list[str] = []
    commits: set[int] = set()
    begin.wait(120)
    while not stop.is_set():
        gone = set((store.parent / "gone.txt").read_text("utf-8").split())
        for way in WAYS:
            try:
                hits = engine.search(Query.for_store(engine.store.spec, path=asked, k=None, **way))
            except CbirError as error:
                faults.append(repr(error))
                continue
            names = [hit.path.name for hit in hits]
            if len(set(names)) < len(names) or gone & set(names):
                faults.append(f"{names} after {gone} were removed")
        commits.add(opened.commits())
    seen.put((len(commits), faults))


def change(desk: Desk) -> None:
    """Do all that a writer does; a removed name is noted after its commit."""
    for turn in range(ROUNDS):
        new = [desk.photos / f"new-{turn}-{i}.png" for i in range(3)]
        for i, path in enumerate(new):
            Image.fromarray(noise(100 + 3 * turn + i, 80, 80)).save(path)
        desk.index()
        if turn == 2:
            adapt_store(desk.store)
        gone = new[0]
        gone.unlink()
        desk.index()
        with (desk.store.path.parent / "gone.txt").open("a", encoding="utf-8") as log:
            log.write(f"{gone.name}\n")
        if turn % 2:
            optimize_store(desk.store)


def test_readers_beside_a_writer(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path)
    (tmp_path / "gone.txt").write_text("", "utf-8")
    context = multiprocessing.get_context("spawn")
    begin, stop, seen = context.Barrier(READERS + 1), context.Event(), context.Queue()
    given = desk.store.path, desk.photos / "3.png", begin, stop, seen
    readers = [context.Process(target=read, args=given) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    begin.wait(120)
    change(desk)
    stop.set()
    answers = [seen.get(timeout=120) for _ in readers]
    for reader in readers:
        reader.join()
    assert [faults for _, faults in answers] == [[]] * READERS
    assert min(commits for commits, _ in answers) > 1
