"""How far each running crawl was, again and again: charts, rates and stalls are made of these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, literal, select

from healtharchive.model.database import Database
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import UtcDateTime, archive_jobs
from healtharchive.model.tables_operation import progress_samples

MOST_IDS = 500  # in one statement


@dataclass(frozen=True, slots=True)
class Sample:
    """A job's counts at a moment, within the attempt that holds this token."""

    id: int
    job_id: int
    at: datetime
    fence: int
    urls_queued: int
    urls_done: int
    urls_failed: int
    bytes_written: int


def running_crawl_ids(connection: Connection) -> list[int]:
    """The jobs that are being crawled now."""
    query = select(archive_jobs.c.id).where(archive_jobs.c.status == JobStatus.RUNNING)
    return list(connection.execute(query.order_by(archive_jobs.c.id)).scalars())


def take_samples(database: Database, connection: Connection) -> int:
    """Write one sample of every crawl that runs, as its row is now; how many those were."""
    jobs = archive_jobs.c
    names = ["at", "job_id", "fence", "urls_queued", "urls_done", "urls_failed", "bytes_written"]
    rows = select(
        literal(database.now(connection), UtcDateTime()),
        jobs.id,
        jobs.fence,
        jobs.urls_queued,
        jobs.urls_done,
        jobs.urls_failed,
        jobs.bytes_written,
    ).where(jobs.status == JobStatus.RUNNING)
    insert = database.insert_ignore(progress_samples).from_select(names, rows)
    counted = insert.execution_options(preserve_rowcount=True)  # psycopg: -1 without
    return connection.execute(counted).rowcount


def samples_of(
    connection: Connection,
    job_id: int,
    *,
    since: datetime | None = None,
    before: datetime | None = None,
    fence: int | None = None,
) -> list[Sample]:
    """A job's samples from `since` on and older than `before`, the oldest first."""
    columns = progress_samples.c
    query = select(
        columns.id,
        columns.job_id,
        columns.at,
        columns.fence,
        columns.urls_queued,
        columns.urls_done,
        columns.urls_failed,
        columns.bytes_written,
    ).where(columns.job_id == job_id)
    if since is not None:
        query = query.where(columns.at >= since)
    if before is not None:
        query = query.where(columns.at < before)
    if fence is not None:
        query = query.where(columns.fence == fence)
    return [Sample(*row) for row in connection.execute(query.order_by(columns.at))]


def sampled_jobs(connection: Connection, before: datetime) -> list[int]:
    """The jobs that have samples older than this."""
    columns = progress_samples.c
    query = select(columns.job_id).distinct().where(columns.at < before)
    return list(connection.execute(query.order_by(columns.job_id)).scalars())


def delete_samples(connection: Connection, ids: Sequence[int]) -> int:
    """Remove these samples, at most `MOST_IDS`; how many were still there."""
    assert len(ids) <= MOST_IDS
    query = delete(progress_samples).where(progress_samples.c.id.in_(ids))
    return connection.execute(query).rowcount


def surplus(samples: Iterable[Sample], *, every_seconds: float, keep_from: datetime) -> list[int]:
    """Which of a job's samples are not kept where one of an attempt in `every_seconds` is enough.

    The first of each such time is kept, and none that is older than `keep_from`. Pure.
    """
    kept: set[tuple[int, int]] = set()
    found: list[int] = []
    for each in samples:
        place = (each.fence, int(each.at.timestamp() // every_seconds))
        if each.at < keep_from or place in kept:
            found.append(each.id)
        else:
            kept.add(place)
    return found
