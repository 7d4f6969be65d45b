"""What each crawl was judged to be, and why."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _job_columns() -> list[sa.Column[Any]]:
    return [sa.Column("quality", sa.String(16)), sa.Column("quality_reasons", sa.JSON)]


def upgrade() -> None:
    for column in _job_columns():
        op.add_column("archive_jobs", column)


def downgrade() -> None:
    for column in _job_columns():
        op.drop_column("archive_jobs", column.name)
