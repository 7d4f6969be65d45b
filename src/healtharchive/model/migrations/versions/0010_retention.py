"""When local files were read again, what was retired, how often is looked; indexes for events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segments", sa.Column("local_read_at", sa.DateTime(timezone=True)))
    op.add_column("segments", sa.Column("local_finding", sa.String(16)))
    op.add_column("reconcilers", sa.Column("every_seconds", sa.Float))
    # Without these every event that is deleted costs a walk through all that could refer to it.
    op.create_index("ix_events_caused_by", "events", ["caused_by"])
    op.create_index("ix_actions_event_id", "actions", ["event_id"])
    op.create_table(
        "retired_actions",
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("target", sa.String(128), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("subject", "what", "outcome", "target", name="pk_retired_actions"),
    )


def downgrade() -> None:
    op.drop_table("retired_actions")
    op.drop_index("ix_actions_event_id", "actions")
    op.drop_index("ix_events_caused_by", "events")
    op.drop_column("reconcilers", "every_seconds")
    op.drop_column("segments", "local_finding")
    op.drop_column("segments", "local_read_at")
