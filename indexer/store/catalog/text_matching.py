"""Comparing texts in any case, and with patterns, alike in SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import ColumnElement, String, literal, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from indexer.store.catalog.paths import to_stored

ESCAPE = "\\"
_FUNCTION = "cbir_casefold"


class _Casefold(GenericFunction[str]):
    """A text as it is compared in any case."""

    name = _FUNCTION
    type = String()
    inherit_cache = True


@compiles(_Casefold, "postgresql")
def _lower(element: Any, compiler: Any, **options: Any) -> str:
    text = compiler.process(element.clauses, **options)
    return f'(lower(({text}) COLLATE "und-x-icu") COLLATE "C")'


def teach_casefold(connection: sqlite3.Connection) -> None:
    """Give a connection of SQLite the function by which texts are compared."""
    connection.create_function(_FUNCTION, 1, _casefold, deterministic=True)


def _casefold(value: object) -> str | None:
    return value.casefold() if isinstance(value, str) else None


def folded(text: ColumnElement[Any]) -> ColumnElement[str]:
    """Return a text as it is compared: `str.casefold`, or PostgreSQL's rules of Unicode."""
    return _Casefold(type_coerce(text, String))


def equals(text: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """Whether a text is this one, in any case."""
    return folded(text) == folded_value(value)


def matches(text: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    """Whether a text has this part, or is like a pattern with * and ?, in any case."""
    if not is_pattern(pattern):
        pattern = f"*{pattern}*"
    return folded(text).like(folded_value(_to_like(pattern)), escape=ESCAPE)


def is_pattern(text: str) -> bool:
    """Whether a text has signs that stand for others."""
    return "*" in text or "?" in text


def _to_like(pattern: str) -> str:
    for sign in (ESCAPE, "%", "_"):
        pattern = pattern.replace(sign, ESCAPE + sign)
    return pattern.replace("*", "%").replace("?", "_")


def folded_value(value: str) -> ColumnElement[str]:
    """Return a value as it is compared."""
    return _Casefold(literal(to_stored(value), String))
