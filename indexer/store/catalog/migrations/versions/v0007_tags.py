"""Concepts that a store was taught, and the images that have them as tags."""

import sqlalchemy as sa
from alembic import op

from indexer.store.catalog.column_types import INT64, TEXT

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "concepts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", TEXT, nullable=False, unique=True),
        sa.Column("json", sa.String, nullable=False),
    )
    op.create_table(
        "tags",
        sa.Column("image_id", INT64, primary_key=True, autoincrement=False),
        sa.Column(
            "concept_id",
            sa.Integer,
            sa.ForeignKey("concepts.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("probability", sa.Float, nullable=False),
    )
    op.create_index("ix_tags_concept_id", "tags", ["concept_id"])


def downgrade() -> None:
    raise RuntimeError("a store is never taken back to an older schema")
