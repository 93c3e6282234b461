"""A store with its vectors in Milvus is like one with files: answers, crashes, damage."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from indexer.adapt import adapt_store
from indexer.diagnosis import examine
from indexer.doctor import Doctor
from indexer.errors import StoreError
from indexer.features.extractor import FeatureExtractor
from indexer.join import join_stores
from indexer.optimize import optimize_store, update_indexes
from indexer.store.config import StoreConfig
from indexer.store.reader import StoreReader
from indexer.store.store import Store
from indexer.store.vectors.milvus_collection import read_place
from indexer.store.vectors.milvus_store import MilvusVectorStore
from retrieval.query import Query
from tests.colour_grid import colour_extractor, region_spec
from tests.desk import Desk
from tests.indexer.test_killed import TREE
from tests.milvus import MilvusProcess
from tests.pictures import noise
from tests.store_contents import everything_in


def draw(photos: Path, *seeds: int) -> None:
    photos.mkdir(exist_ok=True)
    for seed in seeds:
        Image.fromarray(noise(seed, 80, 80)).save(photos / f"{seed}.png")


def made(folder: Path, name: str, url: str | None) -> Desk:
    store = Store.create(folder / name, region_spec("grid"), vectors_url=url)
    return Desk(folder / "photos", store)


@pytest.fixture
def desk(tmp_path: Path, milvus: MilvusProcess) -> Iterator[Desk]:
    draw(tmp_path / "photos", *range(6))
    desk = made(tmp_path, "store", milvus.url)
    yield desk
    desk.store.close()
    if desk.store.path.exists():
        Store.delete(desk.store.path)


def collection(desk: Desk, kind: str) -> str:
    """The live collection of a kind."""
    [entry] = desk.store.reader.state().files(kind).segments
    return read_place(entry)[0]


def own_collections(desk: Desk, milvus: MilvusProcess) -> list[str]:
    config = StoreConfig.read(desk.store.path)
    assert config is not None
    return [name for name in milvus.collections() if name.startswith(f"{config.schema}_")]


def check_same(desk: Desk, files: Desk) -> None:
    """Both hold the same vectors, and answer the same."""
    assert everything_in(desk.store) == everything_in(files.store)
    assert examine(desk.store.path).is_clean
    allowed = frozenset([desk.id_of("2.png"), desk.id_of("4.png"), desk.id_of("5.png")])
    for query in (
        Query(path=desk.photos / "2.png", search="image"),
        Query(path=desk.photos / "2.png", search="region", k=3),
        Query(path=desk.photos / "4.png", search="region", k=None, allowed=allowed),
    ):
        found, expected = (
            [
                (hit.image_id, hit.score, hit.region, hit.confidence)
                for hit in d.search().search(query)
            ]
            for d in (desk, files)
        )
        assert found
        assert found == expected


def test_it_is_like_one_with_files(desk: Desk, tmp_path: Path, milvus: MilvusProcess) -> None:
    files = made(tmp_path, "files", None)
    both = (desk, files)
    for each in both:
        each.index()
    draw(desk.photos, 6, 7)
    Image.fromarray(noise(20, 80, 80)).save(desk.photos / "1.png")
    (desk.photos / "0.png").rename(desk.photos / "moved.png")
    (desk.photos / "3.png").unlink()
    reports = [each.index() for each in both]
    assert [(r.added, r.updated, r.moved, r.removed) for r in reports] == [(2, 1, 1, 1)] * 2
    for each in both:
        update_indexes(each.store)
    assert len(desk.store.reader.state().removed) == 0
    assert len(desk.store.reader.state().segments) == len(desk.store.spec.kinds)
    check_same(desk, files)
    old, engine = collection(desk, "region"), desk.search()
    query = Query(path=desk.photos / "2.png", search="region", k=3)
    assert engine.search(query)
    for each in both:
        optimize_store(each.store)
        adapt_store(each.store)
    assert [hit.image_id for hit in engine.search(query)]  # it follows the commits
    assert collection(desk, "region") != old
    assert len(own_collections(desk, milvus)) == len(desk.store.spec.kinds)
    check_same(desk, files)
    files.store.close()


def test_parts_are_joined_into_it_and_out_of_it(
    desk: Desk, tmp_path: Path, milvus: MilvusProcess
) -> None:
    part, back = made(tmp_path, "part", None), made(tmp_path, "back", None)
    part.index()
    with closing(StoreReader.open(part.store.path)) as opened:
        assert join_stores(desk.store, [opened]).added == 6
    assert everything_in(desk.store) == everything_in(part.store)
    with closing(StoreReader.open(desk.store.path)) as opened:
        join_stores(back.store, [opened])
    assert everything_in(back.store) == everything_in(part.store)
    for each in (part, back):
        each.store.close()
    desk.store.close()
    own = own_collections(desk, milvus)
    assert len(own) == len(desk.store.spec.kinds)
    Store.delete(desk.store.path)
    assert not desk.store.path.exists()
    assert not {*own} & {*milvus.collections()}


# --- crashes --------------------------------------------------------------------------------------

IN_A_COMMIT = """
import sys, time
from contextlib import closing
from pathlib import Path
from indexer.store.store import Store
from indexer.store.catalog.transaction import CatalogTransaction
from tests.desk import Desk
desk = Desk(Path(sys.argv[2]), Store.open(Path(sys.argv[1])))
def wait():
    print("ready", flush=True)
    time.sleep(600)
desk.store.vectors.sync = wait
desk.index()
"""


def test_a_writer_and_a_server_killed_in_a_commit_leave_nothing_live(
    desk: Desk, milvus: MilvusProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.index()
    before = everything_in(desk.store)
    draw(desk.photos, 6, 7)
    command = [sys.executable, "-c", IN_A_COMMIT, str(desk.store.path), str(desk.photos)]
    with subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        milvus.kill()
        process.kill()
    gone = rf"on 127\.0\.0\.1:{milvus.port}, which cannot be used .*Check that the server runs"
    with monkeypatch.context() as patch:
        patch.setattr("indexer.store.vectors.milvus_server.CALL_S", 1.0)
        for work in (desk.index, lambda: everything_in(desk.store)):
            with pytest.raises(StoreError, match=gone):
                work()
    milvus.start()
    assert everything_in(desk.store) == before
    found = examine(desk.store.path)
    assert found.is_sound
    assert [f.what for f in found.findings] == ["24 rows in Milvus belong to no commit."]
    assert desk.index().added == 2
    assert examine(desk.store.path).is_clean
    desk.check_vectors()


# --- damage ---------------------------------------------------------------------------------------


def mend(desk: Desk) -> list[str]:
    def load(store: Store) -> Callable[[], FeatureExtractor]:
        return lambda: colour_extractor(spec=store.spec, adaptation=store.adaptation())

    repair = Doctor(load).repair(desk.store.path, examine(desk.store.path))
    assert repair.after.is_clean, repair.after.findings
    return repair.done


def test_lost_rows_and_collections_are_seen_and_mended(desk: Desk) -> None:
    desk.index()
    before = everything_in(desk.store)
    assert isinstance(desk.store.vectors, MilvusVectorStore)
    server = desk.store.vectors.server
    server.delete(collection(desk, "region"), f"image_id == {desk.id_of('2.png')}")
    server.drop(collection(desk, "fc"))
    with pytest.raises(StoreError, match="is missing in the Milvus database default on 127"):
        desk.store.vector_index(desk.store.find_kind("fc", "image"))
    found = [finding.what for finding in examine(desk.store.path).findings]
    assert "1 images have no region vectors." in found
    assert "6 images have no fc vectors." in found
    assert any("cbir doctor --repair" in line for line in found)
    mend(desk)
    assert desk.paths() == [f"{seed}.png" for seed in range(6)]
    after = everything_in(desk.store)
    assert {k: v[2] for k, v in after["vectors"].items()} == {
        k: v[2] for k, v in before["vectors"].items()
    }
    desk.check_vectors()
