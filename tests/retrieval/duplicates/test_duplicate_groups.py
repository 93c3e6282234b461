from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from retrieval.duplicates.groups import Group, make_groups
from retrieval.duplicates.relation import Relation

ORDER = {image_id: image_id for image_id in range(30)}


def same(first: int, second: int) -> Relation:
    return Relation("picture", first, second, 1.0)


def part(first: int, second: int) -> Relation:
    return Relation("part", first, second, 0.97, quad=((0, 0), (1, 0), (1, 1), (0, 1)))


def shapes(groups: list[Group]) -> list[tuple[str, tuple[int, ...]]]:
    return [(group.kind, group.image_ids) for group in groups]


def test_kinds_are_told_apart_and_whole_pictures_come_first() -> None:
    found = make_groups([[1, 2], [3, 4]], [same(3, 5), part(6, 1), part(7, 1)], ORDER)
    assert shapes(found) == [
        ("bytes", (1, 2)),
        ("picture", (3, 4, 5)),
        ("part", (1, 6, 7)),
    ]
    assert [m.relation for m in found[1].members] == [None, None, same(5, 3)]
    assert found[2].members[1].relation == part(6, 1)


def test_the_first_of_a_group_is_the_one_to_keep() -> None:
    found = make_groups([], [same(1, 2), same(2, 3)], {1: 5, 2: 9, 3: 1})
    assert shapes(found) == [("picture", (3, 1, 2))]
    assert [m.relation for m in found[0].members] == [None, None, same(2, 3)]


def test_one_of_several_copies_stands_for_all_in_a_group_of_parts() -> None:
    found = make_groups([[1, 2]], [same(3, 4), part(3, 1), part(4, 2), part(4, 1)], ORDER)
    assert shapes(found)[2:] == [("part", (1, 3))]


def test_a_part_of_a_part_is_named_with_the_largest_picture() -> None:
    relations = [part(1, 2), part(2, 3), part(1, 3), part(4, 2)]
    assert shapes(make_groups([], relations, ORDER)) == [("part", (2, 4)), ("part", (3, 1, 2))]


def test_what_is_to_stay_is_not_shown_again() -> None:
    relations = [same(3, 4), same(4, 5), part(6, 3)]
    kept = frozenset({(1, 2), (3, 4), (3, 6)})
    assert shapes(make_groups([[1, 2]], relations, ORDER, kept)) == [("picture", (4, 5))]
    assert shapes(make_groups([[1, 2, 7]], [], ORDER, kept)) == [("bytes", (1, 2, 7))]


def test_copies_that_are_to_stay_share_a_group_of_parts() -> None:
    relations = [same(1, 2), part(3, 1), part(3, 2)]
    assert shapes(make_groups([], relations, ORDER, {(1, 2)})) == [("part", (1, 3))]


Pairs = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)).filter(lambda p: p[0] < p[1]))


@given(Pairs, Pairs)
def test_groups_of_whole_pictures_are_apart_and_hold_all_that_are_related(
    pictures: list[tuple[int, int]], kept: list[tuple[int, int]]
) -> None:
    found = make_groups([], [same(*pair) for pair in pictures], ORDER, frozenset(kept))
    members = list(itertools.chain(*(group.image_ids for group in found)))
    assert len(members) == len(set(members))
    left = [pair for pair in pictures if pair not in kept]
    assert set(members) == set(itertools.chain(*left))
    for first, second in left:
        assert any({first, second} <= set(group.image_ids) for group in found)
