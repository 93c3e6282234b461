from __future__ import annotations

import numpy as np
import pytest

from indexer.images.block_means import BlockMeans
from tests.oversize import COLOUR, HEIGHT, WIDTH


@pytest.mark.parametrize("factor", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_block_means_are_those_of_the_blocks(factor: int, dtype: type[np.generic]) -> None:
    values = COLOUR.astype(dtype)
    means = BlockMeans(values.shape, dtype, factor)
    for y in range(0, HEIGHT, 32):
        for x in range(0, WIDTH, 48):
            means.add(values[y : y + 32, x : x + 48], y, x)
    found = means.finish()
    assert found.dtype == dtype
    assert found.shape == (-(-HEIGHT // factor), -(-WIDTH // factor), 3)
    for row, column in ((0, 0), (found.shape[0] - 1, found.shape[1] - 1), (1, 2)):
        y, x = row * factor, column * factor
        if y < HEIGHT and x < WIDTH and row < len(found) and column < found.shape[1]:
            expected = values[y : y + factor, x : x + factor].mean(axis=(0, 1), dtype=float)
            assert found[row, column] == pytest.approx(expected, abs=0.51)
