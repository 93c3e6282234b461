"""Types of columns that are alike in SQLite and PostgreSQL.

SQLite keeps integers of any size and texts of any length in byte order, whatever a column says;
PostgreSQL does what it says.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String, TypeDecorator
from sqlalchemy.engine import Dialect

from indexer.store.catalog.paths import from_stored, to_stored

POSTGRESQL = "postgresql"

INT64 = Integer().with_variant(BigInteger(), POSTGRESQL)
TEXT = String().with_variant(String(collation="C"), POSTGRESQL)


class PathText(TypeDecorator[str]):
    """A POSIX path as text, as `to_stored` has it."""

    impl = TEXT
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        del dialect  # the signature is SQLAlchemy's
        return value if value is None else to_stored(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        del dialect  # the signature is SQLAlchemy's
        return value if value is None else from_stored(value)


class MessageText(TypeDecorator[str]):
    """What a file or a decoder says; PostgreSQL cannot keep its NULs, which are shown as ␀."""

    impl = TEXT
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or dialect.name != POSTGRESQL:
            return value
        return to_stored(value).replace("\0", "␀")
