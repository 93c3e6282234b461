"""Files of benchmarks, made by hand, and what is read from them."""

from __future__ import annotations

from pathlib import Path

from retrieval.evaluation.benchmark_sets import read_benchmark
from retrieval.evaluation.manifest import Manifest, ManifestQuery


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def read_one(place: Path, images: Path | None = None) -> Manifest:
    [manifest] = read_benchmark(place, images)
    return manifest


def right(query: ManifestQuery) -> tuple[str, str]:
    """Return the positives and the junk of a query, for short."""
    return " ".join(sorted(query.positives)), " ".join(sorted(query.junk))
