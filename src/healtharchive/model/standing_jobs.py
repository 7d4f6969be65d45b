"""How jobs and campaigns stand in numbers: what runs, what waits and for what, what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, func, select

from healtharchive.model.condition import jobs_for_workers, oldest_uncompared
from healtharchive.model.jobs import SETTLED
from healtharchive.model.states import JobStatus, Quality
from healtharchive.model.tables import archive_jobs, attempts, campaigns, sources
from healtharchive.model.target import SPOOL

WAITING_FOR_CRAWL = (JobStatus.QUEUED, JobStatus.PARKED, JobStatus.RETRYABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsettledJob:
    """A job that is not at its end; the counts are those its crawl reported last.

    `began_at` is its newest attempt's, `blame` what that attempt failed by. `target` is the one
    its output needs, `hot_path` the bind that serves it, where there is one.
    """

    id: int
    source: str
    campaign: str
    status: JobStatus
    target: str
    hot_path: str
    not_before: datetime | None
    urls_queued: int
    urls_done: int
    urls_failed: int
    bytes_written: int
    progress_at: datetime | None
    finished_at: datetime | None
    indexed_at: datetime | None
    began_at: datetime | None
    blame: str
    definition: Mapping[str, Any]  # its source's

    @property
    def needs(self) -> str:
        """The target whose trouble stops it first: the hot path, its target, or the spool."""
        return self.hot_path or self.target or SPOOL

    @property
    def place(self) -> str:
        """The target that its bytes lie on in the end."""
        return self.target or SPOOL

    @property
    def unsearchable_since(self) -> datetime | None:
        """Since when its captures wait to be searchable; None while they do not, or are already.

        A job that is indexed once more is not late: its pages are found meanwhile.
        """
        waits = self.status in (JobStatus.COMPLETED, JobStatus.INDEXING)
        if not waits or self.finished_at is None:
            return None
        found = self.indexed_at is not None and self.indexed_at >= self.finished_at
        return None if found else self.finished_at

    def could_run(self, now: datetime, open_targets: frozenset[str]) -> bool:
        """Whether a worker would take it now, as far as its time and its targets go."""
        crawl = self.status in WAITING_FOR_CRAWL
        if not crawl and self.status is not JobStatus.COMPLETED:
            return False
        needed = {self.target, self.hot_path} | ({SPOOL} if crawl else set())
        due = self.not_before is None or self.not_before <= now
        return due and not needed & open_targets


@dataclass(frozen=True, slots=True)
class Spent:
    """What all jobs of a source took together, ever."""

    claims: int
    parks: int
    rescues: int
    urls_done: int
    urls_failed: int
    bytes_written: int


@dataclass(frozen=True, slots=True)
class CampaignStanding:
    """A campaign: whether it is ready for search, and whether anything still happens to it."""

    name: str
    ready: bool
    settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsStanding:
    """`by_state` by (source, status), `parked` by target, `captures` as the jobs count them."""

    by_state: Mapping[tuple[str, str], int]
    parked: Mapping[str, int]
    unsettled: Sequence[UnsettledJob]
    spent: Mapping[str, Spent]  # by source
    captures: int
    uncompared_since: datetime | None  # the oldest indexed job that waits to be compared
    for_workers: int  # that a worker could get on with now
    campaigns: Sequence[CampaignStanding]

    @property
    def running(self) -> list[UnsettledJob]:
        """The jobs whose crawl a worker has now."""
        return [each for each in self.unsettled if each.status is JobStatus.RUNNING]


def jobs_standing(connection: Connection, now: datetime) -> JobsStanding:
    """How jobs and campaigns stand now."""
    captured = select(func.coalesce(func.sum(archive_jobs.c.captures_written), 0))
    return JobsStanding(
        by_state=_by_state(connection),
        parked=_parked(connection),
        unsettled=_unsettled(connection),
        spent=_spent(connection),
        captures=int(connection.execute(captured).scalar_one()),
        uncompared_since=oldest_uncompared(connection),
        for_workers=jobs_for_workers(connection, now),
        campaigns=_campaigns(connection),
    )


def _by_state(connection: Connection) -> dict[tuple[str, str], int]:
    query = (
        select(sources.c.code, archive_jobs.c.status, func.count())
        .join(sources, sources.c.id == archive_jobs.c.source_id)
        .group_by(sources.c.code, archive_jobs.c.status)
    )
    return {(source, status): count for source, status, count in connection.execute(query)}


def _parked(connection: Connection) -> dict[str, int]:
    """Parked jobs by the target they wait for; those that wait for something else under `none`."""
    target = func.coalesce(archive_jobs.c.parked_target, "none")
    query = (
        select(target, func.count())
        .where(archive_jobs.c.status == JobStatus.PARKED)
        .group_by(target)
    )
    return {str(name): int(count) for name, count in connection.execute(query)}


def _unsettled(connection: Connection) -> list[UnsettledJob]:
    jobs = archive_jobs.c
    newest = and_(attempts.c.job_id == jobs.id, attempts.c.fence == jobs.fence)
    query = (
        select(
            jobs.id,
            sources.c.code.label("source"),
            func.coalesce(campaigns.c.name, "none").label("campaign"),
            jobs.status,
            func.coalesce(jobs.target, "").label("target"),
            func.coalesce(jobs.hot_path, "").label("hot_path"),
            jobs.not_before,
            jobs.urls_queued,
            jobs.urls_done,
            jobs.urls_failed,
            jobs.bytes_written,
            jobs.progress_at,
            jobs.finished_at,
            jobs.indexed_at,
            attempts.c.started_at.label("began_at"),
            func.coalesce(attempts.c.blame, "").label("blame"),
            sources.c.definition,
        )
        .join(sources, sources.c.id == jobs.source_id)
        .outerjoin(campaigns, campaigns.c.id == jobs.campaign_id)
        .outerjoin(attempts, newest)
        .where(jobs.status.not_in(SETTLED))
        .order_by(jobs.id)
    )
    rows = (dict(row._mapping) for row in connection.execute(query))
    return [UnsettledJob(**{**row, "status": JobStatus(row["status"])}) for row in rows]


def _spent(connection: Connection) -> dict[str, Spent]:
    jobs = archive_jobs.c
    counted = (
        jobs.attempt_count,
        jobs.park_count,
        jobs.rescue_count,
        jobs.urls_done,
        jobs.urls_failed,
        jobs.bytes_written,
    )
    query = (
        select(sources.c.code, *(func.sum(each) for each in counted))
        .join(sources, sources.c.id == jobs.source_id)
        .group_by(sources.c.code)
    )
    return {code: Spent(*map(int, sums)) for code, *sums in connection.execute(query)}


def _campaigns(connection: Connection) -> list[CampaignStanding]:
    """Like `campaigns.readiness`, of all campaigns in one question."""
    jobs = archive_jobs.c
    good = func.coalesce(jobs.quality, "").not_in((Quality.INCOMPLETE, Quality.REFUSED))
    searchable = and_(jobs.status == JobStatus.INDEXED, good)
    query = (
        select(
            campaigns.c.name,
            func.count(jobs.id),
            func.sum(case((searchable, 1), else_=0)),
            func.sum(case((jobs.status.in_(SETTLED), 1), else_=0)),
        )
        .outerjoin(archive_jobs, jobs.campaign_id == campaigns.c.id)
        .group_by(campaigns.c.name)
        .order_by(campaigns.c.name)
    )
    return [
        CampaignStanding(name, ready=bool(jobs) and jobs == ready, settled=jobs == settled)
        for name, jobs, ready, settled in connection.execute(query)
    ]
