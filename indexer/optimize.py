"""Optimising: segments merged, and the lists by which large collections are searched kept up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from indexer.steps import Tell, begin, untold
from indexer.store.approximate import FORMS, LEAST_ROWS, ApproximateIndex, Form, choose_form
from indexer.store.store import Store

TAIL_ROWS = 50_000  # new vectors that are compared one by one before they go into the lists
TAIL_SHARE = 0.1
OUTGROWN = 4  # times as many rows as the lists were trained for: time to train anew


@dataclass(frozen=True)
class KindReport:
    """How the vectors of one kind are searched; `recall` is None for an exact search."""

    kind: str
    rows: int
    form: Form
    nprobe: int | None
    recall: float | None


def optimize_store(store: Store, tell: Tell = untold) -> list[KindReport]:
    """Merge the segments of each kind, drop removed vectors, and train its lists anew.

    Queries go on meanwhile; an interruption leaves what was finished.
    """
    with store.writing():
        for kind in store.spec.kinds:
            store.files.merge(kind, begin(tell, f"Merging the {kind} vectors"))
        store.forget_removed()
        return [_keep_up(store, kind, tell, anew=True) for kind in store.spec.kinds]


def keep_up(store: Store, tell: Tell = untold) -> None:
    """Bring the lists up to date with what was added, where it is worth it, and join segments."""
    with store.writing():
        for kind in store.spec.kinds:
            _keep_up(store, kind, tell, anew=False)
            store.files.join(kind, partial(tell, f"Joining the {kind} vectors"))


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
        training = f"Training a {form} index of {len(rows):,} {kind} vectors"
        lists = ApproximateIndex.train_cells(rows, form, begin(tell, training))
        tell(f"Training the codes of the {kind} index", 0, 0)
        lists.train_codes(rows)
        trained_rows = len(rows)
    elif len(rows) - row.rows >= max(TAIL_ROWS, TAIL_SHARE * row.rows):
        lists = files.open_lists(row, to_extend=True)
        trained_rows = row.trained_rows
    else:
        return KindReport(kind, len(rows), form, row.nprobe, row.recall)
    adding = f"Adding {len(rows) - len(lists):,} {kind} vectors to the index"
    lists.extend(rows, begin(tell, adding))
    lists.calibrate(rows, begin(tell, f"Measuring the recall of the {kind} index"))
    files.replace_lists(kind, lists, trained_rows)
    return KindReport(kind, len(rows), form, lists.nprobe, lists.recall)


def _wanted_form(store: Store, rows: int) -> Form:
    chosen = store.index_form
    form = next((form for form in FORMS if form == chosen), choose_form(rows))
    return form if rows >= LEAST_ROWS[form] else "exact"
