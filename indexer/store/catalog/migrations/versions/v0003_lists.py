"""Inverted lists, and the form in which vectors are searched."""

import sqlalchemy as sa
from alembic import op

from indexer.store.catalog.column_types import INT64

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "lists",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False, unique=True),
        sa.Column("form", sa.String(16), nullable=False),
        sa.Column("rows", INT64, nullable=False),
        sa.Column("trained_rows", INT64, nullable=False),
        sa.Column("nprobe", sa.Integer, nullable=False),
        sa.Column("recall", sa.Float, nullable=False),
        sqlite_autoincrement=True,
    )
    op.add_column(
        "spec", sa.Column("index_form", sa.String(16), nullable=False, server_default="auto")
    )


def downgrade() -> None:
    raise RuntimeError("a store is never taken back to an older schema")
