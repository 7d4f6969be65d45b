"""All captures by their numbers, for whoever takes the archive's facts away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from healtharchive.model.tables import SHOWN, archive_jobs, campaigns, captures, segments, sources


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFilter:
    """Which captures are wanted; None sets no condition. `before` is the first moment too late."""

    url_key: str | None = None
    source: str | None = None
    campaign: str | None = None
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaptureLine:
    """One capture: what was fetched and when, and where in which WARC file its record lies."""

    id: int
    url: str
    captured_at: datetime
    source: str
    campaign: str | None
    job_id: int
    status_code: int | None
    mime: str | None
    payload_digest: str | None
    payload_bytes: int | None
    truncated: str | None
    record_type: str
    segment: str
    record_offset: int
    record_length: int


def captures_after(
    connection: Connection, after: int, limit: int, wanted: CaptureFilter
) -> list[CaptureLine]:
    """The first `limit` captures that are wanted and have greater numbers than `after`."""
    query: Select[Any] = (
        select(
            captures.c.id,
            captures.c.url,
            captures.c.captured_at,
            sources.c.code,
            campaigns.c.name,
            captures.c.job_id,
            captures.c.status_code,
            captures.c.mime,
            captures.c.payload_digest,
            captures.c.payload_bytes,
            captures.c.truncated,
            captures.c.record_type,
            segments.c.name,
            captures.c.record_offset,
            captures.c.record_length,
        )
        .join(segments, segments.c.id == captures.c.segment_id)
        .join(sources, sources.c.id == captures.c.source_id)
        .join(archive_jobs, archive_jobs.c.id == captures.c.job_id)
        .outerjoin(campaigns, campaigns.c.id == archive_jobs.c.campaign_id)
        .where(captures.c.id > after, SHOWN)
        .order_by(captures.c.id)
        .limit(limit)
    )
    for column, value in (
        (captures.c.url_key, wanted.url_key),
        (sources.c.code, wanted.source),
        (campaigns.c.name, wanted.campaign),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(captures.c.captured_at >= wanted.since)
    if wanted.before is not None:
        query = query.where(captures.c.captured_at < wanted.before)
    return [CaptureLine(*row) for row in connection.execute(query)]
