"""How far a job is, as the pages of jobs and campaigns show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from healtharchive.model.jobs import Job
from healtharchive.model.sources import list_sources
from healtharchive.model.states import JobStatus

MOVING = (JobStatus.RUNNING, JobStatus.INDEXING, JobStatus.COMPLETED, JobStatus.QUEUED)
REFRESH_SECONDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job's counts, waits and times. found = queued + in_flight + done + failed + excluded.

    `finished` is what is settled one way or the other, `percent` its whole percentage of `found`.
    """

    id: int
    source: str
    source_name: str
    campaign: str | None
    status: JobStatus
    found: int
    queued: int
    in_flight: int
    done: int
    failed: int
    excluded: int
    finished: int
    percent: int
    captures: int
    revisits: int
    bytes_written: int
    retry_count: int
    retry_budget: int
    park_count: int
    rescue_count: int
    parked_reason: str | None
    not_before: datetime | None
    outcome: str | None
    last_error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    indexed_at: datetime | None


def source_names(connection: Connection) -> dict[str, str]:
    """Each source's name by its code."""
    return {source.code: source.name for source in list_sources(connection)}


def job_facts(job: Job, names: Mapping[str, str]) -> JobFacts:
    """The facts of one job; a source that is no longer enabled goes by its code."""
    counts = job.counts
    finished = counts.done + counts.failed + counts.excluded
    return JobFacts(
        id=job.id,
        source=job.source,
        source_name=names.get(job.source, job.source),
        campaign=job.campaign,
        status=job.status,
        found=counts.found,
        queued=counts.queued,
        in_flight=counts.in_flight,
        done=counts.done,
        failed=counts.failed,
        excluded=counts.excluded,
        finished=finished,
        # Rounded down: 100 % is said only when nothing is left.
        percent=100 * finished // counts.found if counts.found else 0,
        captures=counts.captures,
        revisits=counts.revisits,
        bytes_written=counts.bytes_written,
        retry_count=job.retry_count,
        retry_budget=job.retry_budget,
        park_count=job.park_count,
        rescue_count=job.rescue_count,
        parked_reason=job.parked_reason,
        not_before=job.due_at,
        outcome=job.outcome,
        last_error=job.last_error,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        indexed_at=job.indexed_at,
    )


def refresh_seconds(jobs: Iterable[JobFacts], query: Mapping[str, str]) -> int | None:
    """How often a page about these jobs reloads itself; None when nothing moves or by request.

    Readers who need time turn it off with ?refresh=off (WCAG 2.2.1).
    """
    moves = any(job.status in MOVING for job in jobs)
    return REFRESH_SECONDS if moves and query.get("refresh") != "off" else None
