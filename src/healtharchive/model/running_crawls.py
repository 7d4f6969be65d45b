"""The crawls that run now, with what is needed to tell a stalled one from a healthy one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, exists, func, or_, select

from healtharchive.model import wire
from healtharchive.model.attempts import HOUR, Work
from healtharchive.model.source import SourceDefinition
from healtharchive.model.states import JobStatus, TargetState
from healtharchive.model.tables import archive_jobs, attempts, sources, targets
from healtharchive.model.target import SPOOL


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCrawl:
    """One crawl and the attempt that runs it. `sick_target` is one it needs that is not well.

    `waits_until` is when its newest polite wait ends, or ended; None when it had none.
    """

    job_id: int
    fence: int
    source: SourceDefinition
    engine: str
    started_at: datetime  # the attempt
    progress_at: datetime | None
    waits_until: datetime | None
    lease_expires_at: datetime | None
    requested_stop: str | None
    sick_target: bool
    starts_in_hour: int


def running_crawls(connection: Connection, now: datetime) -> list[RunningCrawl]:
    """Every crawl that runs, by its job."""
    jobs = archive_jobs.c
    query: Select[Any] = (
        select(
            jobs.id,
            jobs.fence,
            jobs.engine,
            jobs.progress_at,
            jobs.not_before,
            jobs.lease_expires_at,
            jobs.requested_stop,
            sources.c.definition,
            attempts.c.started_at,
            _sick().label("sick"),
            _starts(now).label("starts"),
        )
        .join(sources, sources.c.id == jobs.source_id)
        .join(attempts, (attempts.c.job_id == jobs.id) & (attempts.c.fence == jobs.fence))
        .where(jobs.status == JobStatus.RUNNING)
        .order_by(jobs.id)
    )
    return [_running(row) for row in connection.execute(query)]


def _running(row: Row[Any]) -> RunningCrawl:
    return RunningCrawl(
        job_id=row.id,
        fence=row.fence,
        source=wire.from_plain(SourceDefinition, row.definition),
        engine=row.engine,
        started_at=row.started_at,
        progress_at=row.progress_at,
        waits_until=row.not_before,
        lease_expires_at=row.lease_expires_at,
        requested_stop=row.requested_stop,
        sick_target=bool(row.sick),
        starts_in_hour=row.starts,
    )


def _sick() -> Any:
    jobs = archive_jobs.c
    needed = or_(
        targets.c.name == jobs.target, targets.c.name == jobs.hot_path, targets.c.name == SPOOL
    )
    query = select(targets.c.id).where(needed, targets.c.state != TargetState.CLOSED)
    return exists(query.correlate(archive_jobs))


def _starts(now: datetime) -> Any:
    started = attempts.alias("started")
    query = select(func.count()).where(
        started.c.job_id == archive_jobs.c.id,
        started.c.work == Work.CRAWL,
        started.c.started_at > now - HOUR,
    )
    return query.correlate(archive_jobs).scalar_subquery()
