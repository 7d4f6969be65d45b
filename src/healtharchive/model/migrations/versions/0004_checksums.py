"""What a ZIP's directory needs of each segment, so that a WACZ is laid out without reading it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segments", sa.Column("crc32", sa.BigInteger))


def downgrade() -> None:
    op.drop_column("segments", "crc32")
