"""Decoders in processes of their own: what happens there costs one file, and nothing stays."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tests
from indexer.errors import (
    ImageError,
    ImageTooLargeError,
    InaccessibleImageError,
    UnreadableImageError,
)
from indexer.images import decode, decoder_pool
from indexer.images.decode import LoadedImage, load_image
from indexer.images.decoder_pool import DecoderPool
from indexer.images.request import ImageRequest
from tests.pictures import is_upright, quadrants

TREE = Path(tests.__file__).parent.parent
Misbehave = Callable[[str], None]


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[DecoderPool]:
    own = DecoderPool()
    monkeypatch.setattr(decode, "POOL", own)
    yield own
    own.close()


@pytest.fixture
def misbehave(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> Misbehave:
    """Let decoders do something else than to decode."""
    del pool

    def let(statement: str) -> None:
        program = f"""
import os, signal, sys, time
from indexer.images import decoder_process, formats
def do(stream, wanted):
    wanted.reserve(1000)
    {statement}
formats._load = do
decoder_process.main()
"""
        monkeypatch.setattr(decoder_pool, "COMMAND", (sys.executable, "-P", "-c", program))

    return let


def tiff(tmp_path: Path) -> Path:
    path = tmp_path / "a.tif"
    quadrants().save(path)
    return path


def fail(path: Path, time_limit_s: float = 60) -> ImageError:
    with pytest.raises(ImageError) as caught:
        load_image(path, time_limit_s=time_limit_s)
    return caught.value


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_common_pictures_need_no_process(tmp_path: Path, pool: DecoderPool, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    quadrants().save(path)
    assert is_upright(load_image(path).image)
    assert pool.processes == 0


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".bmp", ".jp2", ".avif", ".ppm", ".tga"])
def test_one_process_serves_all_others(tmp_path: Path, pool: DecoderPool, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    quadrants().save(path)
    sources: list[Path | bytes | io.BytesIO] = [path, path.read_bytes()]
    for source in [*sources, io.BytesIO(path.read_bytes())]:
        assert is_upright(load_image(source).image)
    assert pool.processes == 1


def test_moving_deep_and_large_pictures_are_decoded_apart(
    tmp_path: Path, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = quadrants()
    first.save(tmp_path / "a.png", save_all=True, append_images=[first.rotate(90)])
    Image.fromarray(np.arange(10_000, dtype=np.uint16).reshape(100, 100)).save(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        load_image(tmp_path / name)
        assert pool.processes == 1
        pool.close()
    monkeypatch.setattr("indexer.images.formats.LARGE", 48 * 32 - 1)
    first.save(tmp_path / "c.jpg")
    load_image(tmp_path / "c.jpg")
    assert pool.processes == 1


def test_faults_are_those_of_this_process(tmp_path: Path, pool: DecoderPool) -> None:
    path = tiff(tmp_path)
    for limit, kind in ((10, ImageTooLargeError), (10_000, UnreadableImageError)):
        with pytest.raises(kind, match="a name"):
            load_image(path.read_bytes()[: -limit // 100], max_pixels=limit, name="a name")
    assert pool.processes == 1


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("os.abort()", "its decoder crashed (SIGABRT)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its decoder crashed (SIGSEGV)"),
        ("sys.exit(3)", "its decoder failed: exit code 3"),
        ("raise LookupError('of no kind that is known')", "of no kind that is known"),
    ],
)
def test_a_crash_costs_one_file(
    tmp_path: Path,
    misbehave: Misbehave,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    reason: str,
) -> None:
    good = decoder_pool.COMMAND
    misbehave(statement)
    error = fail(tiff(tmp_path))
    assert reason in error.reason
    assert error.is_lasting
    monkeypatch.setattr(decoder_pool, "COMMAND", good)
    assert is_upright(load_image(tiff(tmp_path)).image)


def test_a_decoder_that_hangs_is_ended(tmp_path: Path, misbehave: Misbehave) -> None:
    misbehave("time.sleep(600)")
    error = fail(tiff(tmp_path), time_limit_s=0.5)
    assert error.reason == "takes more than 0.5 s to decode; --time-limit allows more"
    assert error.is_lasting


def test_the_time_is_that_of_decoding_and_not_of_waiting(tmp_path: Path, pool: DecoderPool) -> None:
    load_image(tiff(tmp_path))  # the process is there
    started = time.monotonic()

    def reserve(_: int) -> None:
        time.sleep(2)

    request = ImageRequest(None, None, 10**6, "a", "skip", "skip", "auto", reserve)
    loaded = pool.decode(tiff(tmp_path), request, 1.5)
    assert is_upright(loaded.image)
    assert time.monotonic() - started >= 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep to the limit")
def test_memory_is_limited_by_what_the_header_says(tmp_path: Path, misbehave: Misbehave) -> None:
    misbehave("bytearray(3 << 30)")
    error = fail(tiff(tmp_path))
    assert "more memory" in error.reason
    assert not error.is_lasting


def test_a_decoder_that_the_system_ends_is_tried_again(
    tmp_path: Path, misbehave: Misbehave
) -> None:
    misbehave("os.kill(os.getpid(), signal.SIGKILL)")
    error = fail(tiff(tmp_path))
    assert isinstance(error, InaccessibleImageError)
    assert not error.is_lasting


@pytest.mark.parametrize(
    "command", [("/no/such/program",), (sys.executable, "-c", "import nothing")]
)
def test_a_decoder_that_does_not_start_is_no_fault_of_the_file(
    tmp_path: Path, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(decoder_pool, "COMMAND", command)
    error = fail(tiff(tmp_path))
    assert error.reason.startswith("no decoder can be started: No ") or "nothing" in error.reason
    assert not error.is_lasting
    assert pool.processes == 0


def test_complaints_of_native_code_are_warnings_and_not_printed(
    tmp_path: Path, misbehave: Misbehave, capfd: pytest.CaptureFixture[str]
) -> None:
    misbehave(
        "os.write(1, b'odd tile\\n'); os.write(2, b'and odder'); formats._load = load; "
        "return load(stream, wanted)\nload = formats._load"
    )
    loaded = load_image(tiff(tmp_path))
    assert loaded.warnings == ("its decoder complains: odd tile",)
    assert load_image(tiff(tmp_path)).warnings == ()
    assert capfd.readouterr() == ("", "")


def test_an_idle_decoder_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DecoderPool(idle_s=0.01)
    monkeypatch.setattr(decode, "POOL", pool)
    load_image(tiff(tmp_path))
    while pool.processes:
        time.sleep(0.01)
    assert is_upright(load_image(tiff(tmp_path)).image)
    pool.close()


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from indexer.images.decode import load_image
from indexer.images.decoder_pool import POOL
load_image(Path(sys.argv[1]))
[process] = POOL._idle
print(process._process.pid, flush=True)
"""


def start(tmp_path: Path, last: str) -> tuple[subprocess.Popen[str], int]:
    """Start a script without a guard that decodes; return it, and the number of its decoder."""
    program = tmp_path / "script.py"
    program.write_text(textwrap.dedent(SCRIPT) + last, "utf-8")
    process = subprocess.Popen(
        [sys.executable, program, tiff(tmp_path)],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(TREE)},
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def wait_for_end(number: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{number}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which processes there are")
@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_decoder_outlives_its_program(tmp_path: Path, number: signal.Signals | None) -> None:
    process, decoder = start(tmp_path, "" if number is None else "time.sleep(600)")
    with process:
        try:
            if number is not None:
                process.send_signal(number)
            process.wait(60)
        finally:
            process.kill()
    wait_for_end(decoder)


def scans(count: int) -> bytes:
    """Return a progressive JPEG whose last scan comes again and again."""
    stream = io.BytesIO()
    quadrants().save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (count - data.count(b"\xff\xda")) + data[-2:]


@pytest.mark.parametrize(("count", "processes"), [(20, 0), (33, 1), (500, 1)])
def test_a_jpeg_of_many_scans_is_decoded_apart(
    pool: DecoderPool, count: int, processes: int
) -> None:
    assert isinstance(load_image(scans(count)), LoadedImage)
    assert pool.processes == processes


def test_a_jpeg_of_too_many_scans_is_refused() -> None:
    with pytest.raises(UnreadableImageError, match="over 500 scans; save it again"):
        load_image(scans(501))


def test_what_is_appended_to_a_jpeg_does_not_count(pool: DecoderPool) -> None:
    assert isinstance(load_image(scans(20) + b"\xff\xda\0\2" * 2000), LoadedImage)
    assert pool.processes == 1
