"""What a store that somebody else made can do: be read, within its folder, or be refused."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.errors import StoreCorruptError, StoreError, UntrustedStoreError
from indexer.optimize import optimize_store
from indexer.reading import ReadingOptions
from indexer.store import trust
from indexer.store.catalog.checksums import write_all_checksums, write_state
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.store import Store
from indexer.store.vectors.ivf import IvfIndex
from tests.desk import Desk, noisy_desk
from tests.segments import ivf_of


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A closed store of this account, with an IVF index, beside its photos."""
    (tmp_path / "home").mkdir()
    made = noisy_desk(tmp_path / "home")
    made.store.index_type = "balanced"
    optimize_store(made.store)
    made.store.close()
    return made


@pytest.fixture
def no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This account has no key yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))


@pytest.fixture
def foreign(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store, as another account sees it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    return desk.store.path


def forge(desk: Desk, *statements: str) -> Desk:
    """Change a catalogue, as somebody can who knows how its checksums are made."""
    catalog = SqlAlchemyCatalog(desk.store.path / "catalog.sqlite")
    with catalog.engine.begin() as connection:
        [(commits,)] = connection.exec_driver_sql("SELECT commits FROM state")
        for statement in statements:
            connection.exec_driver_sql(statement)
        write_all_checksums(connection)
        write_state(connection, commits + 1, seals=False)
    catalog.close()
    return desk


def never_read(*_: object, **__: object) -> IvfIndex:
    raise AssertionError("an index file is read")


# --- the key --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_key")
def test_a_seal_is_that_of_one_account_and_one_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not trust.is_seal_of("a", "")
    seal = trust.seal("a")
    assert trust.is_seal_of("a", seal)
    assert not trust.is_seal_of("b", seal)
    assert not trust.is_seal_of("a", seal[:-1] + "ä")
    assert not trust.is_seal_of("a", None)
    assert seal == trust.seal("a")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "third"))
    assert not trust.is_seal_of("a", seal)
    assert trust.seal("a") != seal


@pytest.mark.usefixtures("no_key")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_the_account_may_read_its_key() -> None:
    trust.seal("a")
    assert stat.S_IMODE(trust.key_file().stat().st_mode) == 0o600
    assert [file.name for file in trust.key_file().parent.iterdir()] == ["seal.key"]


@pytest.mark.usefixtures("no_key")
@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_damaged_key_seals_nothing(content: bytes) -> None:
    trust.key_file().parent.mkdir(parents=True)
    trust.key_file().write_bytes(content)
    assert trust.seal("a") == trust.NO_SEAL
    assert not trust.is_seal_of("a", trust.NO_SEAL)


def test_where_no_key_can_be_kept_nothing_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    assert trust.seal("a") == trust.NO_SEAL


# --- stores ---------------------------------------------------------------------------------------


def test_ones_own_store_is_trusted_wherever_it_is_moved(desk: Desk, tmp_path: Path) -> None:
    shutil.move(desk.store.path.parent, tmp_path / "moved")
    store = Store.open(tmp_path / "moved" / ".cbir")
    assert not store.is_foreign
    assert ivf_of(store, store.spec.kinds[0]) is not None
    store.close()


def test_the_index_of_somebody_else_is_not_read_but_made_again(
    foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(foreign)
    assert store.is_foreign
    with monkeypatch.context() as patch:
        patch.setattr(IvfIndex, "read", never_read)
        for kind in store.spec.kinds:
            assert ivf_of(store, kind) is None
        optimize_store(store)
    store.close()
    store = Store.open(foreign)
    for kind in store.spec.kinds:
        assert ivf_of(store, kind) is not None
    store.close()


@pytest.mark.parametrize("by_setting", [False, True])
def test_a_store_can_be_trusted(
    foreign: Path, monkeypatch: pytest.MonkeyPatch, by_setting: bool
) -> None:
    if by_setting:
        monkeypatch.setenv("CBIR_TRUST", "1")
    store = Store.open(foreign, trusts=not by_setting)
    assert ivf_of(store, store.spec.kinds[0]) is not None
    with store.writing():
        store.remember_root(1, options=ReadingOptions())
    store.close()
    monkeypatch.delenv("CBIR_TRUST", raising=False)
    store = Store.open(foreign)  # it is remembered
    assert ivf_of(store, store.spec.kinds[0]) is not None
    store.close()


def test_what_somebody_changed_is_no_longer_ones_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IvfIndex, "read", never_read)
    store = Store.open(forge(desk, "UPDATE lists SET nprobe = 2").store.path)
    assert store.is_foreign
    assert ivf_of(store, store.spec.kinds[0]) is None
    store.close()


OUTSIDE = ["/etc", "..", "photos/../..", "/"]


@pytest.mark.parametrize("root", OUTSIDE)
def test_folders_outside_are_refused(desk: Desk, root: str) -> None:
    forge(desk, f"UPDATE roots SET path = '{root}'")
    with pytest.raises(UntrustedStoreError, match=r"outside its own folder.*--trust"):
        Store.open(desk.store.path)
    store = Store.open(desk.store.path, trusts=True)
    assert store.roots() == {1: Path(os.path.normpath(desk.store.path.parent / root))}
    store.close()


def test_a_link_to_a_folder_outside_is_refused(desk: Desk, tmp_path: Path) -> None:
    (desk.store.path.parent / "away").symlink_to(tmp_path)
    forge(desk, "UPDATE roots SET path = 'away'")
    with pytest.raises(UntrustedStoreError, match=r"away, outside"):
        Store.open(desk.store.path)


def test_folders_that_turn_up_while_a_store_is_open_are_refused(desk: Desk) -> None:
    store = Store.open(desk.store.path)
    forge(desk, "UPDATE roots SET path = '/etc'")
    with pytest.raises(UntrustedStoreError):
        store.image_infos([1])
    store.close()


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.png", "a/../../secret.png"])
def test_paths_that_lead_out_of_their_folder_are_refused(desk: Desk, path: str) -> None:
    forge(desk, f"UPDATE images SET path = '{path}' WHERE id = 1")
    store = Store.open(desk.store.path)
    with pytest.raises(StoreCorruptError):
        store.image_infos([1])
    with pytest.raises(StoreCorruptError):
        store.known_files()
    store.close()


FORGERIES = [
    "UPDATE segments SET kind = '../../conv' WHERE kind = 'conv'",
    "UPDATE segments SET id = -5 WHERE kind = 'conv'",
    "UPDATE segments SET rows = 1000000000000 WHERE kind = 'conv'",
    "UPDATE segments SET dimension = 9000000000000000000 WHERE kind = 'conv'",
    "UPDATE segments SET dimension = 0 WHERE kind = 'conv'",
    "UPDATE segments SET rows = 'many' WHERE kind = 'conv'",
    "UPDATE segments SET checksum = 7 WHERE kind = 'conv'",
    "UPDATE lists SET form = '../x' WHERE kind = 'conv'",
    "UPDATE lists SET nprobe = 0 WHERE kind = 'conv'",
    "INSERT INTO spec SELECT 2, json, fingerprint, index_form, keypoints FROM spec",
]


@pytest.mark.parametrize("statement", FORGERIES)
def test_an_impossible_catalogue_is_refused(desk: Desk, statement: str) -> None:
    forge(desk, statement)

    def use() -> None:
        store = Store.open(desk.store.path)
        for kind in store.spec.kinds:
            store.vector_index(kind)

    with pytest.raises(StoreError):
        use()


SPECS = [
    {"size_px": 60_000},
    {"size_px": "320"},
    {"size_px": 320.5},
    {"size_px": True},
    {"crop_px": 0},
    {"gem_p": float("nan")},
    {"overlap": 0.9999},
    {"scales": []},
    {"scales": [0.5] * 1000},
    {"scales": "0.5"},
    {"scales": [[0.5]]},
    {"region_taps": [7]},
    {"regions": "../grid"},
    {"adaptation": 1},
    {"backbone": ["a"]},
    {"more": 1},
]


@pytest.mark.parametrize("change", SPECS)
def test_an_impossible_spec_is_refused(desk: Desk, change: dict[str, object]) -> None:
    text = json.dumps(json.loads(desk.store.spec.to_json()) | change).replace("'", "''")
    forge(desk, f"UPDATE spec SET json = '{text}'")
    with pytest.raises(StoreCorruptError, match="feature spec"):
        Store.open(desk.store.path)


LINKED: list[Callable[[Path], Path]] = [
    lambda store: store / "catalog.sqlite",
    lambda store: store / "lock",
    lambda store: next((store / "vectors").glob("*conv.vectors.npy")),
    lambda store: next((store / "vectors").glob("*.sums")),
    lambda store: next((store / "vectors").glob("*conv*.faiss")),
]


@pytest.mark.parametrize("choose", LINKED)
def test_linked_files_are_refused(
    desk: Desk, tmp_path: Path, choose: Callable[[Path], Path]
) -> None:
    file = choose(desk.store.path)
    elsewhere = tmp_path / "mine"
    shutil.copyfile(file, elsewhere)
    before = elsewhere.read_bytes()
    file.unlink()
    file.symlink_to(elsewhere)

    def use() -> None:
        store = Store.open(desk.store.path)
        for kind in store.spec.kinds:
            store.vector_index(kind)
        optimize_store(store)

    with pytest.raises(StoreError, match="is a link"):
        use()
    assert elsewhere.read_bytes() == before
