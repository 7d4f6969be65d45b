"""Which jobs wait to be searchable, failed to become so, or are not compared yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, func, select, update

from healtharchive.model.attempts import Work
from healtharchive.model.database import Database
from healtharchive.model.jobs import transition
from healtharchive.model.journal import Actor
from healtharchive.model.states import JobEvent, JobStatus, TargetState
from healtharchive.model.tables import SHOWN, archive_jobs, attempts, captures, segments, targets
from healtharchive.model.target import SPOOL
from healtharchive.model.targets import needs


@dataclass(frozen=True, slots=True)
class Unindexed:
    """A captured job that is not searchable yet. `began_at`: when its running attempt did."""

    job_id: int
    since: datetime
    not_before: datetime | None
    why: str
    began_at: datetime | None
    worker: str
    indexed_at: datetime | None  # when a segment of it was last indexed


@dataclass(frozen=True, slots=True)
class IndexFailed:
    """A job whose indexing was given up, and what its last attempt ended of."""

    job_id: int
    at: datetime
    blame: str
    reason: str
    target_open: bool


@dataclass(frozen=True, slots=True)
class Uncompared:
    """A searchable job whose captures are not all compared."""

    job_id: int
    fence: int
    captures: int


def unindexed(connection: Connection) -> list[Unindexed]:
    """Captured jobs that wait to be indexed or are being indexed, the longest waiting first."""
    jobs = archive_jobs.c
    last = select(func.max(segments.c.indexed_at)).where(segments.c.job_id == jobs.id)
    began = select(attempts.c.started_at).where(
        attempts.c.job_id == jobs.id, attempts.c.fence == jobs.fence, attempts.c.work == Work.INDEX
    )
    query = (
        select(
            jobs.id,
            func.coalesce(jobs.finished_at, jobs.created_at).label("since"),
            jobs.not_before,
            func.coalesce(jobs.parked_reason, jobs.last_error, "").label("why"),
            jobs.status,
            began.scalar_subquery().label("began_at"),
            func.coalesce(jobs.lease_owner, "").label("worker"),
            last.scalar_subquery().label("last_indexed_at"),
        )
        .where(jobs.status.in_((JobStatus.COMPLETED, JobStatus.INDEXING)))
        .order_by("since", jobs.id)
    )
    return [
        Unindexed(
            row.id,
            row.since,
            row.not_before,
            row.why,
            row.began_at if row.status == JobStatus.INDEXING else None,
            row.worker,
            row.last_indexed_at,
        )
        for row in connection.execute(query)
    ]


def index_failures(connection: Connection) -> list[IndexFailed]:
    """Jobs whose indexing was given up; `target_open` while a target they need is not well."""
    jobs = archive_jobs.c
    sick = exists(
        select(targets.c.id).where(
            targets.c.state != TargetState.CLOSED,
            needs(targets.c.name) | (targets.c.name == SPOOL),
        )
    )
    query = (
        select(
            jobs.id, attempts.c.ended_at, attempts.c.blame, attempts.c.reason, sick.label("sick")
        )
        .join(attempts, (attempts.c.job_id == jobs.id) & (attempts.c.fence == jobs.fence))
        .where(jobs.status == JobStatus.INDEX_FAILED, attempts.c.ended_at.is_not(None))
        .order_by(jobs.id)
    )
    return [
        IndexFailed(row.id, row.ended_at, row.blame or "", row.reason or "", bool(row.sick))
        for row in connection.execute(query)
    ]


def uncompared(connection: Connection, limit: int) -> list[Uncompared]:
    """Searchable jobs with captures beyond what was compared, the oldest first."""
    jobs = archive_jobs.c
    behind = (captures.c.job_id == jobs.id, captures.c.id > jobs.compared_upto, SHOWN)
    number = select(func.count()).select_from(captures).where(*behind).scalar_subquery()
    query = (
        select(jobs.id, jobs.fence, number.label("number"))
        .where(jobs.status == JobStatus.INDEXED, exists(select(captures.c.id).where(*behind)))
        .order_by(jobs.id)
        .limit(limit)
    )
    return [Uncompared(row.id, row.fence, row.number) for row in connection.execute(query)]


def index_once_more(
    database: Database, connection: Connection, job_id: int, *, actor: Actor, why: str
) -> None:
    """Let a job whose indexing was given up be indexed once more, with no more retries than that.

    IllegalTransition when it is in another state by now.
    """
    transition(database, connection, job_id, JobEvent.RETRY, actor=actor, why=why)
    connection.execute(
        update(archive_jobs)
        .where(archive_jobs.c.id == job_id)
        .values(not_before=None, parked_reason=None, parked_target=None)
    )
