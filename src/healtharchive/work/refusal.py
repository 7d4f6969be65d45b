"""Why a job cannot be run now, asked as a claim would ask and told to a person."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from healtharchive.model.attempts import Work, next_start, recent_starts
from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput
from healtharchive.model.jobs import Job
from healtharchive.model.journal import Actor
from healtharchive.model.leases import ClaimTerms, any_due
from healtharchive.model.states import JobStatus
from healtharchive.model.units import units_of
from healtharchive.settings import Settings
from healtharchive.work.holder import is_gone

WAITS = "With --until-settled the run waits for that by itself."


def terms_of(settings: Settings, holder: str, actor: Actor, job_id: int | None) -> ClaimTerms:
    """The terms on which a worker with these settings claims jobs, or only this one."""
    return ClaimTerms(
        holder,
        actor,
        settings.lease_seconds,
        settings.starts_per_hour,
        job_id,
        settings.release_seconds,
    )


def objection_to(
    database: Database, connection: Connection, job: Job, terms: ClaimTerms, *, until_settled: bool
) -> BadInput | None:
    """Why a run of the job could not begin now; None when it could.

    A job that only waits is no obstacle to a run that goes on `until_settled`, and one whose
    holder is gone begins with its rescue.
    """
    if any(any_due(database, connection, work, terms) for work in Work):
        return None
    if job.lease_owner is not None:
        return None if is_gone(job.lease_owner) else refusal(database, connection, job, terms)
    return refusal(database, connection, job, terms) if job.settled or not until_settled else None


def refusal(database: Database, connection: Connection, job: Job, terms: ClaimTerms) -> BadInput:
    """Why nobody may claim a job that a claim has just passed over."""
    if job.lease_owner is not None:
        return _held(connection, job)
    if job.settled:
        return BadInput(
            f"Job {job.id} is {job.status}: there is nothing to run.",
            f"`healtharchive why job {job.id}` tells how it came to that.",
        )
    now = database.now(connection)
    if job.not_before is not None and job.not_before > now:
        reason = job.parked_reason or job.last_error or "it was put off"
        return BadInput(
            f"Job {job.id} is {job.status} until {job.not_before:%Y-%m-%dT%H:%M:%SZ}: {reason}.",
            f"`healtharchive retry-job --id {job.id}` lets it run now. {WAITS}",
        )
    if again := _next_start(connection, job, terms, now):
        return BadInput(
            f"Job {job.id} was started too often: not before {again:%Y-%m-%dT%H:%M:%SZ}.", WAITS
        )
    return BadInput(
        f"Job {job.id} is {job.status}, and nobody may claim it now: a target it needs is not well "
        "or is being tried.",
        f"`healtharchive storage status` shows them. {WAITS}",
    )


def _held(connection: Connection, job: Job) -> BadInput:
    unit = units_of(connection, [job.id]).get(job.id)
    where = f"{job.lease_owner} (unit {unit})" if unit else f"{job.lease_owner}"
    return BadInput(
        f"Job {job.id} is {job.status} already, at {where}.",
        f"`healtharchive pause --id {job.id}` stops it in good order.",
    )


def _next_start(
    connection: Connection, job: Job, terms: ClaimTerms, now: datetime
) -> datetime | None:
    work = Work.INDEX if job.status is JobStatus.COMPLETED else Work.CRAWL
    starts = recent_starts(connection, job.id, work, now)
    return next_start(starts, terms.starts_per_hour, now)
