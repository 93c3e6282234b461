"""Damaged files: none may crash, stop or hold up a run, and each failure has its reason.

    python -m benchmarks.mutation --files 5000

It makes files of many formats from real photos, damages them by cutting, flipping bits and
splicing, and indexes them together with sound ones. Then it decodes each by itself, for the time
and the memory that it takes (on Linux). The exit code is 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from indexer.errors import ImageError
from indexer.images.decode import load_image

MOST_S, MOST_BYTES = 10.0, 1 << 30  # for one damaged file
SIDE_PX = 480
HEADER = 512  # bytes, where every other flip goes: most of what is there is a size or an offset


def _save(**options: Any) -> Callable[[Image.Image], bytes]:
    def save(image: Image.Image) -> bytes:
        stream = io.BytesIO()
        image.save(stream, **options)
        return stream.getvalue()

    return save


def _save_deep(image: Image.Image) -> bytes:
    """Return a PNG of 16 bits."""
    import imagecodecs

    return bytes(imagecodecs.png_encode(np.asarray(image).astype(np.uint16) * 257))


def _save_heif(image: Image.Image) -> bytes:
    import pillow_heif

    pillow_heif.register_heif_opener()
    return _save(format="HEIF", quality=60)(image)


def _save_animation(image: Image.Image, **options: Any) -> bytes:
    frames = [image.rotate(angle) for angle in (5, 10)]
    return _save(save_all=True, append_images=frames, **options)(image)


FORMATS: dict[str, Callable[[Image.Image], bytes]] = {
    "baseline.jpg": _save(format="JPEG", quality=85),
    "progressive.jpg": _save(format="JPEG", quality=85, progressive=True),
    "8 bits.png": _save(format="PNG", compress_level=1),
    "16 bits.png": _save_deep,
    "still.webp": _save(format="WEBP", quality=70, method=0),
    "moving.webp": lambda image: _save_animation(image, format="WEBP", quality=60, method=0),
    "lzw.tif": _save(format="TIFF", compression="tiff_lzw"),
    "deflate.tif": _save(format="TIFF", compression="tiff_adobe_deflate"),
    "jpeg.tif": _save(format="TIFF", compression="jpeg"),
    "plain.tif": _save(format="TIFF"),
    "moving.gif": lambda image: _save_animation(image.convert("P"), format="GIF"),
    "plain.bmp": _save(format="BMP"),
    "photo.heic": _save_heif,
    "photo.avif": _save(format="AVIF", quality=60, speed=10),
    "photo.jp2": _save(format="JPEG2000", quality_layers=[30]),
}


@dataclass(frozen=True)
class Summary:
    """What became of the files; the first ones should be 0."""

    crashes: int
    too_slow: int
    too_large: int
    without_reason: int
    good_not_indexed: int
    stray_lines: int
    files: int
    failed: int
    slowest_s: float
    largest_mb: float
    elapsed_s: float
    reasons: dict[str, int]

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (
            self.crashes
            or self.too_slow
            or self.too_large
            or self.without_reason
            or self.good_not_indexed
            or self.stray_lines
        )


def mutate(data: bytes, other: bytes, choice: random.Random) -> bytes:
    """Return a file damaged in one of four ways; `other` is spliced into it."""
    way = choice.choice(("cut", "flip", "splice", "repeat"))
    if way == "cut":
        return data[: choice.randrange(len(data))]
    damaged = bytearray(data)
    if way == "flip":
        for _ in range(choice.randint(1, 24)):
            end = min(HEADER, len(data)) if choice.random() < 0.5 else len(data)
            damaged[choice.randrange(end)] ^= 1 << choice.randrange(8)
        return bytes(damaged)
    start = choice.randrange(len(data))
    length = choice.randint(1, 1 + len(data) // 4)
    source = other if way == "splice" else data
    place = choice.randrange(len(source))
    damaged[start : start + choice.choice((0, length))] = source[place : place + length]
    return bytes(damaged)


def make_files(folder: Path, photos: Sequence[Path], count: int, seed: int) -> list[Path]:
    """Write a sound file of each format for each of a few photos, and `count` damaged ones.

    Returns the damaged ones; the sound ones are in the folder `good`.
    """
    choice = random.Random(seed)
    good, bad = folder / "good", folder / "bad"
    good.mkdir(parents=True)
    bad.mkdir()
    sound: list[tuple[str, bytes]] = []
    for number, path in enumerate(photos):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        image.thumbnail((SIDE_PX, SIDE_PX))
        for name, save in FORMATS.items():
            data = save(image)
            sound.append((name, data))
            (good / f"{number} {name}").write_bytes(data)
    made = []
    for number in range(count):
        name, data = sound[number % len(sound)]
        path = bad / f"{number:05} {name}"
        path.write_bytes(mutate(data, choice.choice(sound)[1], choice))
        made.append(path)
    return made


def index(folder: Path, store: Path) -> tuple[int, dict[str, Any], list[str]]:
    """Index a folder in a process; return its exit code, its report, and stray lines on stderr."""
    command = [sys.executable, "-m", "ui.cli", "index", str(folder), "--store", str(store)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        done = subprocess.run(
            [*command, "--json"],
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            check=False,
        )
        errors.seek(0)
        lines = [line for line in errors.read().splitlines() if not _is_progress(line)]
    return done.returncode, json.loads(done.stdout or "{}"), lines


def _is_progress(line: str) -> bool:
    return not line.strip() or " s left" in line or line.rstrip().endswith("…")


def decode_each(paths: Sequence[Path]) -> Iterator[tuple[Path, float, int]]:
    """Yield how long each file takes to be decoded, and by how many bytes memory grows."""
    for path in paths:
        before = _start_peak()
        started = time.perf_counter()
        with contextlib.suppress(ImageError):  # the report has its reason
            load_image(path, at_least=SIDE_PX)
        yield path, time.perf_counter() - started, max(0, _peak() - before)


def _processes() -> list[Path]:
    """Return the folders in /proc of this process and its decoders."""
    own = Path("/proc/self")
    children = " ".join(_read(file) for file in own.glob("task/*/children")).split()
    return [own, *(Path("/proc") / number for number in children)]


def _read(file: Path) -> str:
    """Return the text of a file of /proc, nothing where its thread or process has ended."""
    with contextlib.suppress(OSError):
        return file.read_text("ascii")
    return ""


def _start_peak() -> int:
    """Forget the largest size that this process and its decoders had; return what they have."""
    for process in _processes():
        with contextlib.suppress(OSError):
            (process / "clear_refs").write_text("5", "utf-8")
    return _sum_of("VmRSS")


def _peak() -> int:
    return _sum_of("VmHWM")


def _sum_of(field: str) -> int:
    total = 0
    for process in _processes():
        for line in _read(process / "status").splitlines():
            if line.startswith(f"{field}:"):
                total += int(line.split()[1]) << 10
    return total


def measure(photos: Sequence[Path], count: int, seed: int, folder: Path) -> Summary:
    """Make the files in a folder, index them, decode them, and sum up."""
    started = time.monotonic()
    damaged = make_files(folder / "files", photos, count, seed)
    good = sorted((folder / "files" / "good").iterdir())
    code, report, stray = index(folder / "files", folder / "store")
    failed = {entry["path"]: entry["reason"] for entry in report.get("failed", ())}
    figures = list(decode_each(damaged))
    accounted = report.get("added", 0) + len(failed)
    missing = len(damaged) + len(good) - accounted
    for line in stray[:5]:
        print(f"stray: {line}", file=sys.stderr)
    for path, took_s, grew in figures:
        if took_s > MOST_S or grew > MOST_BYTES:
            print(f"{path.name}: {took_s:.1f} s, {grew / 1e6:.0f} MB", file=sys.stderr)
    return Summary(
        crashes=int(code != 0),
        too_slow=sum(took_s > MOST_S for _, took_s, _ in figures),
        too_large=sum(grew > MOST_BYTES for _, _, grew in figures),
        without_reason=sum(not reason for reason in failed.values()) + abs(missing),
        good_not_indexed=sum(str(path) in failed for path in good),
        stray_lines=len(stray),
        files=len(damaged),
        failed=len(failed),
        slowest_s=round(max((took_s for _, took_s, _ in figures), default=0.0), 2),
        largest_mb=round(max((grew for _, _, grew in figures), default=0) / 1e6, 1),
        elapsed_s=round(time.monotonic() - started, 1),
        reasons=dict(Counter(_kind(reason) for reason in failed.values()).most_common(20)),
    )


def _kind(reason: str) -> str:
    """Return a reason without its figures."""
    return "".join("#" if c.isdigit() else c for c in reason)[:70]


def main() -> None:
    """Run the benchmark and print its summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("photos", nargs="?", type=Path, default=Path("data/sample/images"))
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--of", type=int, default=8, help="how many photos they are made from")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    photos = sorted(options.photos.glob("*.jpg"))[: options.of]
    with tempfile.TemporaryDirectory() as folder:
        summary = measure(photos, options.files, options.seed, Path(folder))
    print(json.dumps(asdict(summary), indent=1))
    sys.exit(not summary.is_clean)


if __name__ == "__main__":
    main()
