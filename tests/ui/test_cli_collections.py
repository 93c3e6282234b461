"""The commands of docs/collections.md, in their order, on the sample."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.sample import SAMPLE

REPOSITORY = SAMPLE.parents[1]
PAGE = (REPOSITORY / "docs" / "collections.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def test_each_command_works_after_the_one_before(
    cbir: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").symlink_to(REPOSITORY / "data")
    monkeypatch.chdir(tmp_path)
    printed = {}
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "cbir"
        done = cbir(*arguments)
        assert done.exit_code == 0, f"{command}\n{done.output}"
        printed[command] = done.stdout
    copies = Path("copies.txt").read_text("utf-8").splitlines()
    assert len(copies) >= 10
    names = {Path(line).name for line in copies}
    assert {"grass-3.jpg", "grass-5.jpg"} <= names  # copies of the original that was chosen
    assert not any(name.startswith(("grass-1", "clock")) for name in names)
    assert Path("found", "hits.csv").exists()
    [priced] = [text for command, text in printed.items() if "price<20" in command]
    assert "K-101" in priced
    assert "clock" not in priced
