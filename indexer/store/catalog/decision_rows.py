"""Writing decisions about duplicates, inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, delete, insert, or_

from indexer.store.catalog.questions import parts_of
from indexer.store.catalog.row_checksums import row_checksum
from indexer.store.catalog.tables import DecisionRow

Pair = tuple[int, int]


def set_decisions(connection: Connection, verdicts: Mapping[Pair, str]) -> None:
    """Decide about pairs of images, in place of what was decided about them before."""
    forget_decisions(connection, [*verdicts, *((second, first) for first, second in verdicts)])
    rows = [
        {
            "first_id": first,
            "second_id": second,
            "verdict": verdict,
            "checksum": row_checksum((first, second, verdict)),
        }
        for (first, second), verdict in verdicts.items()
    ]
    if rows:
        connection.execute(insert(DecisionRow), rows)


def forget_decisions(connection: Connection, pairs: Collection[Pair]) -> None:
    """Forget what was decided about pairs of images, in this order."""
    for first, second in pairs:
        connection.execute(
            delete(DecisionRow).where(
                DecisionRow.first_id == first, DecisionRow.second_id == second
            )
        )


def forget_decisions_about(connection: Connection, image_ids: Sequence[int]) -> None:
    """Forget what was decided about these images."""
    for part in parts_of(image_ids):
        connection.execute(
            delete(DecisionRow).where(
                or_(DecisionRow.first_id.in_(part), DecisionRow.second_id.in_(part))
            )
        )


def forget_decisions_among(connection: Connection, image_ids: Sequence[int]) -> None:
    """Forget what was decided about pairs of which both are among these images."""
    for first in parts_of(image_ids):
        for second in parts_of(image_ids):
            connection.execute(
                delete(DecisionRow).where(
                    DecisionRow.first_id.in_(first), DecisionRow.second_id.in_(second)
                )
            )
