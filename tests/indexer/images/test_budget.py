"""The budget of decoding: who waits, who does not, and that nobody waits for ever."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexer.images.budget import LEAST, MOST, Budget, default_bytes


def test_the_default_is_a_share_of_the_machine_within_bounds() -> None:
    assert LEAST <= default_bytes() <= MOST


def test_what_is_given_back_can_be_taken_again() -> None:
    budget = Budget(100)
    with budget.lease() as lease:
        lease.reserve(60)
        lease.reserve(40)
        assert (lease.held, budget.used) == (100, 100)
        lease.keep(10)
        assert (lease.held, budget.used) == (10, 10)
        lease.keep(50)
        assert lease.held == 10
    assert budget.used == 0


def test_more_than_all_is_granted_to_one_that_is_alone() -> None:
    budget = Budget(100)
    with budget.lease() as lease:
        lease.reserve(10_000)
        assert budget.used == 10_000


def test_one_waits_until_there_is_room_and_the_first_is_served_first() -> None:
    budget = Budget(100)
    served: list[str] = []

    def take(name: str, size: int) -> None:
        with budget.lease() as lease:
            lease.reserve(size)
            served.append(name)

    first = budget.lease()
    first.reserve(80)
    large = threading.Thread(target=take, args=("large", 90))
    large.start()
    while budget.waiting < 1:
        pass
    small = threading.Thread(target=take, args=("small", 15))
    small.start()
    while budget.waiting < 2:
        pass
    assert served == []  # there is room for the small one, but it came later
    first.keep(0)
    large.join()
    small.join()
    assert served == ["large", "small"]


def test_a_lease_gives_back_what_it_can_before_it_waits() -> None:
    budget = Budget(100)
    lease = budget.lease(lambda: lease.keep(0))
    lease.reserve(70)
    lease.reserve(20)
    assert lease.held == 90
    lease.reserve(50)
    assert (lease.held, budget.used) == (50, 50)


def test_a_lease_that_cannot_give_back_does_not_wait_for_itself() -> None:
    budget = Budget(100)
    with budget.lease() as lease:
        lease.reserve(70)
        lease.reserve(50)
        assert lease.held == 120


@pytest.mark.parametrize("limit", [1, 100, 1000])
def test_many_threads_all_come_to_an_end(limit: int) -> None:
    budget = Budget(limit)
    exceeded = []

    def work(seed: int) -> int:
        choice = random.Random(seed)
        with budget.lease(lambda: lease.keep(0)) as lease:
            for _ in range(100):
                lease.reserve(choice.randint(1, 300))
                if budget.used > limit and budget.used != lease.held:
                    exceeded.append(budget.used)
                lease.keep(choice.choice((lease.held, lease.held // 2, 0)))
        return seed

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(24))) == list(range(24))
    assert (budget.used, exceeded) == (0, [])
