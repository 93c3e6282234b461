"""What the benchmark of a GPU does where there is none."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.collections import photos_in, reencode
from benchmarks.gpu import in_threads, main, rate
from benchmarks.gpu_network import compare_precisions, make_extractor
from tests.sample import SAMPLE

CPU = torch.device("cpu")


def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu", str(SAMPLE / "images")])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    assert stopped.value.code == 2
    assert "There is no CUDA device here" in said.err
    assert said.out == ""


def test_half_precision_is_compared_with_float32_by_kind() -> None:
    photos = photos_in(SAMPLE / "images")[:2]
    row = compare_precisions(photos, make_extractor(CPU, torch.float16))
    cosines = [row[f"cosine_{kind}"] for kind in ("conv", "fc", "region")]
    assert all(0.999 < cosine <= 1 for cosine in cosines)
    assert min(cosines) < 1


def test_as_many_photos_are_made_as_asked_for(tmp_path: Path) -> None:
    photos = photos_in(SAMPLE / "images")[:3]
    in_threads(partial(reencode, long_side=60), photos, 5, tmp_path)
    assert len(photos_in(tmp_path)) == 5


def test_a_run_is_timed_and_a_processor_is_not_called_busy() -> None:
    calls: list[int] = []
    row = rate(3, make_extractor(CPU), lambda: calls.append(1))
    assert calls == [1]
    assert row.keys() == {"images_per_s"}
