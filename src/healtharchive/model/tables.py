"""Every table of the archive's database, for SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC moment on both databases (SQLite has no time zones of its own)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a naive datetime reached the database: {value!r}")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


# SQLite only gives a rowid to INTEGER PRIMARY KEY; PostgreSQL wants the wide one.
Id = BigInteger().with_variant(Integer, "sqlite")
# Compared byte by byte on both databases: what begins alike is one range of an index.
UrlKey = Text().with_variant(Text(collation="C"), "postgresql")
BIGGEST_ID = (1 << 63) - 1  # both databases refuse to compare an id with a wider number


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


sources = Table(
    "sources",
    metadata,
    _id(),
    Column("code", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("definition", JSON, nullable=False),  # a SourceDefinition, as it was last loaded
    Column("enabled", Boolean, nullable=False, default=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

campaigns = Table(
    "campaigns",
    metadata,
    _id(),
    Column("name", String(128), nullable=False, unique=True),  # annual-2026
    Column("kind", String(64), nullable=False),
    Column("year", Integer),
    Column("created_at", UtcDateTime, nullable=False),
)

archive_jobs = Table(
    "archive_jobs",
    metadata,
    _id(),
    Column("source_id", Id, ForeignKey("sources.id"), nullable=False),
    Column("campaign_id", Id, ForeignKey("campaigns.id")),
    Column("status", String(32), nullable=False),
    Column("position", Integer, nullable=False, default=0),  # order within the campaign
    Column("engine", String(32), nullable=False, default="http"),
    Column("config", JSON, nullable=False, default=dict),  # overrides of the source's limits
    Column("output_dir", Text, nullable=False),
    # Waiting: not before when, and why.
    Column("not_before", UtcDateTime),
    Column("parked_reason", Text),
    Column("parked_target", String(64)),
    # What its output needs: the target, and the hot path (a bind target) where there is one.
    Column("target", String(64)),
    Column("hot_path", String(64)),
    # Counters kept apart: the job's fault, the world's, and rescues after a lost worker.
    Column("retry_count", Integer, nullable=False, default=0),
    Column("retry_budget", Integer, nullable=False, default=3),
    Column("index_retry_count", Integer, nullable=False, default=0),
    Column("park_count", Integer, nullable=False, default=0),
    Column("park_streak", Integer, nullable=False, default=0),
    Column("rescue_count", Integer, nullable=False, default=0),
    Column("attempt_count", Integer, nullable=False, default=0),
    # The lease. `fence` rises with each claim and never falls.
    Column("fence", BigInteger, nullable=False, default=0),
    Column("lease_owner", String(255)),
    Column("lease_expires_at", UtcDateTime),
    Column("heartbeat_at", UtcDateTime),
    Column("requested_stop", String(16)),  # an operator's pause or cancel of a running job
    # Counts, as the frontier last reported them.
    Column("urls_queued", BigInteger, nullable=False, default=0),
    Column("urls_in_flight", BigInteger, nullable=False, default=0),
    Column("urls_done", BigInteger, nullable=False, default=0),
    Column("urls_failed", BigInteger, nullable=False, default=0),
    Column("urls_excluded", BigInteger, nullable=False, default=0),
    Column("captures_written", BigInteger, nullable=False, default=0),
    Column("revisits_written", BigInteger, nullable=False, default=0),
    Column("bytes_written", BigInteger, nullable=False, default=0),
    Column("progress_at", UtcDateTime),
    Column("outcome", String(32)),  # complete, or the limit that ended the crawl
    Column("last_error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("indexed_at", UtcDateTime),
    # The job's captures up to this id are compared with what their pages said before.
    Column("compared_upto", BigInteger, nullable=False, server_default=text("0")),
    Column("quality", String(16)),  # null: nobody has judged it
    Column("quality_reasons", JSON(none_as_null=True)),  # a list of sentences
    UniqueConstraint("campaign_id", "source_id"),
    Index("ix_archive_jobs_claim", "status", "not_before", "position", "id"),
)

attempts = Table(
    "attempts",
    metadata,
    _id(),
    Column("job_id", Id, ForeignKey("archive_jobs.id"), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("work", String(16), nullable=False),  # crawl or index
    Column("engine", String(32)),
    Column("worker", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("child_pid", Integer),
    Column("unit", String(255)),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("exit", String(32)),
    Column("blame", String(16)),
    Column("reason", Text),
    Column("errno", Integer),
    UniqueConstraint("job_id", "fence"),
    Index("ix_attempts_recent", "job_id", "work", "started_at"),
)

targets = Table(
    "targets",
    metadata,
    _id(),
    Column("name", String(64), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("root", Text, nullable=False),
    Column("parent", String(64)),  # of a hot path: the target its bytes lie on
    Column("ship", Boolean, nullable=False, server_default=text("false")),
    Column("definition", JSON, nullable=False, server_default=text("'{}'")),
    Column("declared", Boolean, nullable=False, server_default=text("true")),
    Column("identity", String(64)),
    # The breaker.
    Column("state", String(16), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("tripped_at", UtcDateTime),
    Column("trip_streak", Integer, nullable=False, server_default=text("0")),
    Column("strikes", Integer, nullable=False, server_default=text("0")),
    Column("good_probes", Integer, nullable=False, server_default=text("0")),
    Column("good_since", UtcDateTime),
    # What was seen last.
    Column("verdict", String(16)),
    Column("probed_at", UtcDateTime),
    Column("last_healthy_at", UtcDateTime),
    Column("last_error", Text),
    Column("evidence", JSON, nullable=False, default=dict),
    # What was done last: `apply_streak` repairs in a row did not help.
    Column("last_apply_at", UtcDateTime),
    Column("apply_streak", Integer, nullable=False, server_default=text("0")),
    # Nobody reads or writes it: it goes with the next migration that is not only additions.
    Column("alerted_at", UtcDateTime),
)

actions = Table(
    "actions",
    metadata,
    _id(),
    Column("at", UtcDateTime, nullable=False),
    Column("subject", String(32), nullable=False),
    Column("subject_id", String(128), nullable=False),
    Column("what", String(64), nullable=False),  # recover, restart …
    Column("outcome", String(16), nullable=False),  # applied, failed or refused
    Column("why", Text, nullable=False),
    Column("seconds", Float, nullable=False, server_default=text("0")),
    Column("event_id", Id, ForeignKey("events.id")),
    Index("ix_actions_recent", "subject", "subject_id", "what", "at"),
    Index("ix_actions_event_id", "event_id"),
)

segments = Table(
    "segments",
    metadata,
    _id(),
    Column("job_id", Id, ForeignKey("archive_jobs.id"), nullable=False),
    Column("name", String(255), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("path", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("crc32", BigInteger),  # null: nobody has computed it yet (ISO 3309, as in ZIP)
    Column("records", Integer, nullable=False),
    Column("sealed_at", UtcDateTime),
    Column("indexed_at", UtcDateTime),
    Column("unreadable_records", Integer, nullable=False, default=0),
    Column("local_read_at", UtcDateTime),  # when the local file was read again; null: not yet
    Column("local_finding", String(16)),  # then it was: differs or gone; null: right
    Index("ix_segments_job_id", "job_id"),
)

# A segment on a target that sealed segments are shipped to.
copies = Table(
    "copies",
    metadata,
    _id(),
    Column("segment_id", Id, ForeignKey("segments.id"), nullable=False),
    Column("target", String(64), nullable=False),
    Column("name", Text, nullable=False),  # below the target's root
    Column("state", String(16), nullable=False),  # verified, differs, gone or failed
    Column("verified_at", UtcDateTime),  # when all of it was last read back and was right
    Column("first_verified_at", UtcDateTime),
    Column("not_before", UtcDateTime),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("last_error", Text),
    UniqueConstraint("segment_id", "target"),
    Index("ix_copies_target", "target", "state", "verified_at"),
)

captures = Table(
    "captures",
    metadata,
    _id(),
    Column("segment_id", Id, ForeignKey("segments.id"), nullable=False),
    Column("job_id", Id, ForeignKey("archive_jobs.id"), nullable=False),
    Column("source_id", Id, ForeignKey("sources.id"), nullable=False),
    Column("record_offset", BigInteger, nullable=False),  # bytes from the file's start
    Column("record_length", BigInteger, nullable=False),  # compressed bytes of the member
    Column("record_type", String(16), nullable=False),  # response or revisit
    Column("url", Text, nullable=False),
    Column("url_key", UrlKey, nullable=False),  # SURT, as in CDXJ
    Column("captured_at", UtcDateTime, nullable=False),
    Column("status_code", Integer),
    Column("mime", String(255)),
    Column("payload_digest", String(80)),  # sha256:hex of the de-chunked entity body
    Column("payload_bytes", BigInteger),
    Column("truncated", String(32)),
    Column("suppressed_by", Id, ForeignKey("suppressions.id")),  # not null: nobody is shown it
    UniqueConstraint("segment_id", "record_offset"),
    Index("ix_captures_url_key", "url_key", "captured_at"),
    Index("ix_captures_job_id", "job_id", "id"),
    Index("ix_captures_payload_digest", "payload_digest"),
    Index("ix_captures_suppressed_by", "suppressed_by", "segment_id"),
)
SHOWN = captures.c.suppressed_by.is_(None)  # every question of a reader has this condition

# What readers wrote: an error they saw, or a wish that something is not shown. Kept when the
# captures are made anew, so the capture's number is a word, not a reference.
reader_reports = Table(
    "reader_reports",
    metadata,
    _id(),
    Column("at", UtcDateTime, nullable=False),
    Column("capture_id", Id),
    Column("url", Text, nullable=False),
    Column("kind", String(16), nullable=False),  # error, takedown or other
    Column("text", Text, nullable=False),
    Column("contact", Text, nullable=False),
    Column("state", String(16), nullable=False),  # open, answered or dismissed
    Column("answered_at", UtcDateTime),
    Column("answer", Text),
    Column("who", String(255)),
    Index("ix_reader_reports_state", "state", "id"),
)

# What is not shown: one record, a URL, or all URLs with a beginning, also when captured later.
# A row stays when it is lifted: it says who did it, when and why.
suppressions = Table(
    "suppressions",
    metadata,
    _id(),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(16), nullable=False),  # capture, url or prefix
    Column("url", Text, nullable=False),  # as the operator gave it; a capture's own
    Column("first_key", UrlKey, nullable=False),
    Column("end_key", UrlKey),  # of a prefix: the first key behind it
    Column("segment", String(255)),  # of a capture: its place, which a rebuild does not change
    Column("record_offset", BigInteger),
    Column("why", Text, nullable=False),
    Column("who", String(255), nullable=False),
    Column("report_id", Id, ForeignKey("reader_reports.id")),
    Column("lifted_at", UtcDateTime),
    Column("lifted_why", Text),
    Column("lifted_by", String(255)),
)

# The picture of a rendered page: a record of its own in the capture's segment.
pictures = Table(
    "pictures",
    metadata,
    Column("capture_id", Id, ForeignKey("captures.id"), primary_key=True, autoincrement=False),
    Column("kind", String(16), primary_key=True),  # thumbnail or screenshot
    Column("record_offset", BigInteger, nullable=False),
    Column("record_length", BigInteger, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    _id(),
    Column("capture_id", Id, ForeignKey("captures.id"), nullable=False, unique=True),
    Column("job_id", Id, ForeignKey("archive_jobs.id"), nullable=False),
    Column("source_id", Id, ForeignKey("sources.id"), nullable=False),
    Column("campaign_id", Id, ForeignKey("campaigns.id")),
    Column("url", Text, nullable=False),
    Column("url_key", UrlKey, nullable=False),
    Column("captured_at", UtcDateTime, nullable=False),
    Column("status_code", Integer),
    Column("mime", String(255)),
    Column("title", Text),
    Column("language", String(8)),
    Column("text_chars", Integer, nullable=False, default=0),
    Column("text_digest", String(80)),
    Column("payload_digest", String(80)),
    Index("ix_snapshots_url_key", "url_key", "captured_at"),
    Index("ix_snapshots_job_id", "job_id"),
)

# What a capture says that the one before it of the same URL did not; derived, like the index.
changes = Table(
    "changes",
    metadata,
    _id(),
    Column("from_capture", Id, ForeignKey("captures.id")),  # null: the page is new
    Column("to_capture", Id, ForeignKey("captures.id"), nullable=False, unique=True),
    Column("source_id", Id, ForeignKey("sources.id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("url_key", UrlKey, nullable=False),
    Column("at", UtcDateTime, nullable=False),  # when the later one was captured
    Column("kind", String(16), nullable=False),
    Column("score", Float, nullable=False),  # how much it matters, 0 to 1
    Column("added_words", Integer, nullable=False),
    Column("removed_words", Integer, nullable=False),
    Column("changed_sentences", Integer, nullable=False),
    Column("examples", JSON, nullable=False),  # the gravest sentences, as `weighing.Example`
    Index("ix_changes_at", "at", "id"),
    Index("ix_changes_source", "source_id", "at", "id"),
    Index("ix_changes_score", "score", "id"),
    Index("ix_changes_url_key", "url_key", "at"),
    Index("ix_changes_from_capture", "from_capture"),
)

events = Table(
    "events",
    metadata,
    _id(),
    Column("at", UtcDateTime, nullable=False),
    Column("host", String(255), nullable=False),
    Column("unit", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("subject", String(32), nullable=False),  # job, segment, target, campaign, worker …
    Column("subject_id", String(128), nullable=False),
    Column("what", String(64), nullable=False),
    Column("from_state", String(32)),
    Column("to_state", String(32)),
    Column("why", Text, nullable=False, server_default=text("''")),
    Column("evidence", JSON, nullable=False, default=dict),
    Column("caused_by", Id, ForeignKey("events.id")),
    Index("ix_events_subject", "subject", "subject_id", "id"),
    Index("ix_events_at", "at"),
    Index("ix_events_caused_by", "caused_by"),
)
