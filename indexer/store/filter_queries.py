"""What a filter means: conditions of the catalogue, by SQLAlchemy."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    String,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.orm import InstrumentedAttribute

from indexer.errors import InvalidFilterError
from indexer.images.page_paths import PAGE
from indexer.sources.place import Place, is_below, is_url, named, path_below
from indexer.store.catalog.column_types import PathText
from indexer.store.catalog.tables import AnnotationRow, ConceptRow, ImageRow, TagRow
from indexer.store.catalog.text_matching import equals, folded, folded_value, is_pattern, matches
from indexer.store.filter_language import AllOf, Comparison, Condition, Negation
from indexer.store.filter_values import read_number, require_bytes, require_number, require_span

Clause = ColumnElement[bool]

_ORDERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PATH = type_coerce(ImageRow.path, String)
# A path up to its last slash, and what is after it.
_PARENT = func.rtrim(_PATH, func.replace(_PATH, "/", ""))
_NAME = func.replace(_PATH, _PARENT, "", type_=String)
TEXTS: Mapping[str, ColumnElement[Any] | InstrumentedAttribute[Any]] = {
    "name": case((_PARENT == "", _PATH), else_=_NAME),
    "path": _PATH,
    "camera": ImageRow.camera,
    "format": ImageRow.format,
}
NUMBERS: Mapping[str, Any] = {
    "width": ImageRow.width,
    "height": ImageRow.height,
    "pixels": cast(ImageRow.width, BigInteger) * ImageRow.height,
    "size": ImageRow.size_bytes,
    "pages": func.coalesce(ImageRow.pages, 1),
}
FIELDS = ("folder", "date", "tag", *TEXTS, *NUMBERS)
"""What every store has; other fields are columns of the user's own."""


class FilterCompiler:
    """Makes clauses of conditions, for a store whose folders of photos are `roots`.

    `tags` are the names of its concepts, and `fields` those of the user's own, with their ids.
    Photos without what is compared meet no comparison.
    """

    def __init__(
        self,
        roots: Mapping[int, Place],
        tags: Callable[[], Iterable[str]],
        fields: Callable[[], Mapping[str, int]],
    ) -> None:
        self._roots = roots
        self._tags = tags
        self._fields = fields

    def compile(self, condition: Condition) -> Clause:
        """Return the clause of a condition; raises `InvalidFilterError`."""
        if isinstance(condition, Comparison):
            return func.coalesce(self._compare(condition), false())
        if isinstance(condition, Negation):
            return not_(self.compile(condition.part))
        join = and_ if isinstance(condition, AllOf) else or_
        return join(*(self.compile(part) for part in condition.parts))

    def _compare(self, asked: Comparison) -> Clause:
        field = asked.field.casefold()
        if field in TEXTS:
            return _compare_text(field, asked)
        if field in NUMBERS:
            require = require_bytes if field == "size" else require_number
            return compare_number(NUMBERS[field], asked, require(field, asked.value))
        if field == "date":
            return _compare_date(asked)
        if field == "folder":
            return self._compare_folder(asked)
        if field == "tag":
            return self._compare_tag(asked)
        return self._compare_own(field, asked)

    def _compare_own(self, field: str, asked: Comparison) -> Clause:
        own = self._fields()
        known = {name.casefold(): field_id for name, field_id in own.items()}
        if field not in known:
            raise InvalidFilterError(
                f"Photos have no field {asked.field!r}. There are: {', '.join([*FIELDS, *own])}."
            )
        says_it = select(AnnotationRow.image_id).where(AnnotationRow.field_id == known[field])
        return ImageRow.id.in_(says_it.where(_compare_annotation(asked)))

    def _compare_folder(self, asked: Comparison) -> Clause:
        require_no_order(asked)
        place = asked.value.rstrip("/") or "/"
        if place.endswith("/*"):
            place = place.removesuffix("/*")  # all that is in a folder is meant anyway
        if (is_url(place) or Path(place).is_absolute()) and not is_pattern(place):
            inside = lies_at(named(place), self._roots)
        else:
            start = "" if asked.operator in ("=", "!=") else "*"
            rooted = literal("/", String).concat(_PATH)
            inside = matches(rooted, f"{start}/{place.strip('/')}/*")
        return not_(inside) if asked.operator == "!=" else inside

    def _compare_tag(self, asked: Comparison) -> Clause:
        require_no_order(asked)
        known = list(self._tags())
        if asked.value not in known:
            there = f"there are {', '.join(known)}" if known else "there are none yet"
            raise InvalidFilterError(f"The store has no tag {asked.value!r}; {there}.")
        tagged = select(TagRow.image_id).join(ConceptRow, ConceptRow.id == TagRow.concept_id)
        has_it = ImageRow.id.in_(tagged.where(ConceptRow.name == asked.value))
        return not_(has_it) if asked.operator == "!=" else has_it


def _compare_text(field: str, asked: Comparison) -> Clause:
    require_no_order(asked)
    column: Any = TEXTS[field]
    if asked.operator == ":":
        return matches(column, asked.value)
    same = equals(column, asked.value)
    return not_(same) if asked.operator == "!=" else same


def _compare_annotation(asked: Comparison) -> Clause:
    """Compare as a number what is one, unless it was quoted, and as a text anything else."""
    number = None if asked.is_text else read_number(asked.value)
    text: Any = AnnotationRow.text
    if asked.operator == ":":
        return matches(text, asked.value)
    if asked.operator in _ORDERS:
        if number is not None:
            return compare_number(AnnotationRow.number, asked, number)
        clause: Clause = _ORDERS[asked.operator](folded(text), folded_value(asked.value))
        return clause
    same = equals(text, asked.value)
    if number is not None:
        same = or_(same, func.coalesce(AnnotationRow.number == number, false()))
    return not_(same) if asked.operator == "!=" else same


def compare_number(column: Any, asked: Comparison, value: float) -> Clause:
    """Return the clause that compares a column with a number."""
    if asked.operator in _ORDERS:
        clause: Clause = _ORDERS[asked.operator](column, value)
        return clause
    same: Clause = column == value
    return not_(same) if asked.operator == "!=" else same


def _compare_date(asked: Comparison) -> Clause:
    begin, end = require_span("date", asked.value)
    before = ImageRow.taken_at < begin
    after: Clause = false() if end is None else ImageRow.taken_at >= end
    known = ImageRow.taken_at.is_not(None)
    return {
        "<": before,
        "<=": and_(known, not_(after)),
        ">": after,
        ">=": ImageRow.taken_at >= begin,
        "!=": and_(known, or_(before, after)),
    }.get(asked.operator, and_(ImageRow.taken_at >= begin, not_(after)))


def require_no_order(asked: Comparison) -> None:
    """Raise `InvalidFilterError` where texts would be put in order."""
    if asked.operator in _ORDERS:
        raise InvalidFilterError(
            f"{asked.field} is a text: compare it by : (has it, or is like a pattern), = or !=, "
            f"not by {asked.operator}."
        )


def lies_at(place: Place, roots: Mapping[int, Place]) -> Clause:
    """Return the clause that an image lies in the file `place`, or below that folder."""
    conditions: list[Clause] = []
    for root_id, root in roots.items():
        in_root = ImageRow.root_id == root_id
        if is_below(root, place):
            conditions.append(in_root)
        elif is_below(place, root):
            path = path_below(root, place)
            below = [f"{path}/", f"{path}{PAGE}"]
            starts = [
                func.substr(ImageRow.path, 1, len(start), type_=PathText) == start
                for start in below
            ]
            conditions.append(and_(in_root, or_(ImageRow.path == path, *starts)))
    return or_(false(), *conditions)
