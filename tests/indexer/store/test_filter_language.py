"""Reading filters."""

from __future__ import annotations

import pytest

from indexer.errors import InvalidFilterError
from indexer.store.filter_language import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Negation,
    parse_filter,
)

A, B, C = (Comparison(name, ":", "1") for name in "abc")


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("a:1", A),
        ("a : 1", A),
        ("a:1 and b:1", AllOf((A, B))),
        ("a:1 b:1", AllOf((A, B))),
        ("a:1 OR b:1 And c:1", AnyOf((A, AllOf((B, C))))),
        ("(a:1 or b:1) c:1", AllOf((AnyOf((A, B)), C))),
        ("not a:1 or b:1", AnyOf((Negation(A), B))),
        ("not (a:1 or b:1)", Negation(AnyOf((A, B)))),
        ("not not a:1", Negation(Negation(A))),
        ("date>=2019-06", Comparison("date", ">=", "2019-06")),
        ("date>=2019-06-30T12:00", Comparison("date", ">=", "2019-06-30T12:00")),
        ("folder:2019/*", Comparison("folder", ":", "2019/*")),
        ("a!=b<c", Comparison("a", "!=", "b<c")),
        ('camera:"X 100"', Comparison("camera", ":", "X 100", is_text=True)),
        (r'title="a \"b\" \\ c"', Comparison("title", "=", r"a " + '"b" ' + "\\ c", is_text=True)),
        ('"inventory number":A.1-2', Comparison("inventory number", ":", "A.1-2")),
        (
            "order:5 nothing:6",
            AllOf((Comparison("order", ":", "5"), Comparison("nothing", ":", "6"))),
        ),
        ("tag:and tag:or", AllOf((Comparison("tag", ":", "and"), Comparison("tag", ":", "or")))),
        ("größe<3", Comparison("größe", "<", "3")),
    ],
)
def test_what_a_filter_says(text: str, condition: Condition) -> None:
    assert parse_filter(text) == condition


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("a", "ends too early"),
        ("a:", "ends too early"),
        ("a:1 and", "ends too early"),
        ("(a:1", "ends too early"),
        ("a:1)", "from '\\)' at character 4"),
        ("a:1 == 2", "from '==' at character 5"),
        ("1:2", "from '1:2' at character 1"),
        ('a:"1', "from '\"1' at character 3"),
        ("or a:1", "character"),
        ("not " * 60 + "a:1", "nested more than 50 deep"),
        ("not " * 2000 + "a:1", "nested too deeply"),
        ("a:1 " * 201, "more than 200 comparisons"),
        ("a" * 10_001, "longer than 10,000 characters"),
    ],
)
def test_what_is_no_filter_is_told(text: str, why: str) -> None:
    with pytest.raises(InvalidFilterError, match=why):
        parse_filter(text)


def test_parentheses_cost_nothing() -> None:
    assert parse_filter("(" * 3000 + "a:1" + ")" * 3000) == A
