"""Each heavy dependency has one home, and is loaded only where it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests

TREE = Path(tests.__file__).parent.parent
PACKAGES = ("indexer", "retrieval", "ui")
TORCH = (  # to describe, to train from scratch, and to fetch PASCAL VOC
    "indexer/features/",
    "retrieval/evaluation/scratch.py",
    "retrieval/evaluation/contenders.py",
    "retrieval/evaluation/voc.py",
)
HOMES: dict[str, str | tuple[str, ...]] = {
    "faiss": "indexer/store/vectors/faiss_runtime.py",
    "sqlalchemy": "indexer/store/",
    "sqlite3": "indexer/store/",
    "alembic": "indexer/store/",
    "filelock": "indexer/store/",
    "lark": "indexer/store/filter_language.py",
    "torch": TORCH,
    "torchvision": TORCH,
    "timm": TORCH,
    "sklearn": (
        "retrieval/calibration.py",
        "retrieval/evaluation/handcrafted.py",
        "retrieval/evaluation/probes.py",
    ),
    "jsonschema": "retrieval/evaluation/manifest.py",
    "scipy": "retrieval/ridge.py",
    "openvino": "indexer/features/engines/openvino_runtime.py",
    "pillow_heif": "indexer/images/formats.py",
    "typer": "ui/cli/",
    "click": "ui/cli/",
    "starlette": ("ui/access.py", "ui/api/", "ui/cli/serv", "ui/page_routes/"),
    "fastapi": "ui/api/",
    "pydantic": "ui/api/",
    "uvicorn": "ui/api/connections.py",
    "prometheus_client": "ui/api/watching.py",
    "httpx": "ui/client.py",
    "streamlit": "ui/",
    "altair": "ui/",
    "pandas": "ui/",
    "pyarrow": "indexer/exports/parquet_files.py",
    "pymilvus": "indexer/store/vectors/milvus_server.py",
    "grpc": "indexer/store/vectors/milvus_server.py",
    "openTSNE": "retrieval/map_layout.py",
    "ray": "indexer/ray_pipeline.py",
    "jinja2": "ui/",
    "rich": "ui/",
    "httpcore": "ui/fetch",
    "fsspec": "indexer/sources/file_systems.py",
    "aiohttp": "indexer/sources/",
    "botocore": "indexer/sources/faults.py",
    "gcsfs": "indexer/sources/faults.py",
    "tenacity": "indexer/sources/faults.py",
}
ALLOWED = {"indexer": {"indexer"}, "retrieval": {"indexer", "retrieval"}, "ui": set(PACKAGES)}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((TREE / package).rglob("*.py")):
            name = path.relative_to(TREE).as_posix()
            yield name, ast.parse(path.read_text("utf-8"), name)


def imported(module: ast.Module) -> set[str]:
    """Return the top-level names of everything imported anywhere in a module."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("dependency", HOMES)
def test_each_heavy_dependency_has_one_home(dependency: str) -> None:
    users = [name for name, module in sources() if dependency in imported(module)]
    assert [name for name in users if not name.startswith(HOMES[dependency])] == []


def test_the_homes_are_lived_in() -> None:
    used = set().union(*(imported(module) for _, module in sources()))
    assert set(HOMES) - used <= {"click"}


def test_imports_run_one_way() -> None:
    for name, module in sources():
        package = name.split("/")[0]
        assert imported(module) & set(PACKAGES) <= ALLOWED[package], name


def test_every_package_is_installed() -> None:
    text = (TREE / "pyproject.toml").read_text("utf-8")
    for package in PACKAGES:
        for init in (TREE / package).rglob("__init__.py"):
            name = ".".join(init.parent.relative_to(TREE).parts)
            assert f'"{name}"' in text, name


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python has loaded after running `code`."""
    report = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        cwd=TREE,
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import contextlib, io\n"
        "from ui.cli import app\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    app(['--help'])"
    )
    heavy = {
        "torch",
        "torchvision",
        "timm",
        "openvino",
        "faiss",
        "sqlalchemy",
        "streamlit",
        "PIL",
        "pyarrow",
        "httpcore",
        "fsspec",
        "s3fs",
        "aiohttp",
        "tenacity",
    }
    assert modules_after(code) & heavy == set()


def test_the_search_engine_needs_no_torch() -> None:
    loaded = modules_after("import retrieval.engine, indexer.features.engines.openvino")
    heavy = {"torch", "timm", "torchvision", "streamlit", "typer", "httpcore", "sklearn", "scipy"}
    heavy |= {"fsspec", "s3fs", "aiohttp", "tenacity"}
    assert loaded & heavy == set()
    assert "openvino" in loaded
