"""Shapes that are asked often have models of their own, as many as there is room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from indexer.features import openvino_fixed
from indexer.features.openvino_fixed import OFTEN, RARE, FixedShapes
from indexer.features.openvino_model import CompiledModel, Tensors, to_tensor
from indexer.features.openvino_runtime import ov

op = ov.opset13
WEIGHTS = np.arange(4, dtype=np.float32)

Find = Callable[[int], CompiledModel | None]


def build() -> Any:
    """A model that multiplies rows (N, 4) with four weights, of 16 bytes."""
    rows = op.parameter([-1, 4], ov.Type.f32)
    return ov.Model([op.result(op.multiply(rows, op.constant(WEIGHTS)))], [rows])


def rows(count: int) -> Tensors:
    return [to_tensor(np.ones((count, 4), np.float32))]


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Find:
    """Ask for so many rows, where there is room for two models; what began before is compiled."""
    monkeypatch.setattr(openvino_fixed, "ROOM_BYTES", 2 * WEIGHTS.nbytes)
    fixed, model = FixedShapes(ov.Core()), build()

    def ask(count: int) -> CompiledModel | None:
        fixed.wait()
        return fixed.find("part", model, 1, rows(count))

    return ask


def test_a_shape_asked_often_has_a_model_that_answers_alike(find: Find) -> None:
    assert [find(3) for _ in range(OFTEN)] == [None] * OFTEN
    model = find(3)
    assert model is not None
    np.testing.assert_array_equal(model.run(rows(3)).outputs()[0], np.tile(WEIGHTS, (3, 1)))
    assert find(3) is model
    assert find(2) is None


def test_a_model_takes_no_other_shape(find: Find) -> None:
    [model] = [find(3) for _ in range(OFTEN + 1)][OFTEN:]
    assert model is not None
    with pytest.raises(RuntimeError):
        model.run(rows(2))


def test_parts_are_kept_apart() -> None:
    fixed, model = FixedShapes(ov.Core()), build()
    for _ in range(OFTEN):
        fixed.find("one", model, 1, rows(3))
    fixed.wait()
    assert fixed.find("other", model, 1, rows(3)) is None
    assert fixed.find("one", model, 1, rows(3)) is not None


def test_a_shape_gives_way_to_one_asked_much_more(find: Find) -> None:
    for count in (1, 2):
        for _ in range(OFTEN + 1):
            find(count)
    for _ in range(OFTEN):
        assert find(2) is not None
    for _ in range(RARE * (OFTEN + 1)):
        assert find(3) is None  # no room yet
    assert find(3) is not None
    assert find(1) is None
    assert find(2) is not None


def test_a_model_too_large_for_the_room_is_not_made(
    find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_fixed, "ROOM_BYTES", WEIGHTS.nbytes - 1)
    assert [find(3) for _ in range(3 * OFTEN)] == [None] * 3 * OFTEN


def test_what_goes_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed, model = FixedShapes(ov.Core()), build()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no such layer")

    monkeypatch.setattr(openvino_fixed, "CompiledModel", fail)
    for _ in range(OFTEN):
        assert fixed.find("part", model, 1, rows(3)) is None
    with pytest.raises(RuntimeError, match="no such layer"):
        fixed.wait()
    with pytest.raises(RuntimeError, match="no such layer"):
        fixed.find("part", model, 1, rows(3))
