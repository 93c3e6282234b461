from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from indexer.adapt import adapt_store
from indexer.errors import ConceptError, ExportError, SpecMismatchError, StoreError
from indexer.exports.write import export_store
from indexer.store.annotations import annotate, read_annotations
from indexer.store.decisions import Decisions, choose_original, keep_all, read_decisions
from indexer.store.store import Store
from indexer.store.tags import replace_tags, save_concept
from tests.colour_grid import region_spec
from tests.desk import noisy_desk
from tests.exporting import merged
from tests.pictures import BLUE, GREEN, RED, plain
from tests.shards import build
from tests.store_contents import by_path, everything_in

SECOND = 10**9


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos, indexed into the store `one`."""
    folder = tmp_path / "photos"
    for name, colour in (("a", RED), ("b", GREEN), ("c", BLUE)):
        plain(folder / f"{name}.png", colour)
    build(folder, tmp_path / "one")
    return folder


def date(file: Path, seconds: int) -> None:
    os.utime(file, ns=(seconds * SECOND, seconds * SECOND))


def export(store: Path, folder: Path) -> Path:
    opened = Store.open(store)
    export_store(opened, folder)
    opened.close()
    return folder


def test_stores_and_exports_become_one(photos: Path, tmp_path: Path) -> None:
    plain(tmp_path / "more" / "d.png", RED)
    build(tmp_path / "more", tmp_path / "two")
    out = export(tmp_path / "two", tmp_path / "out")
    wanted: dict[object, object] = {}
    for name in ("one", "two"):
        store = Store.open(tmp_path / name)
        wanted |= by_path(store)
        store.close()
    shutil.rmtree(photos)  # no photo is read
    with merged(tmp_path / "whole", tmp_path / "one", out) as (whole, report):
        assert by_path(whole) == wanted
        assert (report.added, report.warnings) == (4, [])
        before = everything_in(whole)
    with merged(tmp_path / "whole", out, tmp_path / "one", out) as (whole, report):
        assert everything_in(whole) == before
        assert (report.added, report.updated, report.unchanged) == (0, 0, 4)
    assert not list(tmp_path.glob(".cbir-merge-*"))


@pytest.mark.parametrize("as_export", [True, False])
@pytest.mark.parametrize(("theirs", "wins"), [(10, "one"), (20, "one"), (30, "two")])
def test_of_two_photos_the_newer_counts(
    photos: Path, tmp_path: Path, as_export: bool, theirs: int, wins: str
) -> None:
    date(photos / "a.png", 20)
    build(photos, tmp_path / "one")
    plain(photos / "a.png", GREEN)
    date(photos / "a.png", theirs)
    build(photos, tmp_path / "two")
    source = export(tmp_path / "two", tmp_path / "out") if as_export else tmp_path / "two"
    store = Store.open(tmp_path / wins)
    wanted = by_path(store)
    store.close()
    for _ in range(2):
        with merged(tmp_path / "one", source) as (whole, report):
            assert by_path(whole) == wanted
    expected = [] if wins == "two" else [str(photos / "a.png")]  # the second time
    assert [path for path, _ in report.warnings] == expected
    for _, reason in report.warnings:
        assert f"of {tmp_path / 'one'}, counts, not {source}" in reason
    assert report.updated == 0


def test_of_two_sources_the_newer_counts_in_any_order(photos: Path, tmp_path: Path) -> None:
    date(photos / "a.png", 30)
    build(photos, tmp_path / "one")
    plain(photos / "a.png", GREEN)
    date(photos / "a.png", 20)
    build(photos, tmp_path / "two")
    one = Store.open(tmp_path / "one")
    for name, sources in (("x", ("one", "two")), ("y", ("two", "one"))):
        with merged(tmp_path / name, *(tmp_path / source for source in sources)) as (whole, told):
            assert by_path(whole) == by_path(one)
            [(path, reason)] = told.warnings
            assert path == str(photos / "a.png")
            assert reason.endswith(f"of {tmp_path / 'one'}, counts, not {tmp_path / 'two'}")
    one.close()


@pytest.mark.usefixtures("photos")
def test_fields_and_tags_of_all_sources(tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for name, title in (("one", "first"), ("two", "second")):
        store = Store.open(tmp_path / name)
        ids = {path: known.id for (_, path), known in store.known_files().items()}
        with store.writing():
            annotate(store, {name: {ids["a.png"]: "x"}, "title": {ids["b.png"]: title}})
            save_concept(store, "cat", "{}")
            replace_tags(store, {"cat": {ids["a.png" if name == "one" else "b.png"]: 0.75}})
        store.close()
    out = export(tmp_path / "two", tmp_path / "out")
    with merged(tmp_path / "whole", tmp_path / "one", out) as (whole, _):
        ids = {path: known.id for (_, path), known in whole.known_files().items()}
        texts = read_annotations(whole)
        assert texts["one"] == texts["two"] == {ids["a.png"]: "x"}
        assert texts["title"] == {ids["b.png"]: "second"}


def test_other_fingerprints_are_refused_by_name(photos: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "two", None, region_spec(scales=(0.7,)))
    out = export(tmp_path / "two", tmp_path / "out")
    fingerprints = [spec.fingerprint[:12] for spec in (region_spec(), region_spec(scales=(0.7,)))]
    for place, source in (("one", out), ("one", tmp_path / "two"), ("new", out)):
        sources = [source] if place == "one" else [tmp_path / "one", source]
        with (
            pytest.raises(SpecMismatchError, match="scales=") as refused,
            merged(tmp_path / place, *sources),
        ):
            pass
        for name in (str(tmp_path / "one"), str(source), *fingerprints):
            assert name in str(refused.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("as_export", [True, False])
def test_of_decisions_about_duplicates_the_last_counts(
    photos: Path, tmp_path: Path, as_export: bool
) -> None:
    build(photos, tmp_path / "two")
    for name, original in (("one", 1), ("two", 2)):
        store = Store.open(tmp_path / name)
        with store.writing():
            keep_all(store, [1, 3] if original == 1 else [2, 3])
            choose_original(store, original, [3 - original])
        store.close()
    other = export(tmp_path / "two", tmp_path / "out") if as_export else tmp_path / "two"
    with merged(tmp_path / "whole", tmp_path / "one", other) as (whole, _):
        wanted = Decisions(frozenset({(1, 3), (2, 3)}), frozenset({(2, 1)}))
        assert read_decisions(whole) == wanted


@pytest.mark.usefixtures("photos")
def test_different_concepts_are_refused_by_the_name_of_the_export(tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for name in ("one", "two"):
        store = Store.open(tmp_path / name)
        with store.writing():
            save_concept(store, "cat", f'"{name}"')
        store.close()
    out = export(tmp_path / "two", tmp_path / "out")
    with (
        pytest.raises(ConceptError, match=f"{tmp_path / 'one'} and {out}"),
        merged(tmp_path / "one", out),
    ):
        pass


def test_a_whitening_comes_along(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path)
    adapt_store(desk.store)
    wanted = by_path(desk.store)
    export_store(desk.store, tmp_path / "out")
    desk.store.close()
    with merged(tmp_path / "whole", tmp_path / "out") as (whole, _):
        assert by_path(whole) == wanted
        assert whole.adaptation() is not None
    (tmp_path / "out" / "whitening.npz").write_bytes(b"")
    with (
        pytest.raises(ExportError, match=r"whitening\.npz"),
        merged(tmp_path / "other", tmp_path / "out"),
    ):
        pass


def test_what_is_neither(photos: Path, tmp_path: Path) -> None:
    for source in (photos, tmp_path / "nothing", photos / "a.png"):
        with pytest.raises(StoreError, match="neither"), merged(tmp_path / "whole", source):
            pass
    with (
        pytest.raises(StoreError, match="one of those"),
        merged(tmp_path / "one", tmp_path / "one"),
    ):
        pass


@pytest.mark.usefixtures("photos")
def test_only_some_kinds_are_no_store(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "one")
    report = export_store(store, tmp_path / "out", kinds=["fc"])
    assert report.rows == {"fc": 3}
    with (
        pytest.raises(ExportError, match="no conv and no region vectors"),
        merged(tmp_path / "whole", tmp_path / "out"),
    ):
        pass
    store.close()
