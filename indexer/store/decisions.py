"""What was decided about duplicates: which stay, and which are copies of what."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select, true

from indexer.store.catalog.decision_rows import (
    Pair,
    forget_decisions_about,
    forget_decisions_among,
    set_decisions,
)
from indexer.store.catalog.tables import DecisionRow
from indexer.store.reader import StoreReader

KEEP = "keep"
COPY = "copy"


@dataclass(frozen=True)
class Decisions:
    """All that was decided, by image ids.

    `kept` are pairs, ascending, of which both are to stay; `copies` are pairs of an original and a
    copy of it.
    """

    kept: frozenset[Pair] = frozenset()
    copies: frozenset[Pair] = frozenset()

    @property
    def originals(self) -> frozenset[int]:
        """The images that others are copies of."""
        return frozenset(original for original, _ in self.copies)

    @property
    def verdicts(self) -> dict[Pair, str]:
        """The verdict about each pair, `KEEP` or `COPY`."""
        return dict.fromkeys(self.kept, KEEP) | dict.fromkeys(self.copies, COPY)

    def settle(self, image_ids: Collection[int]) -> bool:
        """Whether about each two of these images it is decided which stay."""
        return all(
            (a, b) in self.kept or (a, b) in self.copies or (b, a) in self.copies
            or any((o, a) in self.copies and (o, b) in self.copies for o in image_ids)
            for a, b in itertools.combinations(sorted(image_ids), 2)
        )  # fmt: skip


def renumber(verdicts: Mapping[Pair, str], ids: Mapping[int, int]) -> dict[Pair, str]:
    """Return the verdicts about images that have these `ids` now, by those that they had.

    A pair of which one has none, or which are one image now, is left out.
    """
    found: dict[Pair, str] = {}
    for (old_first, old_second), verdict in verdicts.items():
        first, second = ids.get(old_first), ids.get(old_second)
        if first is not None and second is not None and first != second:
            is_reversed = verdict == KEEP and first > second
            found[(second, first) if is_reversed else (first, second)] = verdict
    return found


def read_decisions(store: StoreReader) -> Decisions:
    """Return what was decided; raises `StoreCorruptError`."""
    return _read(store, true())


def decisions_about(store: StoreReader, image_ids: Sequence[int]) -> Decisions:
    """Return what was decided about pairs of which both are among these images.

    Raises `StoreCorruptError`.
    """
    wanted = [*{*image_ids}]
    found = _read(store, or_(DecisionRow.first_id.in_(wanted), DecisionRow.second_id.in_(wanted)))
    inside = frozenset(wanted)
    return Decisions(
        frozenset(pair for pair in found.kept if inside.issuperset(pair)),
        frozenset(pair for pair in found.copies if inside.issuperset(pair)),
    )


def _read(store: StoreReader, condition: ColumnElement[bool]) -> Decisions:
    store.catalog.require_intact("decisions")
    columns = (DecisionRow.first_id, DecisionRow.second_id, DecisionRow.verdict)
    found: dict[str, set[Pair]] = {KEEP: set(), COPY: set()}
    with store.catalog.session() as session:
        for first, second, verdict in session.execute(select(*columns).where(condition)):
            found[verdict].add((first, second))
    return Decisions(frozenset(found[KEEP]), frozenset(found[COPY]))


def keep_all(store: StoreReader, image_ids: Sequence[int]) -> None:
    """Decide that all these images stay: no two of them are shown as duplicates again.

    Only for who holds the writer's lock, see `Store.writing`.
    """
    pairs = dict.fromkeys(itertools.combinations(sorted(set(image_ids)), 2), KEEP)
    with store.catalog.transaction() as change:
        set_decisions(change.connection, pairs)


def choose_original(store: StoreReader, original: int, copies: Sequence[int]) -> None:
    """Decide that an image is the original of others, whatever was decided among them before.

    Only for who holds the writer's lock, see `Store.writing`.
    """
    pairs = {(original, copy): COPY for copy in copies if copy != original}
    with store.catalog.transaction() as change:
        forget_decisions_among(change.connection, [*{original, *copies}])
        set_decisions(change.connection, pairs)


def forget_all(store: StoreReader, image_ids: Sequence[int]) -> None:
    """Forget what was decided about these images.

    Only for who holds the writer's lock, see `Store.writing`.
    """
    with store.catalog.transaction() as change:
        forget_decisions_about(change.connection, image_ids)


def restore_decisions(store: StoreReader, image_ids: Sequence[int], earlier: Decisions) -> None:
    """Let what was decided among these images be what it was `earlier`, see `decisions_about`.

    Only for who holds the writer's lock, see `Store.writing`.
    """
    with store.catalog.transaction() as change:
        forget_decisions_among(change.connection, image_ids)
        set_decisions(change.connection, earlier.verdicts)
