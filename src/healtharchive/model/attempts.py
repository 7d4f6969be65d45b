"""Attempts: each run of a job by one worker, how it ended, and how often a job was started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, ScalarSelect, func, select

from healtharchive.model.states import JobEvent
from healtharchive.model.tables import archive_jobs, attempts

HOUR = timedelta(hours=1)


class Work(StrEnum):
    """What a worker does for a job: capture its source, or index what was captured."""

    CRAWL = "crawl"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended and what follows for its job: the step, and the columns it changes."""

    event: JobEvent
    exit: str
    blame: str = ""
    reason: str = ""
    errno: int | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One row of `attempts`. `exit` is empty while it runs."""

    id: int
    job_id: int
    fence: int
    work: Work
    worker: str
    host: str
    pid: int
    child_pid: int | None
    unit: str | None
    started_at: datetime
    ended_at: datetime | None
    exit: str
    blame: str
    reason: str
    errno: int | None


def list_attempts(
    connection: Connection, job_id: int, *, limit: int | None = None
) -> list[Attempt]:
    """A job's attempts, the newest first."""
    query = select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.fence.desc())
    return [
        Attempt(
            id=row.id,
            job_id=row.job_id,
            fence=row.fence,
            work=Work(row.work),
            worker=row.worker,
            host=row.host,
            pid=row.pid,
            child_pid=row.child_pid,
            unit=row.unit,
            started_at=row.started_at,
            ended_at=row.ended_at,
            exit=row.exit or "",
            blame=row.blame or "",
            reason=row.reason or "",
            errno=row.errno,
        )
        for row in connection.execute(query.limit(limit))
    ]


def recent_starts(
    connection: Connection, job_id: int, work: Work, now: datetime
) -> tuple[datetime, ...]:
    """When the job was started for this work in the last hour, oldest first."""
    query = select(attempts.c.started_at).where(
        attempts.c.job_id == job_id,
        attempts.c.work == work,
        attempts.c.started_at > now - HOUR,
    )
    return tuple(connection.execute(query.order_by(attempts.c.started_at)).scalars())


def next_start(
    starts: tuple[datetime, ...], starts_per_hour: int, now: datetime
) -> datetime | None:
    """When the hourly bound allows another start; None when it does now."""
    recent = sorted(start for start in starts if start > now - HOUR)
    if len(recent) < starts_per_hour:
        return None
    return recent[-starts_per_hour] + HOUR


def starts_within_hour(work: Work, now: datetime) -> ScalarSelect[int]:
    """How often a job of the enclosing query was started for this work in the last hour."""
    return (
        select(func.count())
        .select_from(attempts)
        .where(
            attempts.c.job_id == archive_jobs.c.id,
            attempts.c.work == work,
            attempts.c.started_at > now - HOUR,
        )
        .correlate(archive_jobs)
        .scalar_subquery()
    )
