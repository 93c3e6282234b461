"""Concepts as JSON: in the catalogue, and in files that can go to another store."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np

from indexer.arrays import FloatArray
from indexer.choices import TAP_KINDS
from indexer.errors import ConceptError, InvalidConceptError
from retrieval.calibration import Calibration
from retrieval.concepts import Concept, check_name
from retrieval.relevance_feedback import LinearConcept

FORMAT = "cbir concept 1"
MAX_BYTES = 4_000_000  # of a file: the vectors of no network are nearly as long
LARGEST = 1e30  # of a number: far beyond what is learned from unit vectors
FLOAT32 = np.dtype("<f4")


def dump_concept(concept: Concept) -> str:
    """Return a concept as JSON; the weights are little-endian float32 in base64."""
    weights = concept.model.weights.astype(FLOAT32).tobytes()
    values = {
        "format": FORMAT,
        "name": concept.name,
        "feature": concept.feature,
        "fingerprint": concept.fingerprint,
        "dimension": len(concept.model.weights),
        "weights": base64.b64encode(weights).decode("ascii"),
        "offset": concept.model.offset,
        "slope": concept.calibration.slope,
        "intercept": concept.calibration.intercept,
        "prior": concept.calibration.prior,
        "positives": concept.positives,
        "negatives": concept.negatives,
        "accuracy": concept.accuracy,
    }
    return json.dumps(values, indent=1)


def load_concept(text: str | bytes) -> Concept:
    """Return the concept that `dump_concept` wrote; raises `InvalidConceptError`."""
    try:
        if len(text) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        values = json.loads(text)
        if not isinstance(values, dict):
            raise TypeError("it must be a JSON object")
        return _read(values)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, ConceptError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise InvalidConceptError(
            f"The concept file is not valid: {reason}. Write one with: cbir teach NAME --export "
            "FILE.json"
        ) from error


def _read(values: dict[str, Any]) -> Concept:
    if values["format"] != FORMAT:
        raise ValueError(f"its format is {_short(values['format'])}, not {FORMAT!r}")
    if values["feature"] not in TAP_KINDS:
        raise ValueError(f"feature must be conv or fc, not {_short(values['feature'])}")
    return Concept(
        name=check_name(_text(values, "name")),
        feature=values["feature"],
        fingerprint=_text(values, "fingerprint"),
        model=LinearConcept(_weights(values), _number(values, "offset")),
        calibration=Calibration(
            slope=_number(values, "slope", least=0),
            intercept=_number(values, "intercept"),
            prior=_number(values, "prior", least=1e-9, most=1 - 1e-9),
        ),
        positives=_count(values, "positives"),
        negatives=_count(values, "negatives"),
        accuracy=_number(values, "accuracy", least=0, most=1),
    )


def _weights(values: dict[str, Any]) -> FloatArray:
    dimension = _count(values, "dimension")
    data = base64.b64decode(_text(values, "weights"), validate=True)
    if len(data) != FLOAT32.itemsize * dimension:
        raise ValueError(
            f"weights has {len(data)} bytes, not {FLOAT32.itemsize * dimension} for "
            f"{dimension} numbers"
        )
    weights = np.frombuffer(data, FLOAT32).astype(np.float32)
    if not (np.abs(weights) < LARGEST).all():  # nor is NaN
        raise ValueError("weights must be finite numbers")
    return weights


def _text(values: dict[str, Any], name: str) -> str:
    value = values[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {_short(value)}")
    return value


def _number(
    values: dict[str, Any], name: str, *, least: float = -LARGEST, most: float = LARGEST
) -> float:
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {_short(value)}")
    number = float(value)
    if not math.isfinite(number) or not least <= number <= most:
        raise ValueError(f"{name} must be {least:g} to {most:g}, not {_short(value)}")
    return number


def _count(values: dict[str, Any], name: str) -> int:
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {_short(value)}")
    return int(_number(values, name, least=1, most=1e12))


def _short(value: object) -> str:
    return repr(value)[:40]
