from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from indexer.errors import (
    ConceptError,
    NoImagesError,
    SpecMismatchError,
    StoreChangedError,
    StoreCorruptError,
    StoreError,
    UntrustedStoreError,
)
from indexer.relocate import relocate_images
from indexer.store.contents import StoreContents
from indexer.store.reader import StoreReader
from indexer.store.store import Store
from indexer.store.tags import save_concept
from tests.colour_grid import region_spec
from tests.shards import build, joined


def test_other_specs_are_refused(photos: Path, parts: list[Path], tmp_path: Path) -> None:
    build(photos, tmp_path / "other", None, region_spec(scales=(0.7,)))
    with (
        pytest.raises(SpecMismatchError, match=r"part1 .*other .*scales=.*scales="),
        joined(tmp_path / "whole", [parts[0], tmp_path / "other"]),
    ):
        pass
    with (
        pytest.raises(SpecMismatchError, match=r"other .*part1 .*scales=.*scales="),
        joined(tmp_path / "other", [parts[0]]),
    ):
        pass


def test_too_many_parts_for_the_open_files(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (120, 120))
    with pytest.raises(StoreError, match="Join 2 at a time"), joined(tmp_path / "whole", parts):
        pass
    for two in (parts[:2], parts[2:]):
        with joined(tmp_path / "whole", two):
            pass


def test_a_part_cannot_be_the_whole(parts: list[Path]) -> None:
    with pytest.raises(StoreError, match="one of those"), joined(parts[0], parts):
        pass
    with pytest.raises(StoreError, match="shard 1/4 only"), joined(parts[0], parts[1:]):
        pass


def test_photos_that_are_elsewhere(photos: Path, parts: list[Path], tmp_path: Path) -> None:
    photos.rename(tmp_path / "mounted")
    with (
        pytest.raises(NoImagesError, match=f"{photos}.*cbir relocate {photos}"),
        joined(tmp_path / "whole", parts),
    ):
        pass
    for place in parts:
        store = Store.open(place)
        relocate_images(store, photos, tmp_path / "mounted")
        store.close()
    with joined(tmp_path / "whole", parts) as (whole, report):
        assert list(whole.roots().values()) == [tmp_path / "mounted"]
        assert report.added > 20


def test_somebody_elses_part_is_held_to_the_rules_of_trust(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "theirs").mkdir()
    shutil.copytree(parts[0], tmp_path / "theirs" / "part")
    store = Store.open(tmp_path / "theirs" / "part")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    relocated = tmp_path / "photos"
    store.move_root(1, relocated)
    store.close()
    with (
        pytest.raises(UntrustedStoreError, match="--trust"),
        joined(tmp_path / "mine" / "whole", [tmp_path / "theirs" / "part"]),
    ):
        pass
    monkeypatch.setenv("CBIR_TRUST", "1")
    with joined(tmp_path / "mine" / "whole", [tmp_path / "theirs" / "part"]) as (whole, report):
        assert report.added
        assert not whole.is_foreign


@pytest.mark.parametrize("file", ["*-region.vectors.npy", "*-conv.vectors.npy", "*.ids.npy"])
def test_a_damaged_part_is_refused(parts: list[Path], tmp_path: Path, file: str) -> None:
    damaged = next((parts[1] / "vectors").glob(file))
    data = bytearray(damaged.read_bytes())
    data[-3] ^= 0xFF
    damaged.write_bytes(data)
    with pytest.raises(StoreCorruptError, match="doctor"), joined(tmp_path / "whole", parts):
        pass


def test_a_part_that_changes_meanwhile(parts: list[Path]) -> None:
    reader = StoreReader.open(parts[0])
    contents = StoreContents(reader)
    ids = [row.id for row in contents.files]
    assert len(contents.entries(ids)) == len(ids)
    store = Store.open(parts[0])
    with store.writing():
        store.remove(ids[:1])
    store.close()
    with pytest.raises(StoreChangedError, match="part1"):
        contents.entries(ids[1:])
    reader.close()


def test_different_concepts_of_one_name_are_refused(parts: list[Path], tmp_path: Path) -> None:
    for text, place in zip("12", parts, strict=False):
        store = Store.open(place)
        with store.writing():
            save_concept(store, "cat", text)
        store.close()
    with (
        pytest.raises(ConceptError, match=r"part1.*part2.*'cat'"),
        joined(tmp_path / "whole", parts),
    ):
        pass
    assert not (tmp_path / "whole").exists()
