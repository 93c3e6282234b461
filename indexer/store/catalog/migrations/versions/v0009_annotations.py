"""Fields of the user's own, and what they say of images."""

import sqlalchemy as sa
from alembic import op

from indexer.store.catalog.column_types import INT64, TEXT

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "fields",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", TEXT, nullable=False, unique=True),
        sa.Column("checksum", sa.BigInteger),
    )
    op.create_table(
        "annotations",
        sa.Column("image_id", INT64, primary_key=True, autoincrement=False),
        sa.Column(
            "field_id",
            sa.Integer,
            sa.ForeignKey("fields.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("number", sa.Float),
        sa.Column("checksum", sa.BigInteger),
    )
    op.create_index("ix_annotations_field_id", "annotations", ["field_id"])


def downgrade() -> None:
    raise RuntimeError("a store is never taken back to an older schema")
