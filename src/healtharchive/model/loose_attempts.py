"""Attempts that say they run though their job has moved on without them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, or_, select

from healtharchive.model.attempts import Ending
from healtharchive.model.database import Database
from healtharchive.model.leases import close_attempt
from healtharchive.model.states import HELD, JobEvent
from healtharchive.model.tables import archive_jobs, attempts

LOST = "lost"  # how such an attempt ended: nobody wrote it down


@dataclass(frozen=True, slots=True)
class LooseAttempt:
    """An attempt without an end, and where its job is by now."""

    job_id: int
    fence: int
    worker: str
    started_at: datetime
    job_status: str
    job_fence: int


def loose_attempts(connection: Connection, *, limit: int = 100) -> list[LooseAttempt]:
    """The oldest attempts without an end whose job is another's by now, or nobody's."""
    query = _loose().order_by(attempts.c.id).limit(limit)
    return [LooseAttempt(*row) for row in connection.execute(query)]


def _loose() -> Select[Any]:
    return (
        select(
            attempts.c.job_id,
            attempts.c.fence,
            attempts.c.worker,
            attempts.c.started_at,
            archive_jobs.c.status,
            archive_jobs.c.fence,
        )
        .join(archive_jobs, archive_jobs.c.id == attempts.c.job_id)
        .where(
            attempts.c.ended_at.is_(None),
            or_(attempts.c.fence != archive_jobs.c.fence, archive_jobs.c.status.not_in(HELD)),
        )
    )


def close_loose_attempt(
    database: Database, connection: Connection, job_id: int, fence: int, why: str
) -> bool:
    """Write that such an attempt has ended; False when it is none any more."""
    query = _loose().where(attempts.c.job_id == job_id, attempts.c.fence == fence)
    if connection.execute(query).first() is None:
        return False
    ending = Ending(JobEvent.RESCUE, exit=LOST, reason=why)
    close_attempt(connection, job_id, fence, ending, database.now(connection))
    return True
