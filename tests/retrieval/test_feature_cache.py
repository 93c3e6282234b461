"""Features that are kept are not computed again, and never belong to something else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.features.regions import Region
from indexer.features.registry import get_backbone
from retrieval.evaluation import tap_features
from retrieval.evaluation.feature_cache import FeatureCache, key_of
from retrieval.evaluation.tap_features import Crop, TapChoice, describe_taps
from tests.pictures import BLUE, GREEN, RED, plain

CHOICE = TapChoice(get_backbone("efficientnet_lite0"), ("stage2", "fc"), ("spoc",), 64)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [
        plain(tmp_path / f"{i}.png", colour, (80, 60))
        for i, colour in enumerate((RED, GREEN, BLUE))
    ]


def test_what_is_kept_is_not_computed_again(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(tmp_path / "kept")
    photos.append(tmp_path / "broken.png")
    photos[-1].write_bytes(b"no image")
    first = describe_taps(photos, CHOICE, cache=cache)
    assert first.usable.tolist() == [True, True, True, False]
    assert first.vectors["stage2 spoc"].shape == (4, 40)

    def refuse(*_: object) -> None:
        raise AssertionError("it was computed again")

    monkeypatch.setattr(tap_features, "load_engine", refuse)
    again = describe_taps(photos, CHOICE, cache=cache)
    assert again.failed == first.failed
    for name, vectors in first.vectors.items():
        assert np.array_equal(again.vectors[name], vectors)
    with pytest.raises(AssertionError, match="again"):
        describe_taps(photos, replace(CHOICE, size_px=96), cache=cache)


def test_a_damaged_file_is_computed_again(photos: list[Path], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "kept")
    first = describe_taps(photos, CHOICE, cache=cache)
    [file] = (tmp_path / "kept").glob("*.npz")
    for damage in (b"", b"PK\x03\x04 nonsense", file.read_bytes()[:-40]):
        file.write_bytes(damage)
        again = describe_taps(photos, CHOICE, cache=cache)
        assert np.array_equal(again.vectors["fc"], first.vectors["fc"])


def test_a_changed_file_has_another_key(photos: list[Path]) -> None:
    before = key_of(photos, "fc")
    assert before == key_of(photos, "fc")
    assert before != key_of(photos, "conv")
    assert before != key_of(photos[::-1], "fc")
    os.utime(photos[0], (1, 1))
    assert before != key_of(photos, "fc")
    assert key_of([Path("missing.png")], "fc")


def test_a_part_at_a_time_gives_the_same(
    photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = describe_taps(photos, CHOICE)
    monkeypatch.setattr(tap_features, "KEPT_AT_ONCE", 2)
    steps: list[tuple[int, int]] = []

    def note(step: str, done: int, total: int, *, failed: int = 0) -> None:
        del step, failed
        steps.append((done, total))

    parts = describe_taps(photos, CHOICE, progress=note)
    assert np.array_equal(parts.vectors["fc"], whole.vectors["fc"])
    assert steps[-1] == (3, 3)
    assert all(total == 3 for _, total in steps)


def test_a_crop_is_described_like_a_picture_of_it(tmp_path: Path) -> None:
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    Image.fromarray(noise[10:74, 20:84]).save(tmp_path / "part.png")
    box = Crop(tmp_path / "whole.png", Region(20, 10, 84, 74))
    outside = Crop(tmp_path / "whole.png", Region(20, 10, 200, 74))
    found = describe_taps([tmp_path / "part.png", box, outside], CHOICE)
    assert np.allclose(found.vectors["fc"][0], found.vectors["fc"][1], atol=1e-6)
    assert found.usable.tolist() == [True, True, False]
    assert "200" in found.failed[0][1]
