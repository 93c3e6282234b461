"""Optimising: fewer files, the same answers, and lists where there are many vectors."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import func, select

from indexer.adapt import adapt_store
from indexer.errors import StoreError
from indexer.optimize import keep_up, optimize_store
from indexer.remove import remove_images
from indexer.store.approximate import ApproximateIndex
from indexer.store.catalog import RemovedRow, SegmentRow
from indexer.store.files import VectorFiles
from indexer.store.segments import Segment, read_segment
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.query import Query
from tests.colour_grid import colour_spec
from tests.desk import Desk, noisy_desk
from tests.pictures import noise

WINDOWS = 10  # of a picture of the desk


@pytest.fixture
def grown(tmp_path: Path) -> Iterator[Desk]:
    """Ten pictures of three runs, the fourth of them removed."""
    made = noisy_desk(tmp_path)
    for seed in (8, 9):
        add(made, seed)
    remove_images(made.store, [made.photos / "3.png"])
    (made.photos / "3.png").unlink()
    yield made
    made.store.close()


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty vectors are many, so that those of windows are, and those of pictures are not."""
    monkeypatch.setattr("indexer.store.approximate.BALANCED_ROWS", 40)
    monkeypatch.setattr("indexer.store.vectors.FEW_ROWS", 5)
    monkeypatch.setattr("indexer.store.listed.FEW_ROWS", 5)
    monkeypatch.setattr("indexer.optimize.TAIL_ROWS", 2 * WINDOWS)


def add(desk: Desk, seed: int) -> None:
    Image.fromarray(noise(seed, 80, 80)).save(desk.photos / f"{seed}.png")
    assert desk.index().added == 1


def answers(search: SearchEngine) -> list[list[tuple[str, float]]]:
    """The hits of whole pictures by each kind, and of a search by regions."""
    return [
        [(hit.path.name, round(hit.score, 5)) for hit in search.search(query)]
        for name in ("0.png", "8.png")
        for photo in [next(iter(search.store.roots().values())) / name]
        for query in (
            Query(path=photo, feature="conv", k=5),
            Query(path=photo, feature="fc", k=5),
            Query(path=photo, search="region", k=5),
        )
    ]


def segments(store: Store, kind: str) -> int:
    with store.catalog.session() as session:
        wanted = select(func.count()).where(SegmentRow.kind == kind)
        return session.scalar(wanted) or 0


def files(store: Store) -> set[str]:
    return {file.name for file in (store.path / "vectors").iterdir()}


def clear(store: Store) -> set[str]:
    with store.writing():
        return files(store)


def listed_rows(store: Store, kind: str = "region") -> int | None:
    row = store.files.lists_entry(kind)
    return None if row is None else row.rows


def test_segments_become_one_and_answers_stay(grown: Desk) -> None:
    before = answers(grown.search())
    assert segments(grown.store, "region") == 3
    reports = optimize_store(grown.store)
    assert [(r.kind, r.rows, r.form) for r in reports] == [
        ("conv", 9, "exact"),
        ("fc", 9, "exact"),
        ("region", 9 * WINDOWS, "exact"),
    ]
    assert [segments(grown.store, kind) for kind in grown.store.spec.kinds] == [1, 1, 1]
    assert answers(grown.search()) == before
    assert len(files(grown.store)) == 3 * 3  # the old ones take no room any more
    grown.check_vectors()


def test_removed_vectors_are_gone_from_the_files(grown: Desk) -> None:
    with grown.store.catalog.session() as session:
        [gone] = session.scalars(select(RemovedRow.image_id)).all()
    optimize_store(grown.store)
    for file in (grown.store.path / "vectors").glob("*.images.npy"):
        assert gone not in np.load(file)
    with grown.store.catalog.session() as session:
        assert not session.scalars(select(RemovedRow.image_id)).all()
    assert grown.paths() == sorted(f"{seed}.png" for seed in range(10) if seed != 3)


def test_optimizing_again_changes_nothing(grown: Desk) -> None:
    optimize_store(grown.store)
    before = clear(grown.store)
    optimize_store(grown.store)
    assert clear(grown.store) == before


def test_a_store_grows_on_after_all_of_it_was_removed(grown: Desk) -> None:
    remove_images(grown.store, [grown.photos])
    reports = optimize_store(grown.store)
    assert [report.rows for report in reports] == [0, 0, 0]
    assert clear(grown.store) == set()
    grown.index()
    grown.check_vectors()


def test_what_a_run_committed_bit_by_bit_is_joined(grown: Desk) -> None:
    before = answers(grown.search())
    with grown.store.catalog.session() as session:
        [gone] = session.scalars(select(RemovedRow.image_id)).all()
    keep_up(grown.store)
    assert [segments(grown.store, kind) for kind in grown.store.spec.kinds] == [2, 2, 2]
    assert answers(grown.search()) == before
    assert len(files(grown.store)) == 3 * 2 * 3
    grown.check_vectors()
    live = clear(grown.store)
    keep_up(grown.store)
    assert clear(grown.store) == live
    # Removed vectors stay until a merge, and are found no more.
    owners = grown.store.files.rows("conv").segments[0].image_ids
    assert gone in owners
    assert gone not in grown.store.vector_index("conv").live_ids()


@pytest.mark.usefixtures("large")
def test_segments_in_the_lists_and_later_ones_stay_apart(grown: Desk) -> None:
    optimize_store(grown.store)
    add(grown, 20)
    keep_up(grown.store)
    add(grown, 21)
    [first, *later] = [len(part.ids) for part in grown.store.files.rows("region").segments]
    assert (first, later) == (9 * WINDOWS, [WINDOWS, WINDOWS])
    grown.store.files.join("region")
    sizes = [len(part.ids) for part in grown.store.files.rows("region").segments]
    assert sizes == [9 * WINDOWS, 2 * WINDOWS]
    assert listed_rows(grown.store) == 9 * WINDOWS
    grown.check_vectors()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 40), max_size=12))
def test_joined_segments_are_few_and_keep_their_order(tmp_path: Path, sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        store = Store.create(Path(folder) / ".cbir", colour_spec())
        first = 1
        for size in sizes:
            ids = np.arange(first, first + size)
            with store.catalog.session() as session:
                vectors = np.repeat(ids[:, None] / 1024, 8, axis=1).astype(np.float32)
                store.files.add(session, "conv", ids, ids, vectors)
                session.commit()
            store.files.join("conv")
            first += size
        parts = store.files.rows("conv").segments
        joined = [len(part.ids) for part in parts]
        assert all(size >= 4 * sum(joined[i + 1 :]) for i, size in enumerate(joined))
        for part in parts:
            np.testing.assert_array_equal(part.vectors[:, 0], part.ids / 1024)
        ids = np.concatenate([np.empty(0, np.int64), *(part.ids for part in parts)])
        np.testing.assert_array_equal(ids, np.arange(1, first))
        store.close()


@pytest.mark.usefixtures("large")
def test_each_step_tells_how_far_it_is(grown: Desk) -> None:
    steps: dict[str, list[tuple[int, int]]] = {}
    optimize_store(grown.store, lambda doing, *share: steps.setdefault(doing, []).append(share))
    trained, codes, added, measured = [name for name in steps if "Merging" not in name]
    assert trained == "Training a balanced index of 90 region vectors"
    assert steps[codes] == [(0, 0)]  # nobody knows
    assert steps[trained] == [(0, 0), *((done, 10) for done in range(1, 11))]
    for name in ("Merging the region vectors", added, measured):
        assert steps[name][0] == (0, 0)
        assert steps[name] == sorted(steps[name])
        assert steps[name][-1] == (9 * WINDOWS, 9 * WINDOWS)


@pytest.mark.usefixtures("large")
def test_many_vectors_get_lists_and_answers_stay(grown: Desk) -> None:
    before = answers(grown.search())
    *_, report = optimize_store(grown.store)
    assert (report.kind, report.form) == ("region", "balanced")
    assert report.nprobe is not None
    assert report.recall is not None
    assert report.recall > 0.9
    assert listed_rows(grown.store) == 9 * WINDOWS
    assert listed_rows(grown.store, "conv") is None
    assert grown.store.vector_index("region").lists is not None
    assert answers(grown.search()) == before
    assert sum(name.endswith(".faiss") for name in clear(grown.store)) == 1


@pytest.mark.usefixtures("large")
def test_an_exact_search_asked_for_drops_the_lists(grown: Desk) -> None:
    before = answers(grown.search())
    optimize_store(grown.store)
    grown.store.index_form = "exact"
    keep_up(grown.store)
    assert listed_rows(grown.store) is None
    assert not any(name.endswith(".faiss") for name in clear(grown.store))
    assert answers(grown.search()) == before


def test_a_form_asked_for_is_made_of_any_number(grown: Desk) -> None:
    grown.store.index_form = "balanced"
    assert [report.form for report in optimize_store(grown.store)] == ["balanced"] * 3
    assert Store.open(grown.store.path).index_form == "balanced"


@pytest.mark.usefixtures("large")
def test_new_vectors_go_into_the_lists_once_they_are_many(grown: Desk) -> None:
    optimize_store(grown.store)
    add(grown, 20)
    keep_up(grown.store)
    assert listed_rows(grown.store) == 9 * WINDOWS
    assert grown.store.vector_index("region").vectors_of_image(grown.id_of("20.png")).any()
    add(grown, 21)
    keep_up(grown.store)
    assert listed_rows(grown.store) == 11 * WINDOWS
    row = grown.store.files.lists_entry("region")
    assert row is not None
    assert row.trained_rows == 9 * WINDOWS
    assert sum(name.endswith(".faiss") for name in clear(grown.store)) == 1
    assert answers(grown.search())[0][0][0] == "0.png"


@pytest.mark.usefixtures("large")
def test_outgrown_lists_are_trained_anew(grown: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    optimize_store(grown.store)
    monkeypatch.setattr("indexer.optimize.OUTGROWN", 1)
    add(grown, 20)
    keep_up(grown.store)
    row = grown.store.files.lists_entry("region")
    assert row is not None
    # The vectors of removed images went with the merging.
    assert (row.rows, row.trained_rows) == (10 * WINDOWS, 10 * WINDOWS)


@pytest.mark.usefixtures("large")
def test_whitening_drops_the_lists_of_regions_alone(grown: Desk) -> None:
    grown.store.index_form = "balanced"
    optimize_store(grown.store)
    adapt_store(grown.store)
    assert listed_rows(grown.store) is None
    assert listed_rows(grown.store, "conv") == 9
    keep_up(grown.store)
    assert listed_rows(grown.store) == 9 * WINDOWS
    grown.check_vectors()


def check_untouched(desk: Desk, before: list[list[tuple[str, float]]], live: set[str]) -> None:
    """The store answers as it did, and what was left half done goes with the next write."""
    reopened = Desk(desk.photos, Store.open(desk.store.path))
    assert answers(reopened.search()) == before
    assert clear(reopened.store) == live
    reopened.check_vectors()
    reopened.store.close()


def test_a_merge_that_ends_half_way_changes_nothing(
    grown: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, live = answers(grown.search()), clear(grown.store)

    def stop(folder: Path, name: str, *_: object, **__: object) -> None:
        (folder / f"{name}.ids.npy").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("indexer.store.files.write_merged", stop)
        with pytest.raises(KeyboardInterrupt):
            optimize_store(grown.store)
    assert len(files(grown.store)) == len(live) + 1
    check_untouched(grown, before, live)
    optimize_store(grown.store)
    assert answers(grown.search()) == before


def test_a_merge_between_two_kinds_that_ends_forgets_no_removal(
    grown: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = answers(grown.search())
    merge = type(grown.store.files).merge

    def stop(self: VectorFiles, kind: str, *_: object) -> None:
        if kind == "region":
            raise KeyboardInterrupt
        merge(self, kind)

    with monkeypatch.context() as patch:
        patch.setattr("indexer.store.files.VectorFiles.merge", stop)
        with pytest.raises(KeyboardInterrupt):
            optimize_store(grown.store)
    check_untouched(grown, before, clear(grown.store))


@pytest.mark.usefixtures("large")
def test_lists_that_are_half_written_leave_the_old_ones(
    grown: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimize_store(grown.store)
    before, live = answers(grown.search()), clear(grown.store)

    def stop(_: ApproximateIndex, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ApproximateIndex, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            optimize_store(grown.store)
    assert len(files(grown.store)) == len(live) + 1
    assert listed_rows(grown.store) == 9 * WINDOWS
    check_untouched(grown, before, live)


def test_a_disk_that_is_full_is_an_error_of_the_store(
    grown: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, live = answers(grown.search()), clear(grown.store)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("indexer.store.files.write_merged", refuse)
        with pytest.raises(StoreError, match="No space left on device"):
            optimize_store(grown.store)
    check_untouched(grown, before, live)


@pytest.mark.usefixtures("large")
def test_a_search_that_was_open_before_goes_on(grown: Desk) -> None:
    optimize_store(grown.store)
    add(grown, 20)
    search = grown.search()
    before = answers(search)
    other = Store.open(grown.store.path)
    live = files(other)
    optimize_store(other)
    assert not live & files(other)  # the files that the search reads are unlinked
    assert answers(search) == before
    search.reload()
    assert answers(search) == before
    other.close()


def test_files_that_are_replaced_while_a_search_opens_them(
    grown: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = answers(grown.search())
    opened: list[str] = []

    def read(folder: Path, name: str, rows: int, dimension: int) -> Segment:
        opened.append(name)
        if len(opened) == 1:  # the catalogue has been asked for the files
            other = Store.open(grown.store.path)
            optimize_store(other)
            other.close()
        return read_segment(folder, name, rows, dimension)

    monkeypatch.setattr("indexer.store.folder.read_segment", read)
    assert answers(grown.search()) == before
    assert not (grown.store.path / "vectors" / f"{opened[0]}.ids.npy").exists()


@pytest.mark.parametrize("form", ["balanced", "compact"])
def test_kinds_with_few_vectors_or_none_are_compared_one_by_one(tmp_path: Path, form: str) -> None:
    desk = noisy_desk(tmp_path)
    desk.store.index_form = form
    optimize_store(desk.store)
    remove_images(desk.store, [desk.photos])
    reports = optimize_store(desk.store)
    assert {report.form for report in reports} == {"exact"}


def test_a_full_disk_while_the_lists_are_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = noisy_desk(tmp_path)
    desk.store.index_form = "balanced"
    write = ApproximateIndex.write
    monkeypatch.setattr(ApproximateIndex, "write", lambda self, _: write(self, Path("/dev/full")))
    with pytest.raises(StoreError, match="No space left on device"):
        optimize_store(desk.store)
    monkeypatch.undo()
    assert desk.store.files.lists_entry("conv") is None
