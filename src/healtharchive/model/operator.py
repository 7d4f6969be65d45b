"""What a person may do to a job: pause, resume, cancel, retry, index again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, update

from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, IllegalTransition
from healtharchive.model.jobs import Job, get_job, transition
from healtharchive.model.journal import Actor, record
from healtharchive.model.states import JobEvent, JobStatus
from healtharchive.model.tables import archive_jobs

RELEASED: dict[str, Any] = {"not_before": None, "parked_reason": None, "parked_target": None}


def pause_job(
    database: Database, connection: Connection, job_id: int, *, actor: Actor, why: str = ""
) -> Job:
    """Hold a job. A running one is asked to stop; its worker sees that at its next heartbeat."""
    return _stop_or_step(database, connection, job_id, JobEvent.PAUSE, actor, why)


def cancel_job(
    database: Database, connection: Connection, job_id: int, *, actor: Actor, why: str = ""
) -> Job:
    """Give a job up; what it captured stays. A running one is asked to stop first."""
    return _stop_or_step(database, connection, job_id, JobEvent.CANCEL, actor, why)


def resume_job(
    database: Database, connection: Connection, job_id: int, *, actor: Actor, why: str = ""
) -> Job:
    """Queue a paused job again, or take back a pause that its worker has not seen yet."""
    job = get_job(connection, job_id)
    if job.status is JobStatus.RUNNING and job.requested_stop is not None:
        _request_stop(database, connection, job, None, actor, why or "resumed")
        return get_job(connection, job_id)
    return _operate(database, connection, job_id, JobEvent.RESUME, actor, why, RELEASED)


def retry_job(
    database: Database, connection: Connection, job_id: int, *, actor: Actor, why: str = ""
) -> Job:
    """Let a failed, parked or cancelled job run again now, with its whole retry budget."""
    fresh = {**RELEASED, "retry_count": 0, "index_retry_count": 0, "park_streak": 0}
    return _operate(database, connection, job_id, JobEvent.RETRY, actor, why, fresh)


def reindex_job(
    database: Database, connection: Connection, job_id: int, *, actor: Actor, why: str = ""
) -> Job:
    """Have an indexed job indexed again."""
    fresh = {**RELEASED, "index_retry_count": 0}
    return _operate(database, connection, job_id, JobEvent.REINDEX, actor, why, fresh)


def _stop_or_step(
    database: Database,
    connection: Connection,
    job_id: int,
    event: JobEvent,
    actor: Actor,
    why: str,
) -> Job:
    job = get_job(connection, job_id)
    if job.status is JobStatus.RUNNING:
        _request_stop(database, connection, job, event, actor, why)
        return get_job(connection, job_id)
    return _operate(database, connection, job_id, event, actor, why, RELEASED)


def _request_stop(
    database: Database,
    connection: Connection,
    job: Job,
    request: JobEvent | None,
    actor: Actor,
    why: str,
) -> None:
    connection.execute(
        update(archive_jobs)
        .where(archive_jobs.c.id == job.id, archive_jobs.c.status == job.status)
        .values(requested_stop=request)
    )
    record(
        connection,
        at=database.now(connection),
        actor=actor,
        subject="job",
        subject_id=job.id,
        what=f"{request}_requested" if request else "request_withdrawn",
        why=why,
        evidence={"worker": job.lease_owner, "fence": job.fence},
    )


def _operate(
    database: Database,
    connection: Connection,
    job_id: int,
    event: JobEvent,
    actor: Actor,
    why: str,
    columns: Mapping[str, Any],
) -> Job:
    try:
        transition(
            database,
            connection,
            job_id,
            event,
            actor=actor,
            why=why or "an operator asked",
            columns=columns,
        )
    except IllegalTransition as error:
        status = get_job(connection, job_id).status
        raise BadInput(
            f"Job {job_id} is {status}: it cannot take '{event}'.",
            f"`healtharchive why job {job_id}` tells how it came to that.",
        ) from error
    return get_job(connection, job_id)
