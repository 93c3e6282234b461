from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ui.turns import Turns


class MovedOnError(Exception):
    """Nobody waits for it any more."""


def wanted() -> None:
    """Somebody waits for it."""


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(3000):
        if is_so():
            return
        time.sleep(0.01)
    raise TimeoutError


def test_one_at_a_time() -> None:
    turns, busy, most = Turns(), [0], [0]

    def work(_: int) -> None:
        with turns.turn(wanted):
            busy[0] += 1
            most[0] = max(most[0], busy[0])
            time.sleep(0.002)
            busy[0] -= 1

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(64)))
    assert (busy, most) == ([0], [1])


def test_who_is_not_wanted_any_more_leaves_the_line_and_nothing_begins() -> None:
    turns, began, closed = Turns(), list[int](), threading.Event()

    def require_wanted() -> None:
        if closed.is_set():
            raise MovedOnError

    def work(_: int) -> None:
        with pytest.raises(MovedOnError), turns.turn(require_wanted):
            began.append(1)

    with ThreadPoolExecutor(20) as threads:
        with turns.turn(wanted):
            waiting = [threads.submit(work, i) for i in range(20)]
            wait_until(lambda: len(turns._line) == 21)
            closed.set()
            for one in waiting:
                one.result(timeout=60)
        assert began == []
        with turns.turn(wanted):
            assert len(turns._line) == 1


def test_one_that_is_not_wanted_when_its_turn_comes_does_not_begin() -> None:
    turns = Turns()

    def moved_on() -> None:
        raise MovedOnError

    with pytest.raises(MovedOnError), turns.turn(moved_on):
        pytest.fail("it began")
    with turns.turn(wanted):
        pass


def test_an_error_in_a_turn_ends_it() -> None:
    turns = Turns()
    with pytest.raises(MovedOnError), turns.turn(wanted):
        raise MovedOnError
    with turns.turn(wanted):
        assert len(turns._line) == 1


def test_who_came_first_is_next_also_among_visitors_who_ask_again_and_again() -> None:
    turns, order, stop = Turns(), list[int](), threading.Event()

    def wait(visitor: int) -> None:
        with turns.turn(wanted):
            order.append(visitor)

    def click(_: int) -> None:
        while not stop.is_set():
            until = time.monotonic() + 0.01

            def require_wanted(until: float = until) -> None:
                if time.monotonic() > until or stop.is_set():
                    raise MovedOnError

            try:
                with turns.turn(require_wanted):
                    time.sleep(0.005)
            except MovedOnError:
                continue

    with ThreadPoolExecutor(20) as threads:
        for i in range(12):
            threads.submit(click, i)
        with turns.turn(wanted):
            for visitor in range(4):
                threads.submit(wait, visitor)
                time.sleep(0.02)
        wait_until(lambda: len(order) == 4)
        stop.set()
    assert sorted(order) == [0, 1, 2, 3]
