"""Whether the keypoints of all images are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column(
        "spec", sa.Column("keypoints", sa.Boolean, nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    raise RuntimeError("a store is never taken back to an older schema")
