"""Half precision, which a GPU computes in, leaves vectors what they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from indexer.features.engines.torch import TorchEngine
from indexer.features.extractor import FeatureExtractor
from indexer.features.registry import get_backbone
from indexer.features.spec import FeatureSpec
from tests.features import describe, lowest_cosine
from tests.pictures import PHOTOS, photo


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_half_precision_agrees_with_float32(name: str) -> None:
    spec = FeatureSpec.create(name, size_px=256)
    full, half = (
        FeatureExtractor(
            spec, inference=TorchEngine(get_backbone(name), spec.taps, precision=precision)
        )
        for precision in (torch.float32, torch.float16)
    )
    assert half.inference.description.endswith("float16")
    images = [photo(name) for name in PHOTOS]
    for one, other in zip(describe(full, images), describe(half, images), strict=True):
        assert lowest_cosine(one, other, "conv") > 0.9999
        assert lowest_cosine(one, other, "fc") > 0.9999
        assert lowest_cosine(one, other, "region") > 0.9995
        assert not np.array_equal(one.vectors["conv"], other.vectors["conv"])
