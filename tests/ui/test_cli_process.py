"""The installed command as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from PIL import Image
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import Result

import tests
from tests.pictures import noise
from tests.ui.conftest import Album
from ui.cli import app

TREE = Path(tests.__file__).parent.parent
GROUP = cast(TyperGroup, get_command(app))
COMMANDS = list(GROUP.commands)
CBIR = [sys.executable, "-m", "ui.cli"]


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*CBIR, *(os.fsencode(str(a)) for a in arguments)],
        cwd=TREE,
        env=os.environ | environment,
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_every_command_has_help(cbir: Callable[..., Result]) -> None:
    overview = cbir("--help").stdout
    for name in COMMANDS:
        assert name in overview
        done = cbir(name, "-h")
        assert done.exit_code == 0
        assert "Usage" in done.stdout
        assert f"cbir {name}" in done.stdout or name in done.stdout


def test_every_option_says_what_it_does() -> None:
    for name, command in GROUP.commands.items():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", ""), f"{name} {parameter.name}"


def test_help_as_a_process() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert b"index" in done.stdout
    assert done.stderr == b""


def test_errors_as_a_process(tmp_path: Path) -> None:
    done = run("query", tmp_path / "a.jpg", "--store", tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"Error: ")
    assert run("query").returncode == 2


@pytest.mark.parametrize("asked", [["chelsea.jpg"], ["--text", "tabby"]])
def test_a_query_on_the_default_network_loads_little(album: Album, asked: list[str]) -> None:
    code = (
        "import sys\n"
        "from ui.cli import app\n"
        "try:\n    app()\n"
        "finally:\n"
        "    heavy = {'torch', 'timm', 'torchvision', 'streamlit', 'sqlalchemy', 'alembic',"
        " 'sklearn', 'scipy', 'rich', 'pydantic', 'pillow_heif'} & set(sys.modules)\n"
        "    print(sorted(heavy), file=sys.stderr)"
    )
    asked = [str(album.photos / name) if name.endswith(".jpg") else name for name in asked]
    arguments = ["query", *asked, "--store", album.store, "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=TREE,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout)["hits"][0]["path"].endswith("chelsea.jpg")
    assert done.stderr.splitlines()[-1] == "[]"


def test_nothing_is_sent_anywhere(album: Album, tmp_path: Path) -> None:
    watched = tmp_path / "watched.py"
    watched.write_text(
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname'):\n"
        "        print('REACHES OUT', event, arguments, file=sys.stderr, flush=True)\n"
        "sys.addaudithook(watch)\n"
        "from ui.cli import main\n"
        "main()\n",
        "utf-8",
    )
    photos, store = tmp_path / "photos", tmp_path / "store"
    photos.mkdir()
    shutil.copy(album.photos / "chelsea.jpg", photos)
    environment = {**os.environ, "CBIR_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(TREE)}
    environment |= {"HOME": str(tmp_path), "CI": ""}  # not a machine where vendors keep still
    for arguments in (["index", photos], ["query", photos / "chelsea.jpg"]):
        command = [sys.executable, *map(str, [watched, *arguments, "--store", store])]
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=180, check=True, env=environment
        )
        assert "REACHES OUT" not in done.stderr
        assert "leaked" not in done.stderr  # what triton prints where Python ends in a hurry
    assert not (tmp_path / "intel").exists()  # where OpenVINO counts what it reports


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names there are always Unicode")
def test_a_name_that_cannot_be_printed(album: Album, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\x1b[31m.jpg")
    shutil.copytree(album.photos.parent, tmp_path / "copy")
    store, photos = tmp_path / "copy" / ".cbir", tmp_path / "copy" / "photos"
    (photos / "coffee.jpg").rename(photos / name)
    (photos / os.fsdecode(b"bad\xff.jpg")).write_text("no picture", "utf-8")
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    indexed = run("index", photos, "--store", store, **environment)
    assert indexed.returncode == 0, indexed.stderr
    asked = run("query", photos / name, "--store", store, **environment)
    assert asked.returncode == 0, asked.stderr
    assert b"\x1b" not in indexed.stdout + asked.stdout
    pages = ["--csv", "--html", tmp_path / "p.html", "--montage", tmp_path / "p.png"]
    drawn = run("query", photos / name, "--store", store, *pages, **environment)
    assert drawn.returncode == 0, drawn.stderr
    assert run("info", "--store", store, **environment).returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send there")
def test_ctrl_c_keeps_what_was_done(tmp_path: Path, album: Album) -> None:
    del album  # only so that the model is converted already
    (tmp_path / "photos").mkdir()
    for i in range(150):
        Image.fromarray(noise(i, 256, 256)).save(tmp_path / "photos" / f"{i:03}.png")
    store = tmp_path / ".cbir"
    arguments = ["index", str(tmp_path / "photos"), "--store", str(store)]
    process = subprocess.Popen([*CBIR, *arguments], cwd=TREE, stderr=subprocess.PIPE)
    try:
        while not (store / "lock").is_file():  # until then there is nothing to be kept
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"run it again to continue" in told
    assert b"Traceback" not in told
    finished = run(*arguments, "--json")
    report = json.loads(finished.stdout)
    assert report["added"] + report["unchanged"] == 150
