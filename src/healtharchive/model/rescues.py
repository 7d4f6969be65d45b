"""Rescue: a job is taken back from a holder that sends no heartbeats any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from healtharchive.model.attempts import Ending
from healtharchive.model.blame import Blame
from healtharchive.model.database import Database
from healtharchive.model.jobs import transition
from healtharchive.model.journal import Actor
from healtharchive.model.leases import NO_LEASE, close_attempt, follow_request, held_by
from healtharchive.model.states import HELD, JobEvent, JobStatus
from healtharchive.model.tables import archive_jobs

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Lease:
    """A held job as the database shows it: enough to see whether its holder still lives.

    The owner is empty, and the moments are missing or long ago, where a row says that it is held
    and nobody ever did.
    """

    job_id: int
    fence: int
    status: JobStatus
    owner: str
    heartbeat_at: datetime | None
    expires_at: datetime


def list_leases(connection: Connection) -> list[Lease]:
    """Every lease that is held, run out or not."""
    jobs = archive_jobs.c
    query = select(
        jobs.id, jobs.fence, jobs.status, jobs.lease_owner, jobs.heartbeat_at, jobs.lease_expires_at
    ).where(jobs.status.in_(HELD))
    return [
        Lease(
            job_id=row.id,
            fence=row.fence,
            status=JobStatus(row.status),
            owner=row.lease_owner or "",
            heartbeat_at=row.heartbeat_at,
            expires_at=row.lease_expires_at or LONG_AGO,
        )
        for row in connection.execute(query)
    ]


def rescue(
    database: Database,
    connection: Connection,
    lease: Lease,
    *,
    actor: Actor,
    why: str,
    evidence: Mapping[str, Any] | None = None,
) -> bool:
    """Take a job from a holder that sends no heartbeats; False when it sent one after all."""
    held = connection.execute(
        select(archive_jobs.c.requested_stop)
        .where(
            *held_by(lease.job_id, lease.fence),
            archive_jobs.c.heartbeat_at == lease.heartbeat_at,
        )
        .with_for_update()
    ).one_or_none()
    if held is None:
        return False
    now = database.now(connection)
    event_id = transition(
        database,
        connection,
        lease.job_id,
        JobEvent.RESCUE,
        actor=actor,
        why=why,
        evidence={"owner": lease.owner, "fence": lease.fence, **(evidence or {})},
        fence=lease.fence,
        columns={
            **NO_LEASE,
            # A higher token at once: a holder that wakes up is refused even before the next claim.
            "fence": lease.fence + 1,
            "rescue_count": archive_jobs.c.rescue_count + 1,
            "last_error": why,
        },
    )
    ending = Ending(JobEvent.RESCUE, exit="rescued", blame=Blame.HOST, reason=why)
    close_attempt(connection, lease.job_id, lease.fence, ending, now)
    request = JobEvent(held.requested_stop) if held.requested_stop else JobEvent.RELEASE
    if request is not JobEvent.RELEASE and lease.status is JobStatus.RUNNING:
        follow_request(database, connection, lease.job_id, request, actor, event_id)
    return True
