"""Plain SQL on a connection of SQLAlchemy: the same statements and rows, whatever the database.

Statements have a question mark for each value. Rows have plain values, those that SQLite has, so
that their checksums are the same everywhere: dates as text, and truth values as numbers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection


def ask(connection: Connection, query: str, values: Sequence[object] = ()) -> Iterable[Any]:
    """Execute a query and return its rows."""
    rows = connection.exec_driver_sql(_spelled(connection, query), tuple(values))
    return rows if _is_sqlite(connection) else _plain(rows)


def execute(connection: Connection, statement: str, rows: Sequence[Sequence[Any]] = ((),)) -> None:
    """Execute a statement once for each row of values."""
    if rows:
        values = [tuple(row) for row in rows]
        spelled = _spelled(connection, statement)
        connection.exec_driver_sql(spelled, values if len(values) > 1 else values[0])


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def _spelled(connection: Connection, statement: str) -> str:
    return statement if _is_sqlite(connection) else statement.replace("?", "%s")


def _plain(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        yield tuple(_PLAIN.get(type(value), _unchanged)(value) for value in row)


def _unchanged(value: Any) -> Any:
    return value


def _time_text(value: dt.datetime) -> str:
    return value.isoformat(" ", "microseconds")


_PLAIN: dict[type, Callable[[Any], Any]] = {bool: int, dt.datetime: _time_text}
