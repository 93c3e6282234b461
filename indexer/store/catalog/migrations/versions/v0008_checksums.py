"""Checksums of every row and file, and the state of the catalogue as a whole."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    for table in ("images", "regions", "concepts", "tags"):
        op.add_column(table, sa.Column("checksum", sa.BigInteger))
    for table in ("segments", "lists"):
        op.add_column(table, sa.Column("checksum", sa.String(64)))
    op.create_table(
        "state",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("commits", sa.BigInteger, nullable=False),
        sa.Column("checksum", sa.String(64), nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
    )


def downgrade() -> None:
    raise RuntimeError("a store is never taken back to an older schema")
