"""Colours that a file describes by numbers instead of a profile.

HEIF, AVIF and PNG may have code points of ITU-T H.273, and PNG a gamma and the primaries. They
become a colour profile, so that they are applied as any other.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import IO

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray

Primaries = tuple[float, ...]  # x and y of white, red, green and blue

SRGB: Primaries = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
BY_CODE: dict[int, Primaries] = {  # of colour spaces that are wider; others are close to sRGB
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),  # BT.2020
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # DCI-P3
    12: (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # Display P3
}
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}  # by the code of the transfer characteristics
PQ, HLG = 16, 18  # their codes for high dynamic range
WHITE_NITS = 203  # of paper in high dynamic range (ITU-R BT.2408); what is brighter is white
HLG_NITS, HLG_GAMMA = 1000, 1.2  # of the screen for which it is made
CLOSE_GAMMA, CLOSE = 0.02, 0.005  # differences from sRGB that are rounding
LIKELY_GAMMAS = (0.1, 4.0)  # others are mistakes
STEPS = 1024  # of the curve in a profile
D50 = (0.9642, 1.0, 0.8249)
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
HEADER = 1 << 16  # bytes of a file in which its code points are
NCLX = b"colrnclx"


def find_codes(file: IO[bytes]) -> tuple[int, int] | None:
    """Return the codes of primaries and transfer in a HEIF or AVIF, None where it has none."""
    place = file.tell()
    file.seek(0)
    data = file.read(HEADER)
    file.seek(place)
    start = data.find(NCLX) + len(NCLX)
    if start < len(NCLX) or len(data) < start + 4:
        return None
    primaries, transfer = struct.unpack_from(">2H", data, start)
    return primaries, transfer


@lru_cache(32)
def profile_of_codes(primaries: int, transfer: int) -> bytes | None:
    """Return the profile of code points, None where they are sRGB or as good as."""
    signal = np.linspace(0, 1, STEPS)
    if transfer == PQ:
        curve = _pq_light(signal) / WHITE_NITS
    elif transfer == HLG:
        curve = _hlg_light(signal) ** HLG_GAMMA * HLG_NITS / WHITE_NITS
    elif transfer in GAMMAS:
        curve = signal ** GAMMAS[transfer]
    elif primaries in BY_CODE:
        curve = _srgb_light(signal)
    else:
        return None
    return _make_profile(BY_CODE.get(primaries, SRGB), curve)


def profile_of_gamma(gamma: float | None, primaries: Sequence[float] | None) -> bytes | None:
    """Return the profile of the gamma and the primaries of a PNG, None where they are of sRGB."""
    if gamma is None or not LIKELY_GAMMAS[0] <= gamma <= LIKELY_GAMMAS[1]:
        return None
    found = SRGB if primaries is None or not _are_colours(primaries) else tuple(primaries)
    is_usual = abs(gamma - 1 / 2.2) < CLOSE_GAMMA
    if is_usual and max(abs(a - b) for a, b in zip(found, SRGB, strict=True)) < CLOSE:
        return None
    signal = np.linspace(0, 1, STEPS)
    return _make_profile(found, _srgb_light(signal) if is_usual else signal ** (1 / gamma))


def _are_colours(primaries: Sequence[float]) -> bool:
    """Whether numbers are the corners of a triangle of colours with white inside."""
    if len(primaries) != len(SRGB) or not all(0 < value < 1 for value in primaries):
        return False
    try:
        return bool((_shares_of_white(primaries) > 0).all())
    except np.linalg.LinAlgError:
        return False


def _xyz(x: float, y: float) -> FloatArray:
    return np.array([x / y, 1, (1 - x - y) / y])


def _columns(primaries: Sequence[float]) -> npt.NDArray[np.float64]:
    corners = [_xyz(*primaries[start : start + 2]) for start in (2, 4, 6)]
    return np.stack(corners, axis=1, dtype=np.float64)


def _shares_of_white(primaries: Sequence[float]) -> npt.NDArray[np.float64]:
    return np.asarray(np.linalg.solve(_columns(primaries), _xyz(*primaries[:2])), np.float64)


def _make_profile(primaries: Sequence[float], curve: npt.NDArray[np.float64]) -> bytes:
    """Return an ICC profile (version 2) of red, green and blue that add up to white."""
    white = _xyz(*primaries[:2])
    cones = np.diag(BRADFORD @ np.array(D50) / (BRADFORD @ white))
    adapted = np.linalg.inv(BRADFORD) @ cones @ BRADFORD
    colours = adapted @ _columns(primaries) * _shares_of_white(primaries)
    steps = np.rint(np.clip(curve, 0, 1) * 65535).astype(">u2").tobytes()
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 1) + bytes(80),
        b"cprt": b"text" + bytes(8),
    }
    tags[b"wtpt"] = _xyz_tag(D50)
    for name, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colours.T, strict=True):
        tags[name] = _xyz_tag(colour)
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        tags[name] = b"curv" + bytes(4) + struct.pack(">I", len(curve)) + steps
    return _join_profile(tags)


def _xyz_tag(colour: Sequence[float] | npt.NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in colour))


def _join_profile(tags: dict[bytes, bytes]) -> bytes:
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ "
    )
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", *(round(v * 65536) for v in D50))
    return header.ljust(128, b"\0") + table + body


def _srgb_light(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _pq_light(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the light of a signal in SMPTE ST 2084, in nits."""
    root = signal ** (32 / 2523)
    return 10000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
        8192 / 1305
    )


def _hlg_light(signal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the light in the scene of a signal in hybrid log-gamma, of 1."""
    bright = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(signal <= 0.5, signal**2 / 3, bright)
