"""The tables of running the archive: services, reconcilers, alerts, progress, tokens."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from healtharchive.model.tables import Id, UtcDateTime, metadata

__all__ = [
    "alerts",
    "measures",
    "metadata",
    "progress_samples",
    "reconcilers",
    "retired_actions",
    "service_holds",
    "services",
    "tokens",
]

# The long-lived processes: each writes that it began, that it lives, and why it ended.
services = Table(
    "services",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("service", String(32), nullable=False),  # worker, steward or serve
    Column("holder", String(255), nullable=False),  # work.holder: host, pid, start
    Column("host", String(255), nullable=False),
    Column("unit", String(255), nullable=False),  # its systemd unit, or a word for where it runs
    Column("pid", Integer, nullable=False),
    Column("version", String(32), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("beat_at", UtcDateTime, nullable=False),
    Column("stopped_at", UtcDateTime),
    Column("stop_reason", Text),
    UniqueConstraint("service", "holder"),  # `up` is several services in one process
    Index("ix_services_living", "service", "stopped_at", "beat_at"),
)

# Why a service is meant to be down: an operator's declared pause, or automation's stop, whose
# restart is owed. A row stays when it has ended.
service_holds = Table(
    "service_holds",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("service", String(32), nullable=False),
    Column("host", String(255), nullable=False),  # empty: on every machine
    Column("kind", String(16), nullable=False),  # pause or owed
    Column("who", String(255), nullable=False),
    Column("why", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime),  # null: until somebody ends it (a pause only)
    Column("ended_at", UtcDateTime),
    Column("ended_why", Text),
    Index("ix_service_holds_open", "service", "ended_at"),
)

# The newest round of each reconciler.
reconcilers = Table(
    "reconcilers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("began_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("seconds", Float, nullable=False, server_default=text("0")),  # of the last whole round
    Column("rounds", BigInteger, nullable=False, server_default=text("0")),
    Column("failures", Integer, nullable=False, server_default=text("0")),  # in a row
    Column("last_error", Text),
    Column("applied_at", UtcDateTime),  # when it last did something
    Column("every_seconds", Float),  # how long after a round the next one begins
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False),  # of the rule: TargetDown, WorkerDown …
    Column("severity", String(16), nullable=False),  # info, warning or critical
    Column("subject", String(32), nullable=False),
    Column("subject_id", String(128), nullable=False),
    Column("state", String(16), nullable=False),  # pending, firing or over
    Column("summary", Text, nullable=False),
    Column("evidence", JSON, nullable=False, default=dict),
    Column("since", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("fired_at", UtcDateTime),
    Column("over_at", UtcDateTime),
    Column("inhibited_by", String(64)),  # the rule whose alert explains this one
    Column("sent_at", UtcDateTime),  # when people were last told of it
    Column("over_sent_at", UtcDateTime),
    Index("ix_alerts_state", "state", "name"),
)

# How far a running job was at a moment; the charts, rates and stalls are made of these.
progress_samples = Table(
    "progress_samples",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("job_id", Id, ForeignKey("archive_jobs.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("urls_queued", BigInteger, nullable=False),
    Column("urls_done", BigInteger, nullable=False),
    Column("urls_failed", BigInteger, nullable=False),
    Column("bytes_written", BigInteger, nullable=False),
    UniqueConstraint("job_id", "at"),
    Index("ix_progress_samples_at", "at"),
)

# A number at a moment, such as the used bytes of the disk under jobs_root.
measures = Table(
    "measures",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("value", Float, nullable=False),
    UniqueConstraint("name", "subject", "at"),
)

# How many actions were moved to files: what is counted from the beginning goes on from there.
retired_actions = Table(
    "retired_actions",
    metadata,
    Column("subject", String(32), primary_key=True),
    Column("what", String(64), primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("target", String(128), primary_key=True),  # of a repair; empty of all others
    Column("number", BigInteger, nullable=False),
)

# Who may use the admin API and the operations pages. The token itself is nowhere.
tokens = Table(
    "tokens",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256, hexadecimal
    Column("scopes", JSON, nullable=False),  # a list of words such as read, jobs, storage
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("used_at", UtcDateTime),
)
