from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import tests
from indexer.build import index_photos
from indexer.errors import ClusterError
from indexer.features.extractor import FeatureExtractor
from indexer.ray_pipeline import RayPipeline
from indexer.run import BuildOptions
from indexer.store.store import Store
from tests.colour_grid import region_spec
from tests.desk import Desk
from tests.pictures import RED, noise, plain
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
    (folder / "1" / "bad.jpg").write_text("x")
    Image.new("RGB", (40, 40), "white").save(folder / "blank.png")
    return folder


def build_on_ray(*arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.indexer.ray_build", *map(str, arguments)],
        cwd=Path(tests.__file__).parent.parent,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
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


def test_without_ray(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install 'cbir\[ray\]'"):
        next(RayPipeline("auto", desk.extractor, ()).run([]))
