"""What was odd about images when they were read."""

import sqlalchemy as sa
from alembic import op

from indexer.store.catalog.column_types import INT64, TEXT

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "warnings",
        sa.Column("image_id", INT64, primary_key=True, autoincrement=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("checksum", sa.BigInteger),
    )


def downgrade() -> None:
    raise RuntimeError("a store is never taken back to an older schema")
