"""Values in filters: numbers, sizes in bytes, and days or longer spans of time."""

from __future__ import annotations

import datetime as dt
import math
import re

from indexer.errors import InvalidFilterError

_NUMBER = re.compile(r"[+-]?(\d[\d_]*)?(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)
_SIZE = re.compile(r"([\d._]+)\s*(b|kb|mb|gb|tb)?", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2}):(\d{2}))?)?)?")
MOST = 2**53  # beyond, not every whole number is a float


def read_number(text: str) -> float | None:
    """Return the number that a text is, None where it is none."""
    if not any(map(str.isdigit, text)) or not _NUMBER.fullmatch(text):
        return None
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def require_number(field: str, text: str) -> float:
    """Return a number; raises `InvalidFilterError`."""
    number = read_number(text)
    if number is None or abs(number) > MOST:
        raise InvalidFilterError(f"{field} is compared with a number, not with {text!r}.")
    return number


def require_bytes(field: str, text: str) -> float:
    """Return a size such as 500 or 2.5MB in bytes; raises `InvalidFilterError`."""
    found = _SIZE.fullmatch(text.strip())
    number = None if found is None else read_number(found[1])
    if found is None or number is None:
        raise InvalidFilterError(f"{field} is compared with a size like 2.5MB, not with {text!r}.")
    return require_number(field, str(number * _UNITS[(found[2] or "b").lower()]))


def require_span(field: str, text: str) -> tuple[dt.datetime, dt.datetime | None]:
    """Return when a year, month, day or minute begins, and when the next one does, if ever.

    Raises `InvalidFilterError`.
    """
    found = _DATE.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute = (
            None if part is None else int(part) for part in found.groups()
        )
        begin = dt.datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0)
    except ValueError as error:
        raise InvalidFilterError(
            f"{field} is compared with a year, a month or a day, like 2019, 2019-06 or 2019-06-30, "
            f"not with {text!r}."
        ) from error
    try:
        return begin, _end_of(begin, month, day, hour)
    except (ValueError, OverflowError):  # the year 9999 ends with the calendar
        return begin, None


def _end_of(
    begin: dt.datetime, month: int | None, day: int | None, hour: int | None
) -> dt.datetime:
    if month is None:
        return begin.replace(year=begin.year + 1)
    if day is None:
        return (begin + dt.timedelta(days=31)).replace(day=1)
    return begin + (dt.timedelta(days=1) if hour is None else dt.timedelta(minutes=1))
