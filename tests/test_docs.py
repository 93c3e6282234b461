"""The documents keep up with the program: its commands, its modules and its public names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import cbir
import tests
from ui.cli import app

TREE = Path(tests.__file__).parent.parent
REFERENCE = TREE / "docs" / "reference"
PACKAGES = ("indexer", "retrieval", "ui")
SETTING = re.compile(r"\bCBIR_[A-Z_]+\b")
BLOCK = re.compile(r"^::: (\S+)$", re.MULTILINE)
CROSS_REFERENCE = re.compile(r"\[`(\w+)`\]\[([\w.]+)\]")


def public_modules() -> Iterator[str]:
    """Yield the modules of the packages by name; versions of the schema are not for readers."""
    yield "cbir"
    for package in PACKAGES:
        for path in sorted((TREE / package).rglob("*.py")):
            parts = path.relative_to(TREE).with_suffix("").parts
            if "migrations" not in parts and not parts[-1].startswith("_"):
                yield ".".join(parts)


def documented() -> list[str]:
    """Return what the pages of the reference have blocks for."""
    return [
        name
        for page in sorted(REFERENCE.glob("*.md"))
        for name in BLOCK.findall(page.read_text("utf-8"))
    ]


@pytest.mark.parametrize("module", list(public_modules()))
def test_every_module_is_in_the_reference(module: str) -> None:
    assert documented().count(module) == 1


def test_the_reference_names_nothing_that_is_gone() -> None:
    for name in documented():
        path = TREE / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name


@pytest.mark.parametrize("name", cbir.__all__)
def test_every_public_name_leads_to_its_description(name: str) -> None:
    targets = dict(CROSS_REFERENCE.findall((REFERENCE / "cbir.md").read_text("utf-8")))
    assert name in targets
    described = getattr(cbir, name)
    assert targets[name] == f"{described.__module__}.{described.__qualname__}"
    assert described.__module__ in documented()


def test_every_page_is_in_the_navigation() -> None:
    navigation = (TREE / "mkdocs.yml").read_text("utf-8")
    docs = TREE / "docs"
    for page in docs.rglob("*.md"):
        assert f" {page.relative_to(docs).as_posix()}\n" in navigation, page


def test_the_pages_load_nothing_from_elsewhere() -> None:
    settings = (TREE / "mkdocs.yml").read_text("utf-8")
    assert "font: false" in settings
    assert "http" not in settings


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *sorted(p.name for p in (TREE / "docs").glob("*.md"))]
)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    path = TREE / page if (TREE / page).exists() else TREE / "docs" / page
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target


def test_every_setting_is_documented() -> None:
    page = (TREE / "docs" / "deploy.md").read_text("utf-8")
    sources = [path for package in PACKAGES for path in (TREE / package).rglob("*.py")]
    settings = {name for path in sources for name in SETTING.findall(path.read_text("utf-8"))}
    assert "CBIR_STORE" in settings
    assert [name for name in sorted(settings) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("command", list(cast(TyperGroup, get_command(app)).commands))
def test_the_readme_names_every_command(command: str) -> None:
    readme = (TREE / "README.md").read_text("utf-8")
    assert re.search(rf"\bcbir {command}\b", readme), f"README.md does not mention cbir {command}"
