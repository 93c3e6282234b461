"""The readers of files get some of the examples of `benchmarks.fuzz`."""

from __future__ import annotations

import pytest

from benchmarks.fuzz import TARGETS, fuzz, try_store


@pytest.mark.parametrize("name", TARGETS)
def test_only_errors_for_the_user_come_out(name: str) -> None:
    fuzz(name, 25 if name == "store" else 60)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("concepts", "name", b""), ("concepts", "json", b"{}"), ("tags", "probability", "likely")],
)
def test_a_forged_value_of_another_type_is_an_error_for_the_user(
    table: str, column: str, value: object
) -> None:
    try_store(("value", (table, column, value)))
