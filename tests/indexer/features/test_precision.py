"""The precision that OpenVINO computes in: the processor's best, unless another is asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from indexer.errors import EngineError
from indexer.features.engines import openvino_runtime
from indexer.features.engines.openvino_runtime import choose_precision, ov
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec


@pytest.fixture(autouse=True)
def _each_warning_anew() -> Iterator[None]:
    openvino_runtime._warn_of_float32.cache_clear()
    yield
    openvino_runtime._warn_of_float32.cache_clear()


@pytest.fixture(params=[True, False], ids=["with bfloat16", "without bfloat16"])
def has_bfloat16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(openvino_runtime, "_has_bfloat16", lambda: request.param)
    return bool(request.param)


@pytest.mark.parametrize("wanted", ["", "auto", "bf16", "f32", None])
def test_the_precision_chosen(
    has_bfloat16: bool, wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wanted is None:
        monkeypatch.delenv("CBIR_PRECISION", raising=False)
    else:
        monkeypatch.setenv("CBIR_PRECISION", wanted)
    expected = "bf16" if has_bfloat16 and wanted != "f32" else "f32"
    assert choose_precision() == expected


def test_a_precision_that_the_processor_lacks_is_warned_of_once(
    has_bfloat16: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CBIR_PRECISION", "bf16")
    with caplog.at_level(logging.WARNING, "cbir"):
        chosen = {choose_precision() for _ in range(3)}
    warnings = [(record.name, record.levelname) for record in caplog.records]
    if has_bfloat16:
        assert (chosen, warnings) == ({"bf16"}, [])
    else:
        assert (chosen, warnings) == ({"f32"}, [("cbir", "WARNING")])
        assert "no bfloat16" in caplog.text


@pytest.mark.parametrize("wanted", ["auto", "f32"])
def test_no_warning_unless_bfloat16_is_asked_for(
    wanted: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(openvino_runtime, "_has_bfloat16", lambda: False)
    monkeypatch.setenv("CBIR_PRECISION", wanted)
    assert choose_precision() == "f32"
    assert not caplog.records


@pytest.mark.parametrize("wanted", ["fp16", "BF16", "32", " "])
def test_an_unknown_precision_names_those_there_are(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CBIR_PRECISION", wanted)
    with pytest.raises(EngineError, match="auto, f32, bf16") as caught:
        FeatureExtractor(FeatureSpec.create(), engine="openvino")
    assert repr(wanted) in str(caught.value)


def test_the_precision_is_that_of_the_compiled_network(
    lite0: FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    for wanted in ("f32", "bf16"):
        monkeypatch.setenv("CBIR_PRECISION", wanted)
        extractor = FeatureExtractor(lite0.spec, engine="openvino")
        expected = "bf16" if wanted == "bf16" and "BF16" in capabilities else "f32"
        assert extractor.inference.description.endswith(f", {expected}")
