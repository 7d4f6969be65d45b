"""Whose turn it is: crawls that run, crawls that could be claimed now, and places of workers."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from healtharchive.model.attempts import Work
from healtharchive.model.database import Database
from healtharchive.model.leases import ClaimTerms, due_ids
from healtharchive.model.restarts import held_by_workers
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs, campaigns


@dataclass(frozen=True, slots=True)
class Turn:
    """A crawl that could be claimed now; `campaign` is empty for one without."""

    job_id: int
    campaign: str
    position: int


def turns(database: Database, connection: Connection, terms: ClaimTerms) -> list[Turn]:
    """The crawls that could be claimed now, in the order in which they would be."""
    ids = due_ids(database, connection, Work.CRAWL, terms)
    query = (
        select(archive_jobs.c.id, campaigns.c.name, archive_jobs.c.position)
        .outerjoin(campaigns, campaigns.c.id == archive_jobs.c.campaign_id)
        .where(archive_jobs.c.id.in_(ids))
    )
    found = {
        row.id: Turn(row.id, row.name or "", row.position) for row in connection.execute(query)
    }
    return [found[each] for each in ids if each in found]


def running_campaign_jobs(connection: Connection) -> int:
    """How many crawls of a campaign run now."""
    query = select(func.count()).where(
        archive_jobs.c.status == JobStatus.RUNNING, archive_jobs.c.campaign_id.is_not(None)
    )
    return int(connection.execute(query).scalar_one())


def taken_slots(connection: Connection) -> int:
    """How many attempts the workers run now."""
    return len(held_by_workers(connection))


def put_first(connection: Connection, job_id: int) -> int:
    """Let a job be claimed before all others that wait; its position from now on."""
    waiting = select(func.min(archive_jobs.c.position)).where(
        archive_jobs.c.status.in_((JobStatus.QUEUED, JobStatus.PARKED, JobStatus.RETRYABLE)),
        archive_jobs.c.id != job_id,
    )
    first = connection.execute(waiting).scalar_one()
    position = int(first if first is not None else 0) - 1
    connection.execute(
        update(archive_jobs).where(archive_jobs.c.id == job_id).values(position=position)
    )
    return position
