"""Writing what was noted about images when they were read, inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, insert

from indexer.store.catalog.paths import to_stored
from indexer.store.catalog.questions import parts_of
from indexer.store.catalog.row_checksums import row_checksum
from indexer.store.catalog.tables import WarningRow


def add_warnings(connection: Connection, warnings: Mapping[int, Sequence[str]]) -> None:
    """Note what was odd about images, by id; a decoder may say it with any characters."""
    rows = []
    for image_id, lines in warnings.items():
        text = "\n".join(to_stored(line).replace("\0", "␀") for line in lines)
        rows.append(
            {"image_id": image_id, "text": text, "checksum": row_checksum((image_id, text))}
        )
    if rows:
        connection.execute(insert(WarningRow), rows)


def forget_warnings(connection: Connection, image_ids: Sequence[int]) -> None:
    """Forget what was noted about images."""
    for part in parts_of(image_ids):
        connection.execute(delete(WarningRow).where(WarningRow.image_id.in_(part)))
