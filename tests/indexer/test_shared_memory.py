from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from indexer.errors import SettingError
from indexer.memory import ENTRY_BYTES, Memory, Shelf, shared_memory


class Maker:
    """Makes arrays of 1,000 bytes, and counts them."""

    made = 0

    def __call__(self) -> np.ndarray:
        self.made += 1
        return np.zeros(1000, np.uint8)


def size(array: np.ndarray) -> int:
    return array.nbytes


def test_what_is_kept_is_made_once() -> None:
    memory, make = Memory(10_000), Maker()
    assert memory.get("a", make, size) is memory.get("a", make, size)
    assert (make.made, memory.held) == (1, 1000)


def test_the_least_recently_used_go_first_and_the_limit_holds() -> None:
    memory, make = Memory(3000), Maker()
    for key in "abcad":
        memory.get(key, make, size)
        assert memory.held <= 3000
    assert make.made == 4
    for key in "ac":
        memory.get(key, make, size)
    assert make.made == 4
    memory.get("b", make, size)
    assert make.made == 5


def test_what_is_too_large_or_nothing_is_not_kept() -> None:
    memory, make = Memory(999), Maker()
    assert memory.get("a", make, size) is not memory.get("a", make, size)
    assert memory.get("b", lambda: None, lambda _: 1) is None
    assert memory.held == 0


def test_small_things_count_with_their_keys() -> None:
    memory = Memory(10 * ENTRY_BYTES)
    for i in range(100):
        memory.get(i, lambda: 1, lambda _: 1)
    assert memory.held == 10 * ENTRY_BYTES


def test_owners_share_a_memory_but_no_keys_and_take_what_is_theirs_along() -> None:
    memory, make = Memory(10_000), Maker()
    one, two = Shelf(memory), Shelf(memory)
    assert one.get("a", make, size) is not two.get("a", make, size)
    assert memory.held == 2000
    del one
    gc.collect()
    assert memory.held == 1000
    assert two.get("a", make, size).nbytes == 1000
    assert make.made == 2
    assert two.has_room_for(5000)
    assert not two.has_room_for(5001)


def test_threads_may_share_it() -> None:
    memory, barrier = Memory(5000), threading.Barrier(8)

    def use(seed: int) -> None:
        barrier.wait()
        shelf = Shelf(memory)
        for i in range(300):
            key = (seed + i) % 9
            assert shelf.get(key, partial(np.full, 1000, key, np.uint8), size)[0] == key

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, range(8)))
    gc.collect()
    assert memory.held == 0


@pytest.mark.parametrize(("text", "limit"), [("", 192 << 20), ("17", 17 << 20), ("0", 0)])
def test_the_limit_is_a_setting(text: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CBIR_MEMORY_MB", text)
    assert shared_memory.__wrapped__().limit == limit


@pytest.mark.parametrize("text", ["lots", "-1", "1.5", "2 GB", "²"])
def test_a_useless_setting_is_a_sentence(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CBIR_MEMORY_MB", text)
    with pytest.raises(SettingError, match="CBIR_MEMORY_MB"):
        shared_memory.__wrapped__()
