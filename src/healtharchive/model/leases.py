"""Claims and leases: who works on a job, until when, and with which fencing token.

A claim raises the job's token. Everything an attempt writes afterwards carries its token and is
refused (LeaseLost) once another claim has raised it again. All times are the database's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, exists, insert, or_, select, update

from healtharchive.model.attempts import (
    Ending,
    Work,
    starts_within_hour,
)
from healtharchive.model.blame import Blame
from healtharchive.model.database import Database
from healtharchive.model.errors import LeaseLost
from healtharchive.model.jobs import Job, get_job, transition
from healtharchive.model.journal import Actor
from healtharchive.model.states import (
    HELD,
    JOB_TRANSITIONS,
    JobEvent,
    JobStatus,
    TargetState,
    sources_of,
)
from healtharchive.model.tables import archive_jobs, attempts, targets
from healtharchive.model.target import SPOOL

CLAIM_EVENT = {Work.CRAWL: JobEvent.CLAIM, Work.INDEX: JobEvent.CLAIM_INDEX}
RELEASE_WINDOW = timedelta(minutes=10)  # so long after a target's recovery its jobs come one by one
NO_LEASE: dict[str, Any] = {
    "lease_owner": None,
    "lease_expires_at": None,
    "requested_stop": None,
    # A crawl that waited politely left them: only who parks the job now sets them again.
    "not_before": None,
    "parked_reason": None,
}


@dataclass(frozen=True, slots=True)
class ClaimTerms:
    """By whom and on which terms a job is claimed. `job_id` narrows it to one job."""

    worker: str
    actor: Actor
    lease_seconds: float
    starts_per_hour: int
    job_id: int | None = None
    release_seconds: float = 2.0  # between two starts on a target that has just recovered


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is ours until the lease runs out: the attempt, its token, its event."""

    job: Job
    work: Work
    fence: int
    attempt_id: int
    event_id: int
    at: datetime


# -- claiming ------------------------------------------------------------------------------


def claim(
    database: Database, connection: Connection, work: Work, terms: ClaimTerms
) -> Claim | None:
    """Take the next due job for this work, or None.

    Passed over: jobs that wait for a time or an open target, and jobs that were started
    `starts_per_hour` times in the last hour, whatever path they came by.
    """
    now = database.now(connection)
    row = connection.execute(database.skip_locked(_due(work, terms, now).limit(1))).one_or_none()
    if row is None or not _still_due(connection, row, work, terms, now):
        return None
    fence = row.fence + 1
    event_id = transition(
        database,
        connection,
        row.id,
        CLAIM_EVENT[work],
        actor=terms.actor,
        why=f"worker {terms.worker} claimed it",
        evidence={"worker": terms.worker, "fence": fence},
        fence=row.fence,
        columns={
            "fence": fence,
            "lease_owner": terms.worker,
            "lease_expires_at": now + timedelta(seconds=terms.lease_seconds),
            "heartbeat_at": now,
            "not_before": None,
            "parked_reason": None,
            "requested_stop": None,
            "attempt_count": archive_jobs.c.attempt_count + 1,
            "started_at": row.started_at or now,
        },
    )
    attempt_id = _insert_attempt(connection, row.id, fence, work, terms, now)
    return Claim(get_job(connection, row.id), work, fence, attempt_id, event_id, now)


def any_due(database: Database, connection: Connection, work: Work, terms: ClaimTerms) -> bool:
    """Whether `claim` would find a job now."""
    query = _due(work, terms, database.now(connection)).limit(1)
    return connection.execute(query).first() is not None


def due_ids(
    database: Database, connection: Connection, work: Work, terms: ClaimTerms, *, limit: int = 100
) -> list[int]:
    """The jobs that `claim` would find now, in the order in which it would take them."""
    query = _due(work, terms, database.now(connection)).limit(limit)
    return [int(row.id) for row in connection.execute(query)]


def _due(work: Work, terms: ClaimTerms, now: datetime) -> Select[Any]:
    jobs = archive_jobs.c
    query = (
        select(jobs.id, jobs.fence, jobs.target, jobs.hot_path, jobs.started_at)
        .where(
            jobs.status.in_(sources_of(JOB_TRANSITIONS, CLAIM_EVENT[work])),
            or_(jobs.not_before.is_(None), jobs.not_before <= now),
            starts_within_hour(work, now) < terms.starts_per_hour,
            ~_needs_open_target(work),
            ~_in_doubt(),
            ~_trial_runs(),
            ~_released_just_now(terms, now),
        )
        .order_by(jobs.position, jobs.id)
    )
    return query if terms.job_id is None else query.where(jobs.id == terms.job_id)


def _needs(other: Any = archive_jobs) -> Any:
    return or_(targets.c.name == other.c.target, targets.c.name == other.c.hot_path)


def _needs_open_target(work: Work) -> Any:
    """Whether a target that the job needs is open. Every crawl needs the spool for its frontier."""
    needed = or_(_needs(), targets.c.name == SPOOL) if work is Work.CRAWL else _needs()
    query = select(targets.c.id).where(needed, targets.c.state == TargetState.OPEN)
    return exists(query.correlate(archive_jobs))


def _in_doubt() -> Any:
    """Whether a hot path on the job's target failed since anybody looked at the target itself."""
    base, sibling = targets.alias("base"), targets.alias("sibling")
    query = (
        select(base.c.id)
        .join(sibling, sibling.c.parent == base.c.name)
        .where(
            base.c.name == archive_jobs.c.target,
            sibling.c.state == TargetState.OPEN,
            base.c.probed_at < sibling.c.tripped_at,
        )
    )
    return exists(query.correlate(archive_jobs))


def _trial_runs() -> Any:
    """Whether a half-open target that the job needs has its one trial already."""
    other = archive_jobs.alias("other")
    query = (
        select(targets.c.id)
        .join(other, _needs(other))
        .where(_needs(), targets.c.state == TargetState.HALF_OPEN, other.c.status.in_(HELD))
    )
    return exists(query.correlate(archive_jobs))


def _released_just_now(terms: ClaimTerms, now: datetime) -> Any:
    """Whether another job of a target that has just recovered was started a moment ago."""
    other = archive_jobs.alias("other")
    query = (
        select(targets.c.id)
        .join(other, _needs(other))
        .join(attempts, attempts.c.job_id == other.c.id)
        .where(
            _needs(),
            targets.c.state == TargetState.CLOSED,
            targets.c.tripped_at.is_not(None),
            targets.c.since > now - RELEASE_WINDOW,
            attempts.c.started_at > now - timedelta(seconds=terms.release_seconds),
        )
    )
    return exists(query.correlate(archive_jobs))


def _still_due(
    connection: Connection, row: Row[Any], work: Work, terms: ClaimTerms, now: datetime
) -> bool:
    """Look again at what the row's lock does not cover, with the targets it needs locked too.

    PostgreSQL re-checks a row that changed before it was locked, but not the sub-queries: an
    attempt or a trial that began in that instant shows only to a new statement.
    """
    needed = [name for name in (row.target, row.hot_path) if name is not None]
    if needed:
        lock = select(targets.c.id).where(targets.c.name.in_(needed)).order_by(targets.c.id)
        connection.execute(lock.with_for_update()).all()
    again = _due(work, terms, now).where(archive_jobs.c.id == row.id)
    return connection.execute(again).first() is not None


def _insert_attempt(
    connection: Connection,
    job_id: int,
    fence: int,
    work: Work,
    terms: ClaimTerms,
    now: datetime,
) -> int:
    result = connection.execute(
        insert(attempts).values(
            job_id=job_id,
            fence=fence,
            work=work,
            worker=terms.worker,
            host=terms.actor.host,
            pid=terms.actor.pid,
            unit=terms.actor.unit,
            started_at=now,
        )
    )
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


# -- holding -------------------------------------------------------------------------------


def heartbeat(
    database: Database, connection: Connection, job_id: int, fence: int, lease_seconds: float
) -> str | None:
    """Renew a lease; what an operator asked of the job meanwhile (pause, cancel), or None.

    LeaseLost when the token is no longer the job's.
    """
    now = database.now(connection)
    renewed = connection.execute(
        update(archive_jobs)
        .where(*held_by(job_id, fence))
        .values(heartbeat_at=now, lease_expires_at=now + timedelta(seconds=lease_seconds))
    )
    if renewed.rowcount != 1:
        raise lease_lost(job_id, fence)
    query = select(archive_jobs.c.requested_stop).where(archive_jobs.c.id == job_id)
    requested: str | None = connection.execute(query).scalar_one()
    return requested


def check_fence(connection: Connection, job_id: int, fence: int) -> None:
    """Lock the job's row for an attempt's writing; LeaseLost when the token is no longer its."""
    query = select(archive_jobs.c.id).where(*held_by(job_id, fence)).with_for_update()
    if connection.execute(query).one_or_none() is None:
        raise lease_lost(job_id, fence)


def lease_lost(job_id: int, fence: int) -> LeaseLost:
    """The error of an attempt whose token is no longer the job's."""
    return LeaseLost(f"Job {job_id} is no longer held with token {fence}.")


def note_child(connection: Connection, claim: Claim, child_pid: int) -> None:
    """Note which process does the attempt's work."""
    check_fence(connection, claim.job.id, claim.fence)
    connection.execute(
        update(attempts).where(attempts.c.id == claim.attempt_id).values(child_pid=child_pid)
    )


def held_by(job_id: int, fence: int) -> tuple[Any, ...]:
    """The conditions under which a job is held with this token."""
    jobs = archive_jobs.c
    return (jobs.id == job_id, jobs.fence == fence, jobs.status.in_(HELD))


# -- ending --------------------------------------------------------------------------------


def finish(
    database: Database, connection: Connection, claim: Claim, ending: Ending, *, actor: Actor
) -> JobStatus:
    """Close an attempt and take its job the step that follows; the job's state afterwards.

    LeaseLost when the token is no longer the job's. A pause or cancel asked for meanwhile is
    honoured here. Finishing once more what was committed already changes nothing: a caller whose
    connection broke during the commit may simply call again.
    """
    if _ended_like(connection, claim, ending):
        return get_job(connection, claim.job.id).status
    check_fence(connection, claim.job.id, claim.fence)
    job = get_job(connection, claim.job.id)
    event, left = _honour(ending.event, job.requested_stop)
    columns = {**NO_LEASE, "parked_target": None, **ending.columns}
    if ending.blame == Blame.TARGET and ending.event is JobEvent.PARK:
        columns["parked_target"] = job.target
    now = database.now(connection)
    event_id = transition(
        database,
        connection,
        job.id,
        event,
        actor=actor,
        why=ending.reason,
        evidence={
            "exit": ending.exit,
            "blame": ending.blame or None,
            "errno": ending.errno,
            "fence": claim.fence,
            **ending.evidence,
        },
        fence=claim.fence,
        caused_by=claim.event_id,
        columns=columns,
    )
    close_attempt(connection, claim.job.id, claim.fence, ending, now)
    if left is not None:
        follow_request(database, connection, job.id, left, actor, event_id)
    return get_job(connection, job.id).status


def _honour(event: JobEvent, requested: str | None) -> tuple[JobEvent, JobEvent | None]:
    """The step to take now, and the request that is to follow it."""
    if not requested or requested == JobEvent.RELEASE:
        return event, None  # a new start that was asked for is what follows anyway
    if event is JobEvent.RELEASE:
        return JobEvent(requested), None
    waits = event in (JobEvent.PARK, JobEvent.RETRY_LATER)
    return event, JobEvent(requested) if waits else None


def follow_request(
    database: Database,
    connection: Connection,
    job_id: int,
    request: JobEvent,
    actor: Actor,
    caused_by: int,
) -> None:
    """Take the step that an operator had asked for while the job ran."""
    transition(
        database,
        connection,
        job_id,
        request,
        actor=actor,
        why="asked for while it ran",
        caused_by=caused_by,
        columns={"not_before": None},
    )


def _ended_like(connection: Connection, claim: Claim, ending: Ending) -> bool:
    row = connection.execute(
        select(attempts.c.ended_at, attempts.c.exit).where(attempts.c.id == claim.attempt_id)
    ).one()
    return row.ended_at is not None and row.exit == ending.exit


def close_attempt(
    connection: Connection, job_id: int, fence: int, ending: Ending, now: datetime
) -> None:
    """Write how the attempt with this token ended."""
    connection.execute(
        update(attempts)
        .where(attempts.c.job_id == job_id, attempts.c.fence == fence)
        .values(
            ended_at=now,
            exit=ending.exit,
            blame=ending.blame or None,
            reason=ending.reason or None,
            errno=ending.errno,
        )
    )
