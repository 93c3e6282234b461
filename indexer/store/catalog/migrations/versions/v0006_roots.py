"""What tells changed files beside their dates, how each root is read, and pages of files."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for name in ("ctime_ns", "inode"):
        op.add_column("images", sa.Column(name, sa.BigInteger))
    op.add_column("images", sa.Column("pages", sa.Integer))
    for name in ("options", "skipped"):
        op.add_column("roots", sa.Column(name, sa.String, nullable=False, server_default="{}"))


def downgrade() -> None:
    raise RuntimeError("a store is never taken back to an older schema")
