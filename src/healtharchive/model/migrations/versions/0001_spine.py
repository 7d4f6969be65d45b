"""The spine: sources, campaigns, jobs and their attempts, segments, captures, the journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
# SQLite only gives a rowid to INTEGER PRIMARY KEY; PostgreSQL wants the wide one.
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TABLES = (
    "sources",
    "campaigns",
    "archive_jobs",
    "attempts",
    "targets",
    "segments",
    "captures",
    "snapshots",
    "events",
)


def upgrade() -> None:
    _sources()
    _campaigns()
    _archive_jobs()
    _attempts()
    _targets()
    _segments()
    _captures()
    _snapshots()
    _events()


def downgrade() -> None:
    for name in reversed(TABLES):
        op.drop_table(name)


def _sources() -> None:
    op.create_table(
        "sources",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("definition", sa.JSON, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sources"),
        sa.UniqueConstraint("code", name="uq_sources_code"),
    )


def _campaigns() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("year", sa.Integer),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_campaigns"),
        sa.UniqueConstraint("name", name="uq_campaigns_name"),
    )


def _archive_jobs() -> None:
    op.create_table(
        "archive_jobs",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("source_id", ID, nullable=False),
        sa.Column("campaign_id", ID),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("engine", sa.String(32), nullable=False),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("output_dir", sa.Text, nullable=False),
        sa.Column("not_before", MOMENT),
        sa.Column("parked_reason", sa.Text),
        sa.Column("parked_target", sa.String(64)),
        sa.Column("retry_count", sa.Integer, nullable=False),
        sa.Column("retry_budget", sa.Integer, nullable=False),
        sa.Column("index_retry_count", sa.Integer, nullable=False),
        sa.Column("park_count", sa.Integer, nullable=False),
        sa.Column("park_streak", sa.Integer, nullable=False),
        sa.Column("rescue_count", sa.Integer, nullable=False),
        sa.Column("attempt_count", sa.Integer, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("lease_owner", sa.String(255)),
        sa.Column("lease_expires_at", MOMENT),
        sa.Column("heartbeat_at", MOMENT),
        sa.Column("requested_stop", sa.String(16)),
        sa.Column("urls_queued", sa.BigInteger, nullable=False),
        sa.Column("urls_in_flight", sa.BigInteger, nullable=False),
        sa.Column("urls_done", sa.BigInteger, nullable=False),
        sa.Column("urls_failed", sa.BigInteger, nullable=False),
        sa.Column("urls_excluded", sa.BigInteger, nullable=False),
        sa.Column("captures_written", sa.BigInteger, nullable=False),
        sa.Column("revisits_written", sa.BigInteger, nullable=False),
        sa.Column("bytes_written", sa.BigInteger, nullable=False),
        sa.Column("progress_at", MOMENT),
        sa.Column("outcome", sa.String(32)),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.Column("indexed_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name="fk_archive_jobs_campaign_id_campaigns"
        ),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name="fk_archive_jobs_source_id_sources"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_archive_jobs"),
        sa.UniqueConstraint(
            "campaign_id", "source_id", name="uq_archive_jobs_campaign_id_source_id"
        ),
    )
    op.create_index(
        "ix_archive_jobs_claim", "archive_jobs", ["status", "not_before", "position", "id"]
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("work", sa.String(16), nullable=False),
        sa.Column("engine", sa.String(32)),
        sa.Column("worker", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("child_pid", sa.Integer),
        sa.Column("unit", sa.String(255)),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("exit", sa.String(32)),
        sa.Column("blame", sa.String(16)),
        sa.Column("reason", sa.Text),
        sa.Column("errno", sa.Integer),
        sa.ForeignKeyConstraint(
            ["job_id"], ["archive_jobs.id"], name="fk_attempts_job_id_archive_jobs"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.UniqueConstraint("job_id", "fence", name="uq_attempts_job_id_fence"),
    )
    op.create_index("ix_attempts_recent", "attempts", ["job_id", "work", "started_at"])


def _targets() -> None:
    op.create_table(
        "targets",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("last_healthy_at", MOMENT),
        sa.Column("last_error", sa.Text),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_targets"),
        sa.UniqueConstraint("name", name="uq_targets_name"),
    )


def _segments() -> None:
    op.create_table(
        "segments",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("records", sa.Integer, nullable=False),
        sa.Column("sealed_at", MOMENT),
        sa.Column("indexed_at", MOMENT),
        sa.Column("unreadable_records", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["archive_jobs.id"], name="fk_segments_job_id_archive_jobs"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_segments"),
        sa.UniqueConstraint("name", name="uq_segments_name"),
    )
    op.create_index("ix_segments_job_id", "segments", ["job_id"])


def _captures() -> None:
    op.create_table(
        "captures",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("segment_id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("source_id", ID, nullable=False),
        sa.Column("record_offset", sa.BigInteger, nullable=False),
        sa.Column("record_length", sa.BigInteger, nullable=False),
        sa.Column("record_type", sa.String(16), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("url_key", sa.Text, nullable=False),
        sa.Column("captured_at", MOMENT, nullable=False),
        sa.Column("status_code", sa.Integer),
        sa.Column("mime", sa.String(255)),
        sa.Column("payload_digest", sa.String(80)),
        sa.Column("payload_bytes", sa.BigInteger),
        sa.Column("truncated", sa.String(32)),
        sa.ForeignKeyConstraint(
            ["job_id"], ["archive_jobs.id"], name="fk_captures_job_id_archive_jobs"
        ),
        sa.ForeignKeyConstraint(
            ["segment_id"], ["segments.id"], name="fk_captures_segment_id_segments"
        ),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name="fk_captures_source_id_sources"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_captures"),
        sa.UniqueConstraint(
            "segment_id", "record_offset", name="uq_captures_segment_id_record_offset"
        ),
    )
    op.create_index("ix_captures_job_id", "captures", ["job_id"])
    op.create_index("ix_captures_payload_digest", "captures", ["payload_digest"])
    op.create_index("ix_captures_url_key", "captures", ["url_key", "captured_at"])


def _snapshots() -> None:
    op.create_table(
        "snapshots",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("capture_id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("source_id", ID, nullable=False),
        sa.Column("campaign_id", ID),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("url_key", sa.Text, nullable=False),
        sa.Column("captured_at", MOMENT, nullable=False),
        sa.Column("status_code", sa.Integer),
        sa.Column("mime", sa.String(255)),
        sa.Column("title", sa.Text),
        sa.Column("language", sa.String(8)),
        sa.Column("text_chars", sa.Integer, nullable=False),
        sa.Column("text_digest", sa.String(80)),
        sa.Column("payload_digest", sa.String(80)),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name="fk_snapshots_campaign_id_campaigns"
        ),
        sa.ForeignKeyConstraint(
            ["capture_id"], ["captures.id"], name="fk_snapshots_capture_id_captures"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["archive_jobs.id"], name="fk_snapshots_job_id_archive_jobs"
        ),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name="fk_snapshots_source_id_sources"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_snapshots"),
        sa.UniqueConstraint("capture_id", name="uq_snapshots_capture_id"),
    )
    op.create_index("ix_snapshots_job_id", "snapshots", ["job_id"])
    op.create_index("ix_snapshots_url_key", "snapshots", ["url_key", "captured_at"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("unit", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.String(128), nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("from_state", sa.String(32)),
        sa.Column("to_state", sa.String(32)),
        sa.Column("why", sa.Text, server_default=sa.text("''"), nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("caused_by", ID),
        sa.ForeignKeyConstraint(["caused_by"], ["events.id"], name="fk_events_caused_by_events"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index("ix_events_subject", "events", ["subject", "subject_id", "id"])
