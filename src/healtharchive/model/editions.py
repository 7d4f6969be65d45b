"""Editions of one source, compared: the job before this one, and the pages it captured."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from healtharchive.model.jobs import Job
from healtharchive.model.states import JobStatus, SegmentState
from healtharchive.model.tables import archive_jobs, captures, segments

PAGE_TYPES = ("text/html", "application/xhtml+xml", "application/pdf")
ROWS_AT_ONCE = 1_000


def last_edition(connection: Connection, job: Job) -> int | None:
    """The newest job of this source before this one that is captured and indexed; its id."""
    jobs = archive_jobs.c
    query = select(func.max(jobs.id)).where(
        jobs.source_id == job.source_id, jobs.id < job.id, jobs.status == JobStatus.INDEXED
    )
    found: int | None = connection.execute(query).scalar()
    return found


def pages_of(connection: Connection, job_id: int) -> Iterator[str]:
    """The URLs of the pages that a job captured well, each once for each capture."""
    query = select(captures.c.url).where(
        captures.c.job_id == job_id,
        captures.c.status_code.between(200, 299),
        captures.c.mime.in_(PAGE_TYPES),
    )
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query)
    yield from rows.scalars()


def count_captures(connection: Connection, job_id: int) -> int:
    """How many captures of a job are in the index."""
    query = select(func.count()).select_from(captures).where(captures.c.job_id == job_id)
    return int(connection.execute(query).scalar_one())


def segment_states(connection: Connection, job_id: int) -> dict[str, tuple[SegmentState, int]]:
    """A job's segments by name: the state of each, and how many records the index could not use."""
    query = select(segments.c.name, segments.c.state, segments.c.unreadable_records)
    rows = connection.execute(query.where(segments.c.job_id == job_id))
    return {row.name: (SegmentState(row.state), row.unreadable_records) for row in rows}
