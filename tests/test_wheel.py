"""The wheel: built from the sdist, installed beside packages of a user, and used from there."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import tests
from tests.sample import SAMPLE
from tests.ui.browser.conftest import serving

TREE = Path(tests.__file__).parents[1]
PACKAGES = ("indexer", "retrieval", "ui")
BUILT_FROM = (
    "build_commands.py",
    "cbir.py",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
)
SOURCES = "frontend"  # of ui/bundle, which is what runs
PHOTOS = ("cat-1", "cat-2", "coffee-1", "coins-1")
DECOY = 'raise ImportError("this package is of somebody else")\n'
MODULE_NAME = re.compile(r"\b(indexer|retrieval|ui)\.[a-z_]+\b|^(indexer|retrieval|ui):")
BUILD = (
    "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
)
SHOW_PAGE = (
    "from pathlib import Path\n"
    "import cbir\n"
    "from streamlit.testing.v1 import AppTest\n"
    "script = Path(cbir.__file__).parent / 'ui' / 'app.py'\n"
    "shown = AppTest.from_file(script, default_timeout=100).run()\n"
    "print([error.value for error in [*shown.exception, *shown.error]])"
)


def run(*command: object, here: Path) -> str:
    """Run a program in a folder, where it finds no module of the checkout."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=here,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pip(*arguments: object, here: Path) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")
    run(sys.executable, "-m", "pip", *arguments, *options, here=here)


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel, and an empty folder to call it from."""

    folder: Path
    here: Path

    @property
    def command(self) -> Path:
        return self.folder / "bin" / "cbir"

    def run(self, *command: object) -> str:
        """Run a program of the environment; returns what it prints."""
        name, *arguments = command
        return run(self.folder / "bin" / str(name), *arguments, here=self.here)

    def python(self, code: str) -> str:
        return self.run("python", "-c", code)


def environment(folder: Path, here: Path, wheel: Path) -> Installed:
    """Make an environment with a wheel, and the dependencies of this one."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, here=here)
    pip("--python", folder / "bin" / "python", "install", wheel, here=here)
    # Folders that are named in this file are searched, but their own .pth files are not read.
    dependencies = [path for path in sys.path if Path(path).name.endswith("-packages")]
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(dependencies) + "\n", "utf-8")
    return Installed(folder, here)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout: building leaves files there."""
    checkout = tmp_path_factory.mktemp("checkout")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(TREE / package, checkout / package, ignore=ignored)
    for name in BUILT_FROM:
        shutil.copy(TREE / name, checkout / name)
    return checkout


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-c", BUILD, "build_sdist", folder, here=checkout)
    [sdist] = folder.glob("cbir-*.tar.gz")
    pip("wheel", sdist, "--no-build-isolation", "--wheel-dir", folder, here=folder)
    [wheel] = folder.glob("cbir-*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, and beside it packages of a user, which nothing of it may load."""
    folder, here = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("empty")
    installed = environment(folder, here, wheel)
    [packages] = folder.glob("lib/python*/site-packages")
    for name in PACKAGES:
        (packages / name).mkdir()  # which fails where the wheel has a package of that name
        (packages / name / "__init__.py").write_text(DECOY, "utf-8")
    return installed


@pytest.fixture(scope="module")
def store(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store made by the installed command, of photos and a GIF, which another process decodes."""
    folder = tmp_path_factory.mktemp("indexed")
    photos = folder / "photos"
    photos.mkdir()
    for name in PHOTOS:
        shutil.copy(SAMPLE / "images" / f"{name}.jpg", photos)
    Image.open(photos / "cat-1.jpg").save(photos / "cat.gif")
    report = json.loads(
        installed.run("cbir", "index", photos, "--store", folder / ".cbir", "--json")
    )
    assert (report["added"], report["failed"]) == (len(PHOTOS) + 1, [])
    return folder / ".cbir"


def modules(wheel: Path) -> Iterator[tuple[str, ast.Module]]:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                yield name, ast.parse(archive.read(name))


def texts(module: ast.Module) -> Iterator[str]:
    """Yield the strings of a module, without those that stand alone, as docstrings do."""
    alone = {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in alone:
            yield node.value


def test_the_wheel_holds_the_tree_below_one_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = {
        f"cbir/{path.relative_to(TREE).as_posix()}"
        for package in PACKAGES
        for path in (TREE / package).rglob("*")
        if path.is_file() and not {"__pycache__", SOURCES} & {*path.parts}
    }
    files |= {"cbir/__init__.py", "cbir/py.typed"}
    assert {name for name in names if ".dist-info/" not in name} == files
    assert [name for name in names if name.endswith("/top_level.txt")] == []


def test_the_image_is_built_from_the_same_files() -> None:
    lines = (TREE / ".dockerignore").read_text("utf-8").splitlines()
    assert {line[1:] for line in lines if line.startswith("!")} == {*BUILT_FROM, *PACKAGES}


def test_no_module_of_the_wheel_imports_from_the_top(wheel: Path) -> None:
    for name, module in modules(wheel):
        imported = [
            alias.name if isinstance(node, ast.Import) else node.module or ""
            for node in ast.walk(module)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        ]
        assert {module.partition(".")[0] for module in imported} & set(PACKAGES) == set(), name


def test_no_string_of_the_wheel_names_a_module_of_the_tree(wheel: Path) -> None:
    for name, module in modules(wheel):
        if name == "cbir/__init__.py":
            continue  # its names are relative; `test_the_library` imports each
        assert [text for text in texts(module) if MODULE_NAME.search(text)] == [], name


def test_the_decoys_are_what_a_user_imports(installed: Installed) -> None:
    for name in PACKAGES:
        code = f"try:\n    import {name}\nexcept ImportError as error:\n    print(error)"
        assert installed.python(code) == "this package is of somebody else\n"


def test_the_library(installed: Installed) -> None:
    code = (
        "import cbir\n"
        "for name in cbir.__all__:\n"
        "    assert getattr(cbir, name).__module__.startswith('cbir')\n"
        "from cbir import Query, SearchEngine, index_photos\n"
        "print(cbir.__file__)"
    )
    place = Path(installed.python(code).strip())
    assert place.is_relative_to(installed.folder)
    assert place.name == "__init__.py"


def test_the_library_searches(installed: Installed, store: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from cbir import Query, SearchEngine\n"
        f"photo = Path({str(SAMPLE / 'images' / 'cat-1.jpg')!r})\n"
        f"hits = SearchEngine.open({str(store)!r}).search(Query(path=photo, k=2))\n"
        "print(*sorted(hit.path.name for hit in hits))"
    )
    assert installed.python(code) == "cat-1.jpg cat.gif\n"


def test_an_editable_install_runs_the_checkout(checkout: Path, tmp_path: Path) -> None:
    run(sys.executable, "-c", BUILD, "build_editable", tmp_path, here=checkout)
    [wheel] = tmp_path.glob("cbir-*.whl")
    editable = environment(tmp_path / "environment", tmp_path, wheel)
    assert editable.run("cbir", "--version").startswith("cbir ")
    code = "import cbir, indexer\nprint(cbir.__file__, indexer.__file__, cbir.Query.__module__)"
    files = f"{checkout / 'cbir.py'} {checkout / 'indexer' / '__init__.py'}"
    assert editable.python(code) == f"{files} retrieval.query\n"


def test_the_command_knows_its_version(installed: Installed) -> None:
    assert re.fullmatch(r"cbir \d+\.\d+\.\d+\n", installed.run("cbir", "--version"))


def test_a_query_with_its_page(installed: Installed, store: Path, tmp_path: Path) -> None:
    photo, page = SAMPLE / "images" / "coins-2.jpg", tmp_path / "hits.html"
    printed = installed.run("cbir", "query", photo, "--store", store, "--json", "--html", page)
    assert Path(json.loads(printed)["hits"][0]["path"]).name == "coins-1.jpg"
    assert "coins-1.jpg" in page.read_text("utf-8")


@pytest.mark.parametrize(
    "arguments", [("query", "--text", "espresso"), ("info",), ("doctor",)], ids=" ".join
)
def test_commands_on_a_store(installed: Installed, store: Path, arguments: tuple[str, ...]) -> None:
    printed: dict[str, Any] = json.loads(
        installed.run("cbir", *arguments, "--store", store, "--json")
    )
    assert printed


def test_the_networks_are_listed(installed: Installed) -> None:
    assert "efficientnet_lite0" in installed.run("cbir", "backbones", "--json")


def test_the_pages_are_served(
    installed: Installed, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--no-browser" in installed.run("cbir", "ui", "--help")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with (
        serving(store, command=[str(installed.command)]) as address,
        urllib.request.urlopen(address, timeout=60) as answer,
    ):
        assert answer.status == 200


def test_the_page_is_drawn(
    installed: Installed, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBIR_STORE", str(store))
    assert installed.python(SHOW_PAGE) == "[]\n"
