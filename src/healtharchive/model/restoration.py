"""Rows made anew from what the files say: a job whose database was lost, and its segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from healtharchive.model.database import Database
from healtharchive.model.jobs import Job, get_job
from healtharchive.model.journal import Actor, record
from healtharchive.model.source import ScopeRules, SourceDefinition
from healtharchive.model.sources import upsert_source
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs, campaigns, sources


@dataclass(frozen=True, slots=True)
class LostJob:
    """What a job's directory tells of it. `fence` is the highest token in its file names."""

    source: str
    campaign: str | None
    output_dir: str
    fence: int
    captured_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptJob:
    """What `job.json` on a target tells of a job: all that a row of `archive_jobs` needs."""

    source: SourceDefinition
    campaign: str | None
    campaign_kind: str
    campaign_year: int | None
    output_dir: str
    fence: int
    config: Mapping[str, Any]
    outcome: str | None
    counts: Mapping[str, int]
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


def job_in(connection: Connection, output_dir: str) -> Job | None:
    """The job that writes to a directory, if the database has one."""
    query = select(archive_jobs.c.id).where(archive_jobs.c.output_dir == output_dir)
    number = connection.execute(query.limit(1)).scalar()
    return None if number is None else get_job(connection, number)


def jobs_that_are(connection: Connection, statuses: Sequence[JobStatus]) -> list[Job]:
    """Every job in one of these states, oldest first: earlier editions are indexed first."""
    query = select(archive_jobs.c.id).where(archive_jobs.c.status.in_(statuses))
    numbers = connection.execute(query.order_by(archive_jobs.c.id)).scalars().all()
    return [get_job(connection, number) for number in numbers]


def restore_job(database: Database, connection: Connection, lost: LostJob, *, actor: Actor) -> Job:
    """Make the row of a job that is captured and waits to be indexed, and all it refers to.

    The job gets a number of its own. A source that nobody defined is restored without seeds.
    """
    source_id = _source_id(database, connection, lost.source, actor)
    now = database.now(connection)
    result = connection.execute(
        insert(archive_jobs).values(
            source_id=source_id,
            campaign_id=_campaign_id(connection, lost, source_id, now),
            status=JobStatus.COMPLETED,
            output_dir=lost.output_dir,
            fence=lost.fence,
            created_at=lost.captured_at,
            started_at=lost.captured_at,
        )
    )
    assert result.inserted_primary_key is not None
    job = get_job(connection, int(result.inserted_primary_key[0]))
    record(
        connection,
        at=now,
        actor=actor,
        subject="job",
        subject_id=job.id,
        what="restored",
        to_state=job.status,
        why="its WARC files are there and its row was not",
        evidence={"output_dir": lost.output_dir, "source": lost.source, "campaign": lost.campaign},
    )
    return job


def lift_fence(
    database: Database, connection: Connection, job: Job, fence: int, *, actor: Actor
) -> None:
    """Bring a job's token up to one that was given already; nothing when it is that high.

    A restored database may be older than the files: the next attempt would get a token, and with
    it the file names, of an attempt that it does not know.
    """
    raised = connection.execute(
        update(archive_jobs)
        .where(archive_jobs.c.id == job.id, archive_jobs.c.fence < fence)
        .values(fence=fence)
    )
    if not raised.rowcount:
        return
    record(
        connection,
        at=database.now(connection),
        actor=actor,
        subject="job",
        subject_id=job.id,
        what="fence_raised",
        why="attempts that the database does not know left files",
        evidence={"before": job.fence, "fence": fence},
    )


def restore_kept_job(
    database: Database, connection: Connection, kept: KeptJob, *, actor: Actor
) -> Job:
    """The row of a job whose facts were kept beside its files; the one there is, if any."""
    there = job_in(connection, kept.output_dir)
    if there is not None:
        return there
    now = database.now(connection)
    lost = LostJob(
        kept.source.code, kept.campaign, kept.output_dir, kept.fence, kept.created_at or now
    )
    known = select(sources.c.id).where(sources.c.code == kept.source.code)
    if connection.execute(known).first() is None:
        upsert_source(database, connection, kept.source, actor=actor)
    job = restore_job(database, connection, lost, actor=actor)
    columns = {name: value for name, value in kept.counts.items() if name in archive_jobs.c}
    connection.execute(
        update(archive_jobs)
        .where(archive_jobs.c.id == job.id)
        .values(
            config=dict(kept.config),
            outcome=kept.outcome,
            started_at=kept.started_at,
            finished_at=kept.finished_at,
            **columns,
        )
    )
    if kept.campaign is not None and kept.campaign_kind:
        connection.execute(
            update(campaigns)
            .where(campaigns.c.name == kept.campaign)
            .values(kind=kept.campaign_kind, year=kept.campaign_year)
        )
    return get_job(connection, job.id)


def _source_id(database: Database, connection: Connection, code: str, actor: Actor) -> int:
    known = connection.execute(select(sources.c.id).where(sources.c.code == code)).scalar()
    if known is not None:
        return int(known)
    unknown = SourceDefinition(code, code, (), ScopeRules(()), description="restored from WARCs")
    return upsert_source(database, connection, unknown, actor=actor)


def _campaign_id(
    connection: Connection, lost: LostJob, source_id: int, now: datetime
) -> int | None:
    """The campaign's row; None when there was none, or another job has this source in it."""
    if lost.campaign is None:
        return None
    query = select(campaigns.c.id).where(campaigns.c.name == lost.campaign)
    known = connection.execute(query).scalar()
    if known is None:
        kind, _, year = lost.campaign.rpartition("-")
        result = connection.execute(
            insert(campaigns).values(
                name=lost.campaign,
                kind=kind or lost.campaign,
                year=int(year) if year.isdecimal() and len(year) == 4 else None,
                created_at=now,
            )
        )
        assert result.inserted_primary_key is not None
        return int(result.inserted_primary_key[0])
    taken = select(archive_jobs.c.id).where(
        archive_jobs.c.campaign_id == known, archive_jobs.c.source_id == source_id
    )
    return None if connection.execute(taken).first() else int(known)
