"""Which index type suits a number of vectors, and how well it is to find them."""

from __future__ import annotations

from dataclasses import dataclass

from indexer.choices import INDEX_TYPES, IndexType

BALANCED_ROWS = 50_000  # from here on, comparing with all is no longer the quickest
COMPACT_ROWS = 5_000_000  # from here on, memory counts more than time
# The least that a type can be trained on.
LEAST_ROWS: dict[IndexType, int] = {"exact": 0, "balanced": 1, "compact": 256}

RECALL_AT = 10


@dataclass(frozen=True)
class Accuracy:
    """What recall an index type is set to, and how many candidates are scored again for k hits.

    They are `k * factor`, and at least `least`. Of the 240 truly nearest vectors, all but one in
    ten thousand were among the 300 nearest by codes of 6 bits.
    """

    recall: float
    factor: float
    least: int


ACCURACY: dict[IndexType, Accuracy] = {
    "balanced": Accuracy(recall=0.975, factor=1.25, least=40),
    "compact": Accuracy(recall=0.95, factor=10, least=800),
}


def choose_index_type(rows: int) -> IndexType:
    """Return the index type that suits a number of vectors."""
    if rows < BALANCED_ROWS:
        return "exact"
    return "balanced" if rows < COMPACT_ROWS else "compact"


def find_index_type(chosen: str, rows: int) -> IndexType:
    """Return the index type for so many vectors: the chosen one, unless that is `auto`."""
    wanted = next((t for t in INDEX_TYPES if t == chosen), choose_index_type(rows))
    return wanted if rows >= LEAST_ROWS[wanted] else "exact"
