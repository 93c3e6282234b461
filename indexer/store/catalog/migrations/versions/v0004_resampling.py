"""The spec names how images are resized; until now it was always bicubic."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.text("SELECT id, json FROM spec")).all():
        try:
            old = dict(json.loads(row.json))
        except (ValueError, TypeError):
            continue  # damaged: opening the store says so
        spec = json.dumps(old | {"resampling": "bicubic"}, sort_keys=True, separators=(",", ":"))
        connection.execute(
            sa.text("UPDATE spec SET json = :json, fingerprint = :digest WHERE id = :id"),
            {"json": spec, "digest": hashlib.sha256(spec.encode()).hexdigest(), "id": row.id},
        )


def downgrade() -> None:
    raise RuntimeError("a store is never taken back to an older schema")
