"""Regions of images, and the spec fields that describe them."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

from indexer.store.catalog.column_types import INT64

revision = "0002"
down_revision = "0001"

# A store of the first schema holds no regions; the rest of its spec keeps its meaning.
NO_REGIONS = {
    "regions": "none",
    "scales": [0.7, 0.47, 0.31],
    "aspects": [1.0],
    "overlap": 0.45,
    "crop_px": 160,
    "region_taps": [],
    "whitening": "",
    "adaptation": "",
}


def upgrade() -> None:
    op.create_table(
        "regions",
        sa.Column("id", INT64, primary_key=True),
        sa.Column("image_id", INT64, nullable=False, index=True),
        sa.Column("x0", sa.Integer, nullable=False),
        sa.Column("y0", sa.Integer, nullable=False),
        sa.Column("x1", sa.Integer, nullable=False),
        sa.Column("y1", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    connection = op.get_bind()
    for row in connection.execute(sa.text("SELECT id, json FROM spec")).all():
        try:
            old = dict(json.loads(row.json))
        except (ValueError, TypeError):
            continue  # damaged: opening the store says so
        spec = json.dumps(old | NO_REGIONS, sort_keys=True, separators=(",", ":"))
        connection.execute(
            sa.text("UPDATE spec SET json = :json, fingerprint = :digest WHERE id = :id"),
            {"json": spec, "digest": hashlib.sha256(spec.encode()).hexdigest(), "id": row.id},
        )


def downgrade() -> None:
    raise RuntimeError("a store is never taken back to an older schema")
