"""Pickle files are read without running them, or refused."""

from __future__ import annotations

import pickle
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.errors import InvalidLabelsError
from retrieval.evaluation.plain_pickle import read_plain_pickle

TRUTH = {
    "imlist": ["all_souls_000000", "ünïcode"],
    "gnd": [{"bbx": [1.5, -2.0, 1e300, 4], "easy": [0, 1], "ok": (), "n": None, "t": (1, (2,))}],
    "big": [2**40, -1, 255, 65536, True, False],
}


def written(folder: Path, data: bytes) -> Path:
    path = folder / "gnd.pkl"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    shared = [1, 2]
    data: dict[str, Any] = TRUTH | {"a": shared, "b": shared}
    assert read_plain_pickle(written(tmp_path, pickle.dumps(data, protocol))) == data


def test_the_texts_of_python_2(tmp_path: Path) -> None:
    binary = b"\x80\x02}q\x00U\x06imlistq\x01]q\x02(U\x01aq\x03h\x03es."
    assert read_plain_pickle(written(tmp_path, binary)) == {"imlist": ["a", "a"]}
    lines = b"(dp0\nS'imlist'\np1\n(lp2\nS'a'\np3\nag3\nas."
    assert read_plain_pickle(written(tmp_path, lines)) == {"imlist": ["a", "a"]}


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
)


@given(json_like, st.integers(0, pickle.HIGHEST_PROTOCOL))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, data: Any, protocol: int) -> None:
    assert read_plain_pickle(written(tmp_path, pickle.dumps(data, protocol))) == data


class Opens:
    """Asks for a function to be called when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.place), "w"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_file_that_wants_to_run_code(tmp_path: Path, protocol: int) -> None:
    path = written(tmp_path, pickle.dumps({"gnd": Opens(tmp_path / "run")}, protocol))
    with pytest.raises(InvalidLabelsError, match=r"GLOBAL at byte \d+ wants to run code.*JSON"):
        read_plain_pickle(path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "value",
    [np.arange(3), np.float64(1), OrderedDict(a=1), {1, 2}, b"bytes", Path("x"), 1j],
    ids=lambda value: type(value).__name__,
)
def test_objects_are_refused(tmp_path: Path, value: Any) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = written(tmp_path, pickle.dumps({"easy": value}, protocol))
        with pytest.raises(InvalidLabelsError, match=r"the opcode [A-Z_0-9]+ at byte"):
            read_plain_pickle(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80",
        b"hello",
        b"a.",
        b"t.",
        b"}(U\x01as.",
        b"}K\x01K\x02s.",
        b"h\x07.",
        b"]].",
    ],
)
def test_damaged_files(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidLabelsError):
        read_plain_pickle(written(tmp_path, data))


def test_bytes_changed_by_chance_never_end_in_another_error(tmp_path: Path) -> None:
    chance = random.Random(3)
    for protocol in (0, 2, 4):
        whole = pickle.dumps(TRUTH, protocol)
        for _ in range(300):
            data = bytearray(whole[: chance.randint(1, len(whole))])
            for _ in range(chance.randint(0, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            try:
                read_plain_pickle(written(tmp_path, bytes(data)))
            except InvalidLabelsError:
                continue


def test_a_deep_nest_is_read_or_refused(tmp_path: Path) -> None:
    read_plain_pickle(written(tmp_path, b"]" * 20_000 + b"a" * 19_999 + b"."))
    with pytest.raises(InvalidLabelsError, match="not a text"):
        read_plain_pickle(written(tmp_path, b"}" + b")" + b"\x85" * 20_000 + b"K\x01s."))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidLabelsError, match="cannot be read"):
        read_plain_pickle(tmp_path / "none.pkl")
