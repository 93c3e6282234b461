"""The language of filters: `folder:2019/* and date>=2019-06 and not camera:"X100"`.

A comparison is a field, an operator and a value. They are joined by `and`, which may be left out,
`or`, `not` and parentheses; `and` binds closer than `or`. Fields and values with spaces or other
signs are in double quotes, in which a backslash goes before a quote or another backslash.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

from lark import Lark, Token, Transformer, UnexpectedInput, UnexpectedToken
from lark.exceptions import VisitError

from indexer.errors import InvalidFilterError

Operator = Literal[":", "=", "!=", "<", "<=", ">", ">="]

MAX_CHARACTERS = 10_000
MAX_COMPARISONS = 200
MAX_DEPTH = 50
EXAMPLE = 'folder:2019/* and date>=2019-06 and not camera:"X100"'

GRAMMAR = r"""
    ?start: any
    ?any: all ("or"i all)*
    ?all: one (["and"i] one)*
    ?one: "not"i one -> negation
        | "(" any ")"
        | comparison
    comparison: field OPERATOR value
    field: NAME | QUOTED
    value: WORD | QUOTED

    OPERATOR: "!=" | "<=" | ">=" | ":" | "=" | "<" | ">"
    NAME: /[^\W\d][\w.-]*/
    WORD: /[^\s()"]+/
    QUOTED: /"(\\.|[^"\\])*"/s
    %ignore /\s+/
"""


@dataclass(frozen=True)
class Comparison:
    """A field compared with a value, which `is_text` where it was quoted."""

    field: str
    operator: Operator
    value: str
    is_text: bool = False


@dataclass(frozen=True)
class Negation:
    """What does not meet a condition."""

    part: Condition


@dataclass(frozen=True)
class AllOf:
    """What meets all conditions."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class AnyOf:
    """What meets one condition or more."""

    parts: tuple[Condition, ...]


Condition = Comparison | Negation | AllOf | AnyOf


def parse_filter(text: str) -> Condition:
    """Read a filter; raises `InvalidFilterError`, which says where it is wrong."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidFilterError(f"The filter is longer than {MAX_CHARACTERS:,} characters.")
    if not text.strip():
        raise InvalidFilterError(f"The filter is empty; write something like {EXAMPLE}")
    try:
        condition: Condition = _ToConditions().transform(_parser().parse(text))
    except UnexpectedInput as error:
        raise InvalidFilterError(_explain(text, error)) from error
    except (VisitError, RecursionError) as error:
        raise InvalidFilterError("The filter is nested too deeply.") from error
    if _depth(condition) > MAX_DEPTH:
        raise InvalidFilterError(f"The filter is nested more than {MAX_DEPTH} deep.")
    if sum(1 for _ in comparisons(condition)) > MAX_COMPARISONS:
        raise InvalidFilterError(f"The filter has more than {MAX_COMPARISONS} comparisons.")
    return condition


def comparisons(condition: Condition) -> Iterator[Comparison]:
    """Yield the comparisons of a condition, from left to right."""
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, Negation):
        yield from comparisons(condition.part)
    else:
        for part in condition.parts:
            yield from comparisons(part)


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", maybe_placeholders=False)


class _ToConditions(Transformer[Token, Condition]):
    """Makes conditions of what lark has read."""

    def field(self, parts: list[Token]) -> str:
        return _unquoted(parts[0])

    def value(self, parts: list[Token]) -> Token:
        return parts[0]

    def comparison(self, parts: tuple[str, Token, Token]) -> Comparison:
        field, sign, value = parts
        [operator] = [known for known in get_args(Operator) if known == sign]
        return Comparison(field, operator, _unquoted(value), value.type == "QUOTED")

    def negation(self, parts: list[Condition]) -> Negation:
        return Negation(parts[0])

    def all(self, parts: list[Condition]) -> AllOf:
        return AllOf(tuple(parts))

    def any(self, parts: list[Condition]) -> AnyOf:
        return AnyOf(tuple(parts))


def _unquoted(token: Token) -> str:
    if token.type != "QUOTED":
        return str(token)
    out, text = [], iter(token[1:-1])
    for character in text:
        out.append(next(text) if character == "\\" else character)
    return "".join(out)


def _depth(condition: Condition) -> int:
    if isinstance(condition, Comparison):
        return 0
    parts = (condition.part,) if isinstance(condition, Negation) else condition.parts
    return 1 + max(_depth(part) for part in parts)


def _explain(text: str, error: UnexpectedInput) -> str:
    place = error.pos_in_stream or 0
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return f"The filter ends too early: {text.strip()}. Write something like {EXAMPLE}"
    rest = text[place:].split(maxsplit=1)[0]
    return (
        f"The filter cannot be read from {rest!r} at character {place + 1} on. Write something "
        f"like {EXAMPLE}"
    )
