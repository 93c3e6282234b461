"""Optimising: fewer files, the same answers, and IVF indexes where there are many vectors."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from io import BufferedWriter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import func, select

from indexer.adapt import adapt_store
from indexer.arrays import FloatArray, IdArray
from indexer.choices import IndexType
from indexer.errors import StoreError
from indexer.features.extractor import ImageFeatures
from indexer.optimize import optimize_store, update_indexes
from indexer.progress import Progress
from indexer.remove import remove_images
from indexer.sources.place import as_path
from indexer.store.catalog.protocol import SegmentEntry
from indexer.store.catalog.tables import RemovedRow, SegmentRow
from indexer.store.catalog.transaction import CatalogTransaction
from indexer.store.folder import StoreFolder
from indexer.store.layout import segment_name
from indexer.store.store import Store
from indexer.store.vectors.ivf import IvfIndex
from indexer.store.vectors.local_store import LocalVectorStore
from indexer.store.vectors.protocol import VectorIndex
from indexer.store.vectors.segment_files import read_segment
from indexer.store.vectors.segments import Segment
from tests.colour_grid import colour_extractor, colour_spec
from tests.desk import Desk, noisy_desk
from tests.pictures import noise
from tests.segments import files_of, ivf_of

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
    monkeypatch.setattr("indexer.store.vectors.index_types.BALANCED_ROWS", 40)
    monkeypatch.setattr("indexer.store.vectors.local_index.FEW_ROWS", 5)
    monkeypatch.setattr("indexer.store.vectors.ivf_search.FEW_ROWS", 5)
    monkeypatch.setattr("indexer.store.vectors.local_store.TAIL_ROWS", 2 * WINDOWS)


def add(desk: Desk, seed: int) -> None:
    Image.fromarray(noise(seed, 80, 80)).save(desk.photos / f"{seed}.png")
    assert desk.index().added == 1


Answers = list[list[tuple[str, float]]]


def open_indexes(store: Store) -> dict[str, VectorIndex]:
    return {kind.name: store.vector_index(kind) for kind in store.spec.kinds}


def answers(store: Store, indexes: dict[str, VectorIndex] | None = None) -> Answers:
    """The nearest to whole pictures by each kind, and by regions, with their scores."""
    indexes = indexes or open_indexes(store)
    [photos] = store.roots().values()
    extractor = colour_extractor(spec=store.spec, adaptation=store.adaptation())
    found: list[tuple[IdArray, FloatArray]] = []
    for name in ("0.png", "8.png"):
        [features] = extractor.extract([Image.open(as_path(photos) / name)])
        assert isinstance(features, ImageFeatures)
        for kind in ("conv", "fc"):
            [match] = indexes[kind].search(features.vectors[kind], 5)
            found.append((match.ids, match.scores))
        regions = features.vectors["region"][:2]
        for by_image in indexes["region"].search_images(regions, 5):
            found.append((by_image.image_ids, by_image.scores))
    infos = store.image_infos({int(i) for ids, _ in found for i in ids})
    return [
        [(infos[int(i)].path.name, float(score)) for i, score in zip(ids, scores, strict=True)]
        for ids, scores in found
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


def ivf_rows(store: Store, kind: str = "region") -> int | None:
    entry = store.vectors.ivf_entry(kind)
    return None if entry is None else entry.rows


def test_segments_become_one_and_answers_stay(grown: Desk) -> None:
    before = answers(grown.store)
    assert segments(grown.store, "region") == 3
    reports = optimize_store(grown.store)
    assert [(r.kind, r.rows, r.index_type) for r in reports] == [
        ("conv", 9, "exact"),
        ("fc", 9, "exact"),
        ("region", 9 * WINDOWS, "exact"),
    ]
    assert [segments(grown.store, kind.name) for kind in grown.store.spec.kinds] == [1, 1, 1]
    assert answers(grown.store) == before
    assert len(files(grown.store)) == 3 * 4  # the old ones take no room any more
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
    before = answers(grown.store)
    with grown.store.catalog.session() as session:
        [gone] = session.scalars(select(RemovedRow.image_id)).all()
    update_indexes(grown.store)
    assert [segments(grown.store, kind.name) for kind in grown.store.spec.kinds] == [2, 2, 2]
    assert answers(grown.store) == before
    assert len(files(grown.store)) == 3 * 2 * 4
    grown.check_vectors()
    live = clear(grown.store)
    update_indexes(grown.store)
    assert clear(grown.store) == live
    # Removed vectors stay until a merge, and are found no more.
    assert gone in files_of(grown.store).rows("conv").image_ids
    assert gone not in open_indexes(grown.store)["conv"].live_ids()


@pytest.mark.usefixtures("large")
def test_segments_in_the_ivf_index_and_later_ones_stay_apart(grown: Desk) -> None:
    optimize_store(grown.store)
    add(grown, 20)
    update_indexes(grown.store)
    add(grown, 21)
    [first, *later] = [len(part.ids) for part in files_of(grown.store).rows("region").segments]
    assert (first, later) == (9 * WINDOWS, [WINDOWS, WINDOWS])
    grown.store.join_segments("region")
    sizes = [len(part.ids) for part in files_of(grown.store).rows("region").segments]
    assert sizes == [9 * WINDOWS, 2 * WINDOWS]
    assert ivf_rows(grown.store) == 9 * WINDOWS
    grown.check_vectors()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 40), max_size=12))
def test_joined_segments_are_few_and_keep_their_order(tmp_path: Path, sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        store = Store.create(Path(folder) / ".cbir", colour_spec())
        first = 1
        for size in sizes:
            ids = np.arange(first, first + size)
            vectors = np.repeat(ids[:, None] / 1024, 8, axis=1).astype(np.float32)
            with store.catalog.transaction() as change:
                store.vectors.append(change, "conv", ids, ids, vectors)
            store.join_segments("conv")
            first += size
        parts = files_of(store).rows("conv").segments
        joined = [len(part.ids) for part in parts]
        assert all(size >= 4 * sum(joined[i + 1 :]) for i, size in enumerate(joined))
        for part in parts:
            np.testing.assert_array_equal(part.vectors.all()[:, 0], part.ids.all() / 1024)
        ids = np.concatenate([np.empty(0, np.int64), *(part.ids.all() for part in parts)])
        np.testing.assert_array_equal(ids, np.arange(1, first))
        store.close()


@pytest.mark.usefixtures("large")
def test_each_step_tells_how_far_it_is(grown: Desk) -> None:
    steps: dict[str, list[tuple[int, int]]] = {}

    def tell(step: str, done: int, total: int, *, failed: int = 0) -> None:
        assert not failed
        steps.setdefault(step, []).append((done, total))

    optimize_store(grown.store, tell)
    merged = [f"{kind.name}: merging segments" for kind in grown.store.spec.kinds]
    trained, codes, added, measured = [
        "region: training the IVF index",
        "region: training the codes",
        "region: adding vectors to the IVF index",
        "region: measuring the recall of the IVF index",
    ]
    assert list(steps) == [*merged, trained, codes, added, measured]
    assert steps[codes] == [(0, 0)]  # nobody knows
    assert steps[trained] == [(done, 10) for done in range(1, 11)]
    for name in (merged[-1], added, measured):
        assert steps[name] == sorted(steps[name])
        assert steps[name][-1] == (9 * WINDOWS, 9 * WINDOWS)


@pytest.mark.usefixtures("large")
def test_many_vectors_get_an_ivf_index_and_answers_stay(grown: Desk) -> None:
    before = answers(grown.store)
    *_, report = optimize_store(grown.store)
    assert (report.kind, report.index_type) == ("region", "balanced")
    assert report.nprobe is not None
    assert report.recall is not None
    assert report.recall > 0.9
    assert ivf_rows(grown.store) == 9 * WINDOWS
    assert ivf_rows(grown.store, "conv") is None
    assert ivf_of(grown.store, grown.store.find_kind("conv", "region")) is not None
    assert answers(grown.store) == before
    assert sum(name.endswith(".faiss") for name in clear(grown.store)) == 1


@pytest.mark.usefixtures("large")
def test_an_exact_search_asked_for_drops_the_ivf_index(grown: Desk) -> None:
    before = answers(grown.store)
    optimize_store(grown.store)
    grown.store.index_type = "exact"
    update_indexes(grown.store)
    assert ivf_rows(grown.store) is None
    assert not any(name.endswith(".faiss") for name in clear(grown.store))
    assert answers(grown.store) == before


def test_an_index_type_asked_for_is_made_of_any_number(grown: Desk) -> None:
    grown.store.index_type = "balanced"
    assert [report.index_type for report in optimize_store(grown.store)] == ["balanced"] * 3
    assert Store.open(grown.store.path).index_type == "balanced"


@pytest.mark.usefixtures("large")
def test_new_vectors_go_into_the_ivf_index_once_they_are_many(grown: Desk) -> None:
    optimize_store(grown.store)
    add(grown, 20)
    update_indexes(grown.store)
    assert ivf_rows(grown.store) == 9 * WINDOWS
    ids, _ = open_indexes(grown.store)["region"].rows_of_image(grown.id_of("20.png"))
    assert len(ids) == WINDOWS
    add(grown, 21)
    update_indexes(grown.store)
    assert ivf_rows(grown.store) == 11 * WINDOWS
    row = grown.store.vectors.ivf_entry("region")
    assert row is not None
    assert row.trained_rows == 9 * WINDOWS
    assert sum(name.endswith(".faiss") for name in clear(grown.store)) == 1
    assert answers(grown.store)[0][0][0] == "0.png"


@pytest.mark.usefixtures("large")
def test_an_outgrown_ivf_index_is_trained_anew(
    grown: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimize_store(grown.store)
    monkeypatch.setattr("indexer.store.vectors.local_store.OUTGROWN", 1)
    add(grown, 20)
    update_indexes(grown.store)
    row = grown.store.vectors.ivf_entry("region")
    assert row is not None
    # The vectors of removed images went with the merging.
    assert (row.rows, row.trained_rows) == (10 * WINDOWS, 10 * WINDOWS)


@pytest.mark.usefixtures("large")
def test_whitening_drops_the_ivf_index_of_regions_alone(grown: Desk) -> None:
    grown.store.index_type = "balanced"
    optimize_store(grown.store)
    adapt_store(grown.store)
    assert ivf_rows(grown.store) is None
    assert ivf_rows(grown.store, "conv") == 9
    update_indexes(grown.store)
    assert ivf_rows(grown.store) == 9 * WINDOWS
    grown.check_vectors()


def check_untouched(desk: Desk, before: Answers, live: set[str]) -> None:
    """The store answers as it did, and what was left half done goes with the next write."""
    reopened = Desk(desk.photos, Store.open(desk.store.path))
    assert answers(reopened.store) == before
    assert clear(reopened.store) == live
    reopened.check_vectors()
    reopened.store.close()


def test_a_merge_that_ends_half_way_changes_nothing(
    grown: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, live = answers(grown.store), clear(grown.store)

    def stop(folder: Path, name: str, *_: object, **__: object) -> None:
        (folder / f"{name}.ids.npy").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("indexer.store.vectors.vector_files.write_merged", stop)
        with pytest.raises(KeyboardInterrupt):
            optimize_store(grown.store)
    assert len(files(grown.store)) == len(live)  # what is half written is gone at once
    check_untouched(grown, before, live)
    optimize_store(grown.store)
    assert answers(grown.store) == before


def test_a_merge_between_two_kinds_that_ends_forgets_no_removal(
    grown: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = answers(grown.store)
    merge = LocalVectorStore.merge

    def stop(
        self: LocalVectorStore, change: CatalogTransaction, kind: str, progress: Progress
    ) -> None:
        if kind == "region":
            raise KeyboardInterrupt
        merge(self, change, kind, progress)

    with monkeypatch.context() as patch:
        patch.setattr(LocalVectorStore, "merge", stop)
        with pytest.raises(KeyboardInterrupt):
            optimize_store(grown.store)
    check_untouched(grown, before, clear(grown.store))


@pytest.mark.usefixtures("large")
def test_an_ivf_index_that_is_half_written_leaves_the_old_one(
    grown: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimize_store(grown.store)
    before, live = answers(grown.store), clear(grown.store)

    def stop(_: IvfIndex, folder: StoreFolder, name: str) -> None:
        (folder.path / name).write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(IvfIndex, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            optimize_store(grown.store)
    assert len(files(grown.store)) == len(live)  # what is half written is gone at once
    assert ivf_rows(grown.store) == 9 * WINDOWS
    check_untouched(grown, before, live)


def test_a_disk_that_is_full_is_an_error_of_the_store(
    grown: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, live = answers(grown.store), clear(grown.store)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("indexer.store.vectors.vector_files.write_merged", refuse)
        with pytest.raises(StoreError, match="No space left on device"):
            optimize_store(grown.store)
    check_untouched(grown, before, live)


@pytest.mark.usefixtures("large")
def test_indexes_that_were_open_before_go_on(grown: Desk) -> None:
    optimize_store(grown.store)
    add(grown, 20)
    indexes = open_indexes(grown.store)
    before = answers(grown.store, indexes)
    other = Store.open(grown.store.path)
    live = files(other)
    optimize_store(other)
    assert not live & files(other)  # the files that the indexes read are unlinked
    assert answers(grown.store, indexes) == before
    assert answers(grown.store) == before
    other.close()


def test_files_that_are_replaced_while_an_index_opens_them(
    grown: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = answers(grown.store)
    opened: list[str] = []

    def read(folder: Path, entry: SegmentEntry) -> Segment:
        opened.append(segment_name(entry))
        if len(opened) == 1:  # the catalogue has been asked for the files
            other = Store.open(grown.store.path)
            optimize_store(other)
            other.close()
        return read_segment(folder, entry)

    monkeypatch.setattr("indexer.store.vectors.vector_files.read_segment", read)
    assert answers(grown.store) == before
    assert not (grown.store.path / "vectors" / f"{opened[0]}.ids.npy").exists()


@pytest.mark.parametrize("index_type", ["balanced", "compact"])
def test_kinds_with_few_vectors_or_none_are_compared_one_by_one(
    tmp_path: Path, index_type: IndexType
) -> None:
    desk = noisy_desk(tmp_path)
    desk.store.index_type = index_type
    optimize_store(desk.store)
    remove_images(desk.store, [desk.photos])
    reports = optimize_store(desk.store)
    assert {report.index_type for report in reports} == {"exact"}


def test_a_full_disk_while_an_ivf_index_is_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = noisy_desk(tmp_path)
    desk.store.index_type = "balanced"
    write = StoreFolder.write

    def onto_a_full_disk(folder: StoreFolder, name: str) -> BufferedWriter:
        return Path("/dev/full").open("wb") if name.endswith(".faiss") else write(folder, name)

    monkeypatch.setattr(StoreFolder, "write", onto_a_full_disk)
    with pytest.raises(StoreError, match="No space left on device"):
        optimize_store(desk.store)
    monkeypatch.undo()
    assert desk.store.vectors.ivf_entry("conv") is None
