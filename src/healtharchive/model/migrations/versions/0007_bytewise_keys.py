"""URL keys compare byte by byte on PostgreSQL too, so that a prefix or a domain is one range."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = ("captures", "snapshots", "changes")


def upgrade() -> None:
    _set_collation("C")


def downgrade() -> None:
    _set_collation(None)


def _set_collation(collation: str | None) -> None:
    """Builds the columns' indexes anew, not their tables. SQLite compares bytes anyway."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in TABLES:
        op.alter_column(table, "url_key", type_=sa.Text(collation=collation or "default"))
