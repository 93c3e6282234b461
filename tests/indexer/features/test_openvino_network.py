"""However a network runs, its answers are the same; how it runs depends on what is asked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pytest

from indexer.features import openvino_network
from indexer.features.openvino_fixed import OFTEN, FixedShapes
from indexer.features.openvino_model import Arrays, CompiledModel, Tensors, to_tensor
from indexer.features.openvino_network import OpenVinoNetwork, cut_model
from indexer.features.openvino_runtime import ov
from indexer.images import Pixels

op = ov.opset13
ALL, ONE, STREAMS = 0, 1, None  # the cores that a model is compiled for


def build(*, skips: bool = False) -> tuple[Any, ov.Output]:
    """A model whose answer is three times the sum of an image, plus a row, and a cut inside it."""
    image = op.parameter([1, -1, -1, 3], ov.Type.u8)
    row = op.parameter([-1], ov.Type.f32)
    grey = op.reduce_mean(op.convert(image, ov.Type.f32), op.constant(np.array([3])), False)
    thrice = op.multiply(grey, op.constant(np.float32(9)))
    if skips:
        thrice = op.subtract(thrice, op.reduce_max(op.convert(image, "f32"), np.array([3]), False))
    total = op.reduce_sum(thrice, op.constant(np.array([1, 2])), False)
    return ov.Model([op.result(op.add(total, row))], [image, row]), grey.output(0)


def pictures(*sides: int) -> list[Pixels]:
    draw = np.random.default_rng(3).integers
    return [draw(0, 256, (side, side + 1, 3), np.uint8) for side in sides]


def ask(network: OpenVinoNetwork, images: Sequence[Pixels], *, in_turn: bool = False) -> None:
    """Let a network answer for images, and compare."""

    def inputs(place: int) -> Tensors:
        return [to_tensor(images[place][None]), to_tensor(np.arange(2, dtype=np.float32))]

    def use(place: int, outputs: Arrays) -> tuple[int, list[float]]:
        return place, outputs[0].tolist()

    answers = network.apply([image.shape for image in images], inputs, use, in_turn=in_turn)
    assert [place for place, _ in answers] == list(range(len(images)))
    for image, (_, values) in zip(images, answers, strict=True):
        expected = 3 * int(image.sum())
        np.testing.assert_allclose(values, [expected, expected + 1], rtol=0.02)  # in bf16


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The cores that models were compiled for, in order; as on a processor with two streams."""
    cores_of: list[int | None] = []

    class Noted(CompiledModel):
        def __init__(self, core: ov.Core, model: Any, *, cores: int | None = None) -> None:
            super().__init__(core, model, cores=cores)
            cores_of.append(cores)
            self.at_once = max(2, self.at_once)

    monkeypatch.setattr(openvino_network, "CompiledModel", Noted)
    return cores_of


def test_a_single_image_has_all_cores(compiled: list[int | None]) -> None:
    network = OpenVinoNetwork(ov.Core(), *build())
    for image in pictures(8, 20, 5):
        ask(network, [image])
    assert compiled == [ALL]


def test_the_largest_of_a_few_is_forwarded_in_parts(compiled: list[int | None]) -> None:
    network = OpenVinoNetwork(ov.Core(), *build())
    ask(network, pictures(8, 16))
    assert compiled == [STREAMS]  # a command asks once
    ask(network, pictures(8, 16))
    assert compiled == [STREAMS, ONE, ALL]
    for sides in [(8, 16), (9, 4, 40), (2, 3, 4, 30)] * 3:
        ask(network, pictures(*sides))
    assert compiled == [STREAMS, ONE, ALL]


@pytest.mark.usefixtures("compiled")
def test_shapes_asked_often_go_through_models_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[tuple[object, bool]] = []

    class Noted(FixedShapes):
        def find(
            self, part: Hashable, model: Any, cores: int, inputs: Tensors
        ) -> CompiledModel | None:
            self.wait()
            fixed = super().find(part, model, cores, inputs)
            found.append((part, fixed is not None))
            return fixed

    monkeypatch.setattr(openvino_network, "FixedShapes", Noted)
    network = OpenVinoNetwork(ov.Core(), *build())
    for sides in [(8, 16)] * (OFTEN + 2) + [(8,)] * (OFTEN + 1):
        ask(network, pictures(*sides))
    parts = {"beside": OFTEN + 1, "first": OFTEN + 1, "second": OFTEN + 1, "one": OFTEN + 1}
    assert Counter(part for part, _ in found) == parts  # the first time asks for no parts
    assert dict(found) == dict.fromkeys(parts, True)
    assert sum(is_fixed for _, is_fixed in found) == len(parts)
    ask(network, pictures(16))
    assert found[-1] == ("one", False)
    ask(network, pictures(*[9] * 40))
    assert len(found) == sum(parts.values()) + 1  # many images change the shape seldom


@pytest.mark.parametrize("sides", [(16, 8), (16, 16), (12, 12, 15), (1, *[9] * 40, 12)])
def test_not_where_the_others_take_longer(compiled: list[int | None], sides: list[int]) -> None:
    network = OpenVinoNetwork(ov.Core(), *build())
    for _ in range(3):
        ask(network, pictures(*sides))
    assert compiled == [STREAMS]


def test_nor_where_nothing_can_be_cut(compiled: list[int | None]) -> None:
    model, _ = build()
    skipping, output = build(skips=True)
    assert cut_model(skipping, output) is None
    for network in (OpenVinoNetwork(ov.Core(), model), OpenVinoNetwork(ov.Core(), model, None)):
        ask(network, pictures(8, 16))
        ask(network, pictures(8, 16))
    assert compiled == [STREAMS, STREAMS]


def test_workers_and_calls_without_images(compiled: list[int | None]) -> None:
    network = OpenVinoNetwork(ov.Core(), *build())
    ask(network, [])
    ask(network, pictures(8, 20, 30), in_turn=True)
    ask(network, pictures(8), in_turn=True)
    assert compiled == [STREAMS]


def test_who_is_not_alone_waits_for_nobody(compiled: list[int | None]) -> None:
    network = OpenVinoNetwork(ov.Core(), *build())
    [image] = pictures(8)
    inside, free = threading.Event(), threading.Event()

    def linger(*_: object) -> None:
        inside.set()
        assert free.wait(60)

    def inputs(_: int) -> Tensors:
        return [to_tensor(image[None]), to_tensor(np.zeros(1, np.float32))]

    first = threading.Thread(target=network.apply, args=([image.shape], inputs, linger))
    first.start()
    assert inside.wait(60)
    ask(network, pictures(9))
    assert compiled == [ALL, STREAMS]
    ask(network, pictures(9, 18))
    ask(network, pictures(9, 18))
    assert compiled == [ALL, STREAMS]
    free.set()
    first.join()
    ask(network, pictures(9, 18))
    assert compiled == [ALL, STREAMS, ONE, ALL]


def test_a_fault_in_a_part_is_told_and_harms_no_other_call(compiled: list[int | None]) -> None:
    network = OpenVinoNetwork(ov.Core(), *build())
    ask(network, pictures(8, 16))
    shapes = [image.shape for image in pictures(8, 16)]

    def inputs(place: int) -> Tensors:
        if place == 1:
            raise ZeroDivisionError("no pixels")
        return [to_tensor(pictures(8)[0][None]), to_tensor(np.zeros(1, np.float32))]

    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="no pixels"):
            network.apply(shapes, inputs, lambda *_: None)
        ask(network, pictures(8, 16))
    assert compiled == [STREAMS, ONE, ALL]
