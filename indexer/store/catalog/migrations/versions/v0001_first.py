"""The first schema: roots, images, segments, removed ids, spec."""

import sqlalchemy as sa
from alembic import op

from indexer.store.catalog.column_types import INT64, POSTGRESQL, TEXT

revision = "0001"
down_revision = None

KIND = sa.String(8).with_variant(sa.String(16), POSTGRESQL)  # SQLite takes longer ones


def upgrade() -> None:
    op.create_table(
        "roots",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("path", TEXT, nullable=False, unique=True),
    )
    op.create_table(
        "images",
        sa.Column("id", INT64, primary_key=True),
        sa.Column("root_id", sa.Integer, sa.ForeignKey("roots.id"), nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("size_bytes", INT64, nullable=False),
        sa.Column("mtime_ns", INT64, nullable=False),
        sa.Column("content_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("reason", TEXT),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("format", TEXT),
        sa.Column("taken_at", sa.DateTime),
        sa.Column("camera", TEXT),
        sa.UniqueConstraint("root_id", "path"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_images_content_hash", "images", ["content_hash"])
    op.create_table(
        "segments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", KIND, nullable=False),
        sa.Column("rows", INT64, nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table("removed", sa.Column("image_id", INT64, primary_key=True, autoincrement=False))
    op.create_table(
        "spec",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("json", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
    )


def downgrade() -> None:
    raise RuntimeError("a store is never taken back to an older schema")
