"""A new start of one attempt: it commits and stops in good order, and its job is queued again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, record
from healtharchive.model.leases import held_by
from healtharchive.model.service_past import runs_one
from healtharchive.model.services import Service
from healtharchive.model.states import HELD, JobEvent
from healtharchive.model.tables import archive_jobs
from healtharchive.model.tables_operation import services


def request_restart(
    database: Database,
    connection: Connection,
    job_id: int,
    fence: int,
    *,
    actor: Actor,
    why: str,
    evidence: Mapping[str, Any] | None = None,
    caused_by: int | None = None,
) -> bool:
    """Ask the attempt with this token to stop; False when it has ended or is asked already.

    Its frontier continues and no retry is spent. What an operator asked for goes before.
    """
    asked = connection.execute(
        update(archive_jobs)
        .where(*held_by(job_id, fence), archive_jobs.c.requested_stop.is_(None))
        .values(requested_stop=JobEvent.RELEASE)
    )
    if asked.rowcount == 0:
        return False
    record(
        connection,
        at=database.now(connection),
        actor=actor,
        subject="job",
        subject_id=job_id,
        what="restart_requested",
        why=why,
        evidence={"fence": fence, **(evidence or {})},
        caused_by=caused_by,
    )
    return True


def held_by_workers(connection: Connection) -> list[tuple[int, int]]:
    """The job and token of each attempt of a worker; not those that a person runs by number."""
    jobs = archive_jobs.c
    query = (
        select(jobs.id, jobs.fence)
        .join(services, services.c.holder == jobs.lease_owner)
        .where(
            jobs.status.in_(HELD),
            services.c.service == Service.WORKER,
            services.c.stopped_at.is_(None),
            ~runs_one(),
        )
        .order_by(jobs.id)
    )
    return [(row.id, row.fence) for row in connection.execute(query)]
