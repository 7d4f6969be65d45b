"""Services and their holds, reconcilers, alerts, progress samples, measures, tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# SQLite only gives a rowid to INTEGER PRIMARY KEY; PostgreSQL wants the wide one.
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)
ZERO = sa.text("0")


def upgrade() -> None:
    op.create_table(
        "services",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("service", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("unit", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("beat_at", MOMENT, nullable=False),
        sa.Column("stopped_at", MOMENT),
        sa.Column("stop_reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_services"),
        sa.UniqueConstraint("service", "holder", name="uq_services_service_holder"),
    )
    op.create_index("ix_services_living", "services", ["service", "stopped_at", "beat_at"])
    op.create_table(
        "service_holds",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("service", sa.String(32), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("who", sa.String(255), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("until", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.Column("ended_why", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_service_holds"),
    )
    op.create_index("ix_service_holds_open", "service_holds", ["service", "ended_at"])
    op.create_table(
        "reconcilers",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("seconds", sa.Float, nullable=False, server_default=ZERO),
        sa.Column("rounds", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("failures", sa.Integer, nullable=False, server_default=ZERO),
        sa.Column("last_error", sa.Text),
        sa.Column("applied_at", MOMENT),
        sa.PrimaryKeyConstraint("name", name="pk_reconcilers"),
    )
    op.create_table(
        "alerts",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("fired_at", MOMENT),
        sa.Column("over_at", MOMENT),
        sa.Column("inhibited_by", sa.String(64)),
        sa.Column("sent_at", MOMENT),
        sa.Column("over_sent_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_state", "alerts", ["state", "name"])
    op.create_table(
        "progress_samples",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("urls_queued", sa.BigInteger, nullable=False),
        sa.Column("urls_done", sa.BigInteger, nullable=False),
        sa.Column("urls_failed", sa.BigInteger, nullable=False),
        sa.Column("bytes_written", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["archive_jobs.id"], name="fk_progress_samples_job_id_archive_jobs"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_progress_samples"),
        sa.UniqueConstraint("job_id", "at", name="uq_progress_samples_job_id_at"),
    )
    op.create_index("ix_progress_samples_at", "progress_samples", ["at"])
    op.create_table(
        "measures",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_measures"),
        sa.UniqueConstraint("name", "subject", "at", name="uq_measures_name_subject_at"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.Column("used_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("name", name="uq_tokens_name"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )
    # Whether a job has captures beyond those compared is asked every two minutes.
    op.drop_index("ix_captures_job_id", "captures")
    op.create_index("ix_captures_job_id", "captures", ["job_id", "id"])


def downgrade() -> None:
    op.drop_index("ix_captures_job_id", "captures")
    op.create_index("ix_captures_job_id", "captures", ["job_id"])
    for name in (
        "tokens",
        "measures",
        "progress_samples",
        "alerts",
        "reconcilers",
        "service_holds",
        "services",
    ):
        op.drop_table(name)
