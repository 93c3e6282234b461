"""Decisions about duplicates."""

import sqlalchemy as sa
from alembic import op

from indexer.store.catalog.column_types import INT64

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "decisions",
        sa.Column("first_id", INT64, primary_key=True, autoincrement=False),
        sa.Column("second_id", INT64, primary_key=True, autoincrement=False),
        sa.Column("verdict", sa.String(8), nullable=False),
        sa.Column("checksum", sa.BigInteger),
    )
    op.create_index("ix_decisions_second_id", "decisions", ["second_id"])


def downgrade() -> None:
    raise RuntimeError("a store is never taken back to an older schema")
