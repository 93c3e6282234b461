from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tests
from indexer.build import index_photos
from indexer.errors import ClusterError
from indexer.features.extractor import FeatureExtractor
from indexer.ray_pipeline import RayPipeline, Shares, Worker
from indexer.run import BuildOptions
from indexer.scan import scan_places
from indexer.store.store import Store
from tests.colour_grid import region_spec
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, RED, noise, plain
from tests.sample import SAMPLE
from tests.store_contents import everything_in

IMAGES = 150


@pytest.fixture(scope="session")
def ray() -> None:
    """Ray is installed."""
    if importlib.util.find_spec("ray") is None:
        missing = "Ray is not installed: pip install 'cbir[ray]'"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number in range(IMAGES):
        place = folder / str(number % 3)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(number, 40 + number % 7, 50)).save(place / f"{number}.png")
    (folder / "1" / "bad.jpg").write_text("x", "utf-8")
    Image.new("RGB", (40, 40), "white").save(folder / "blank.png")
    return folder


def build_on_ray(*arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.indexer.ray_build", *map(str, arguments)],
        cwd=Path(tests.__file__).parent.parent,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=280,
    )


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("dies", [False, True])
def test_two_workers_make_the_store_of_one_process(
    photos: Path, tmp_path: Path, dies: bool
) -> None:
    one = Desk(photos, Store.create(tmp_path / "one", region_spec()))
    wanted = index_photos(one.store, [photos], one.extractor, BuildOptions(pages="all"))
    Store.create(tmp_path / "ray", region_spec()).close()
    fuse = tmp_path / "fuse"
    fuse.touch()
    done = build_on_ray(tmp_path / "ray", photos, *([fuse] if dies else []))
    assert done.returncode == 0, done.stderr
    assert fuse.exists() is not dies
    report = {"added": wanted.added, "failed": len(wanted.failed)}
    assert json.loads(done.stdout) == report
    made = Store.open(tmp_path / "ray")
    assert everything_in(made) == everything_in(one.store)
    made.close()
    one.store.close()


@pytest.mark.usefixtures("ray")
def test_the_default_network_gives_the_same_there(lite0: FeatureExtractor, tmp_path: Path) -> None:
    one = Store.create(tmp_path / "one", lite0.spec)
    index_photos(one, [SAMPLE / "images"], lambda: lite0)
    Store.create(tmp_path / "ray", lite0.spec).close()
    done = build_on_ray(tmp_path / "ray", SAMPLE / "images")
    assert done.returncode == 0, done.stderr
    made = Store.open(tmp_path / "ray")
    assert everything_in(made) == everything_in(one)
    made.close()
    one.close()


@pytest.mark.usefixtures("ray")
def test_workers_that_keep_dying_end_the_run(photos: Path, tmp_path: Path) -> None:
    Store.create(tmp_path / "ray", region_spec()).close()
    fuses = [tmp_path / f"fuse{number}" for number in range(60)]
    for fuse in fuses:
        fuse.touch()
    done = build_on_ray(tmp_path / "ray", photos, *fuses)
    assert done.returncode == 1
    assert "Error: The workers on the Ray cluster failed" in done.stderr
    assert any(fuse.exists() for fuse in fuses)


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "nonsense", "ray://[::1]:1"])
def test_a_cluster_that_is_not_there(desk: Desk, address: str) -> None:
    plain(desk.photos / "a.png", RED)
    with pytest.raises(ClusterError, match=f"{re.escape(address)} cannot be used"):
        index_photos(desk.store, [desk.photos], desk.extractor, BuildOptions(ray=address))


def test_a_worker_leaves_known_bytes_alone(desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    plain(desk.photos / "b.png", GREEN)
    plain(desk.photos / "c.png", BLUE)
    desk.index(desk.photos / "a.png")
    (desk.photos / "a.png").touch()
    with desk.store.writing():
        tasks = scan_places(desk.store, [desk.photos]).tasks
    batch = np.empty(len(tasks), object)
    batch[:] = tasks
    moved = hashlib.sha256((desk.photos / "b.png").read_bytes()).digest()
    worker = Worker(
        *(desk.extractor, frozenset({moved})),
        part=2,
        threads=2,
        memory=1 << 30,
        time_limit_s=60,
        environment={},
    )
    items = [item for some in worker({"task": batch})["items"] for item in some]
    assert [item.task for item in items] == tasks
    described = {item.task.path.name for item in items if item.features is not None}
    assert described == {"c.png"}


def machine(cpus: int, gpus: int = 0, alive: bool = True) -> dict[str, Any]:
    resources = {"CPU": float(cpus)} | ({"GPU": float(gpus)} if gpus else {})
    return {"Alive": alive, "Resources": resources if cpus else {}}


@pytest.mark.parametrize(
    ("machines", "workers", "shares"),
    [
        ([machine(2)], None, Shares(1, 1, 2, 0)),
        ([machine(2)], 2, Shares(2, 2, 1, 0)),
        ([machine(16), machine(8), machine(4, alive=False)], None, Shares(2, 1, 8, 0)),
        ([machine(0), machine(8), machine(8)], 3, Shares(3, 2, 4, 0)),
        ([machine(16, 4), machine(8, 1), machine(64)], None, Shares(5, 4, 4, 1)),
    ],
)
def test_machines_are_shared(
    machines: list[dict[str, Any]], workers: int | None, shares: Shares
) -> None:
    assert Shares.of(machines, workers) == shares


def test_without_gpus_there_is_a_worker_a_machine() -> None:
    assert Shares.of([machine(8, 2), machine(8)], on_gpus=False) == Shares(2, 1, 8, 0)


def test_a_cluster_without_processors() -> None:
    with pytest.raises(ClusterError, match="no processors"):
        Shares.of([machine(0)])


def test_without_ray(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install 'cbir\[ray\]'"):
        next(RayPipeline("auto", desk.extractor, ()).run([]))
