"""A whitening learned from the collection: all or nothing, and the store stays of one kind."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.adapt import adapt_store
from indexer.arrays import FloatArray
from indexer.errors import FeatureError, SpecMismatchError, StoreError
from indexer.features.whitening import PcaProjection
from indexer.store.store import Store
from tests.desk import Desk, noisy_desk
from tests.pictures import noise


@pytest.fixture(params=["grid", "sliding"])
def noisy(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A store of eight pictures, 80 windows: more than the 60 that six dimensions need."""
    made = noisy_desk(tmp_path, request.param)
    yield made
    made.store.close()


def vectors(store: Store) -> dict[str, FloatArray]:
    indexes = {kind: store.vector_index(kind) for kind in store.spec.kinds}
    return {kind.name: index.sample(len(index)) for kind, index in indexes.items()}


def check_unchanged(store: Store, before: dict[str, FloatArray]) -> None:
    """The store, as it is open and opened anew, is what it was."""
    for seen in (store, Store.open(store.path)):
        assert seen.spec.adaptation == ""
        assert seen.adaptation() is None
        for kind, expected in before.items():
            np.testing.assert_array_equal(vectors(seen)[kind], expected)
        if seen is not store:
            seen.close()


def test_the_regions_are_encoded_anew_and_nothing_else(noisy: Desk) -> None:
    before = vectors(noisy.store)
    spec = adapt_store(noisy.store)
    after = vectors(noisy.store)

    axes = noisy.store.adaptation()
    assert axes is not None
    assert spec.adaptation == axes.digest
    np.testing.assert_allclose(after["region"], axes.apply(before["region"]), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(after["region"], axis=1), 1, atol=2e-3)
    assert np.abs(after["region"] - before["region"]).max() > 0.1
    for kind in set(before) - {"region"}:
        np.testing.assert_array_equal(after[kind], before[kind])


def test_the_spec_changes_in_nothing_but_the_adaptation(noisy: Desk) -> None:
    before = noisy.store.spec
    after = adapt_store(noisy.store)
    assert dataclasses.replace(after, adaptation="") == before
    reopened = Store.open(noisy.store.path)
    assert reopened.spec == noisy.store.spec == after
    with pytest.raises(SpecMismatchError, match="adaptation"):
        reopened.spec.require_same(before, where="here")
    reopened.close()


def test_images_added_later_are_encoded_in_the_same_space(noisy: Desk) -> None:
    adapt_store(noisy.store)
    Image.fromarray(noise(99, 80, 80)).save(noisy.photos / "later.png")
    assert noisy.index().added == 1
    noisy.check_vectors()
    index = noisy.store.vector_index(noisy.store.find_kind("conv", "region"))
    later = noisy.id_of("later.png")
    _, own = index.rows_of_image(later)
    for match in index.search_images(own, 20):
        assert match.image_ids[0] == later
        assert len(match.image_ids) == 9


def test_removed_images_stay_removed(noisy: Desk) -> None:
    gone = noisy.id_of("7.png")
    noisy.store.remove([gone])
    adapt_store(noisy.store)
    for kind in noisy.store.spec.kinds:
        index = noisy.store.vector_index(kind)
        if kind.scope == "image":
            assert len(index) == 7
        with pytest.raises(KeyError):
            index.rows_of_image(gone)
    noisy.check_vectors()


def test_the_old_vectors_go_with_the_next_write(noisy: Desk) -> None:
    files = len(list((noisy.store.path / "vectors").iterdir()))
    adapt_store(noisy.store)
    with noisy.store.writing():
        assert len(list((noisy.store.path / "vectors").iterdir())) == files


def test_a_whitening_that_no_spec_names_goes_with_the_next_write(noisy: Desk) -> None:
    adapt_store(noisy.store)
    used = noisy.store.adaptation_file
    left = noisy.store.path / "adaptation-0123456789abcdef.npz"
    left.write_bytes(b"left by a run that was killed")
    with noisy.store.writing():
        assert list(noisy.store.path.glob("adaptation-*")) == [used]


def test_a_second_whitening_is_refused_with_a_remedy(noisy: Desk) -> None:
    spec = adapt_store(noisy.store)
    before = vectors(noisy.store)
    with pytest.raises(StoreError, match=r"already.*--rebuild.*cbir whiten"):
        adapt_store(noisy.store)
    assert noisy.store.spec == spec
    np.testing.assert_array_equal(vectors(noisy.store)["region"], before["region"])


def test_whitening_tells_how_far_it_is(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path)
    told: dict[str, list[tuple[int, int]]] = {}

    def tell(step: str, done: int, total: int, *, failed: int = 0) -> None:
        assert not failed
        told.setdefault(step, []).append((done, total))

    adapt_store(desk.store, tell)
    learning, encoding = told.values()
    assert learning == [(0, 0)]  # nobody knows
    assert encoding == sorted(encoding)
    assert encoding[-1] == (80, 80)
    desk.store.close()


def test_too_few_vectors_change_nothing(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path, count=5)
    before = vectors(desk.store)
    with pytest.raises(FeatureError, match=r"50 region vectors: 60 are needed"):
        adapt_store(desk.store)
    check_unchanged(desk.store, before)
    desk.store.close()


def test_a_store_without_regions_cannot_be_whitened(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path, "none", count=1)
    with pytest.raises(StoreError, match=r"no conv vectors of regions.*--rebuild --regions grid"):
        adapt_store(desk.store)
    check_unchanged(desk.store, {})
    desk.store.close()


def test_a_whitening_that_ends_half_way_leaves_the_store_as_it_was(
    noisy: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(noise(98, 80, 80)).save(noisy.photos / "second segment.png")
    noisy.index()
    before = vectors(noisy.store)
    done = 0
    apply = PcaProjection.apply

    def stop_at_the_second_segment(axes: PcaProjection, rows: FloatArray) -> FloatArray:
        nonlocal done
        done += 1
        if done == 2:
            raise KeyboardInterrupt
        return apply(axes, rows)

    with monkeypatch.context() as patch:
        patch.setattr(PcaProjection, "apply", stop_at_the_second_segment)
        with pytest.raises(KeyboardInterrupt):
            adapt_store(noisy.store)
    check_unchanged(noisy.store, before)

    adapt_store(noisy.store)  # and nothing is in the way of the next attempt
    noisy.check_vectors()


def test_no_more_than_some_vectors_are_held(noisy: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    apply = PcaProjection.apply

    def watched(axes: PcaProjection, rows: FloatArray) -> FloatArray:
        counts.append(len(rows))
        return apply(axes, rows)

    with monkeypatch.context() as patch:
        patch.setattr(PcaProjection, "apply", watched)
        patch.setattr("indexer.store.vectors.segment_files.CHUNK_ROWS", 7)
        adapt_store(noisy.store)
    assert max(counts) == 7
    assert sum(counts) == len(noisy.store.vector_index(noisy.store.kind("region")))
    noisy.check_vectors()


def test_a_disk_that_is_full_leaves_the_store_as_it_was(
    noisy: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = vectors(noisy.store)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("indexer.store.vectors.vector_files.write_merged", refuse)
        with pytest.raises(StoreError, match="No space left on device"):
            adapt_store(noisy.store)
    check_unchanged(noisy.store, before)


def test_whiten_on_the_command_line(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from ui.cli import app

    desk = noisy_desk(tmp_path)
    desk.store.close()
    whiten = ["whiten", "--store", str(desk.store.path)]
    done = CliRunner().invoke(app, [*whiten, "--json"])
    assert (done.exit_code, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer == {"adaptation": Store.open(desk.store.path).spec.adaptation, "regions": 80}
    again = CliRunner().invoke(app, whiten)
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr.startswith("Error: ")
    assert "--rebuild" in again.stderr
    assert again.stderr.count("\n") == 1


def test_a_writer_that_opened_the_store_before_writes_nothing(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path)
    adapt_store(Store.open(desk.store.path))
    Image.fromarray(noise(99, 80, 80)).save(desk.photos / "later.png")
    with pytest.raises(SpecMismatchError, match="whitened by another process"):
        desk.index()
    desk.store = Store.open(desk.store.path)
    desk.index()
    desk.check_vectors()


def test_a_second_process_does_not_whiten_twice(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path)
    adapt_store(Store.open(desk.store.path))
    with pytest.raises(StoreError, match="has a whitening of its own already"):
        adapt_store(desk.store)


def test_a_search_goes_on_in_the_new_space(tmp_path: Path) -> None:
    from retrieval.query import Query

    desk = noisy_desk(tmp_path)
    search = desk.search()
    asked = Query(path=desk.photos / "3.png", search="region")
    search.search(asked)
    adapt_store(Store.open(desk.store.path))
    assert search.search(asked)[0].path.name == "3.png"
    assert search.collection.extractor.spec.adaptation
