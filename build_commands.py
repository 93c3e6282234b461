"""Builds the wheel as one package, so that no module of it can collide with one of its users.

In a checkout, and in an editable install of it, `cbir.py` lies beside `indexer`, `retrieval` and
`ui`. A wheel has them below the package `cbir`, of which `cbir.py` is the `__init__.py`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

PACKAGE = "cbir"


def move_imports(source: str, packages: Iterable[str]) -> str:
    """Return the source of a module with its imports from `packages` led below `PACKAGE`.

    The only form that it knows is `from package.module import name`.
    """
    names = "|".join(map(re.escape, packages))
    pattern = re.compile(rf"^(\s*from )(?=(?:{names})(?:\.[\w.]+)? import\b)", re.MULTILINE)
    return pattern.sub(rf"\1{PACKAGE}.", source)


class BuildOnePackage(build_py):
    """Copies modules and data below `PACKAGE`, unless the install is editable."""

    build_lib: str
    editable_mode: bool
    packages: list[str]

    def run(self) -> None:
        if self.editable_mode:
            return
        if Path(self.build_lib).exists():  # what an earlier build left would go into the wheel
            shutil.rmtree(self.build_lib)
        self.build_lib = str(Path(self.build_lib) / PACKAGE)
        super().run()
        Path(self.build_lib, "py.typed").touch()

    def get_module_outfile(self, build_dir: str, package: list[str], module: str) -> str:
        is_top = module == PACKAGE and not any(package) and not self.editable_mode
        name = "__init__" if is_top else module
        place: str = super().get_module_outfile(build_dir, package, name)
        return place

    def build_module(self, module: str, module_file: str, package: str) -> tuple[str, bool]:
        place, copied = super().build_module(module, module_file, package)
        path = Path(place)
        names = {name.partition(".")[0] for name in self.packages}
        path.write_text(move_imports(path.read_text("utf-8"), names), "utf-8")
        return place, copied


class BuildWheel(bdist_wheel):
    """Leaves out `top_level.txt`, which would list the folders of the checkout."""

    def egg2dist(self, egginfo_path: str, distinfo_path: str) -> None:
        super().egg2dist(egginfo_path, distinfo_path)
        Path(distinfo_path, "top_level.txt").unlink(missing_ok=True)
