"""Optimising: segments merged, and the lists by which large collections are searched kept up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from indexer.store.approximate import FORMS, LEAST_ROWS, ApproximateIndex, Form, choose_form
from indexer.store.store import Store

TAIL_ROWS = 50_000  # new vectors that are compared one by one before they go into the lists
TAIL_SHARE = 0.1
OUTGROWN = 4  # times as many rows as the lists were trained for: time to train anew

Tell = Callable[[str], None]
"""Called with a sentence about what is being done."""


@dataclass(frozen=True)
class KindReport:
    """How the vectors of one kind are searched; `recall` is None for an exact search."""

    kind: str
    rows: int
    form: Form
    nprobe: int | None
    recall: float | None


def optimize_store(store: Store, tell: Tell = lambda _: None) -> list[KindReport]:
    """Merge the segments of each kind, drop removed vectors, and train its lists anew.

    Queries go on meanwhile; an interruption leaves what was finished.
    """
    with store.writing():
        for kind in store.spec.kinds:
            tell(f"Merging the {kind} vectors")
            store.files.merge(kind)
        store.forget_removed()
        return [_keep_up(store, kind, tell, anew=True) for kind in store.spec.kinds]


def keep_up(store: Store, tell: Tell = lambda _: None) -> None:
    """Bring the lists up to date with what was added, where it is worth it, and join segments."""
    with store.writing():
        for kind in store.spec.kinds:
            _keep_up(store, kind, tell, anew=False)
            store.files.join(kind)


def _keep_up(store: Store, kind: str, tell: Tell, *, anew: bool) -> KindReport:
    files = store.files
    rows = files.rows(kind)
    form = _wanted_form(store, len(rows))
    row = files.lists_entry(kind)
    if form == "exact":
        if row is not None:
            files.replace_lists(kind, None, 0)
        return KindReport(kind, len(rows), form, None, None)
    outgrown = row is not None and len(rows) > OUTGROWN * row.trained_rows
    if row is None or row.form != form or anew or outgrown:
        tell(f"Training a {form} index of {len(rows):,} {kind} vectors")
        lists = ApproximateIndex.train(rows, form)
        trained_rows = len(rows)
    elif len(rows) - row.rows >= max(TAIL_ROWS, TAIL_SHARE * row.rows):
        tell(f"Adding {len(rows) - row.rows:,} {kind} vectors to the index")
        lists = files.open_lists(row, to_extend=True)
        trained_rows = row.trained_rows
    else:
        return KindReport(kind, len(rows), form, row.nprobe, row.recall)
    lists.extend(rows)
    tell(f"Measuring the recall of the {kind} index")
    lists.calibrate(rows)
    files.replace_lists(kind, lists, trained_rows)
    return KindReport(kind, len(rows), form, lists.nprobe, lists.recall)


def _wanted_form(store: Store, rows: int) -> Form:
    chosen = store.index_form
    form = next((form for form in FORMS if form == chosen), choose_form(rows))
    return form if rows >= LEAST_ROWS[form] else "exact"
