"""Looks at jobs: those that run, with rate and end; those that wait, and for what; those failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from healtharchive.model.actions import DAY, done_within
from healtharchive.model.condition import definitions_of, running_attempts, waits_since
from healtharchive.model.jobs import Job, list_jobs, waiting_jobs
from healtharchive.model.progress_samples import Sample, samples_of
from healtharchive.model.states import HELD, JobStatus
from healtharchive.model.target import SPOOL
from healtharchive.model.targets import open_targets_of
from healtharchive.settings import Settings
from healtharchive.steward.condition import RunningNow, WaitingNow
from healtharchive.steward.stalls import RESTART, policy_of

MOST_JOBS = 200  # of each kind that are looked at one by one
RATE_WINDOW = timedelta(minutes=10)
LEAST_RATE_SECONDS = 20.0  # between samples that say anything about a rate
DUE_AT_ONCE = (JobStatus.QUEUED, JobStatus.PARKED, JobStatus.RETRYABLE, JobStatus.COMPLETED)
FAILED = (JobStatus.FAILED, JobStatus.INDEX_FAILED)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a crawl gets on."""

    pages_per_minute: float
    errors_per_minute: float

    def eta_seconds(self, urls_queued: int) -> float | None:
        """When the queue is empty at this rate; None when it never is."""
        settled = self.pages_per_minute + self.errors_per_minute
        return urls_queued / settled * 60.0 if settled > 0 else None


def rate_of(samples: Sequence[Sample]) -> Rate | None:
    """The rate between the first and the last sample; None when they say nothing. Pure."""
    if len(samples) < 2:
        return None
    first, last = samples[0], samples[-1]
    seconds = (last.at - first.at).total_seconds()
    if seconds < LEAST_RATE_SECONDS:
        return None
    minutes = seconds / 60.0
    return Rate(
        max(last.urls_done - first.urls_done, 0) / minutes,
        max(last.urls_failed - first.urls_failed, 0) / minutes,
    )


def needs(job: Job) -> tuple[str, ...]:
    """The targets that a job's output needs; the local disk where it names none."""
    named = [each for each in (job.target, job.hot_path) if each is not None]
    return tuple(named) if named else (SPOOL,)


def running_now(
    connection: Connection, now: datetime, settings: Settings
) -> tuple[RunningNow, ...]:
    """The jobs that a worker has, as their crawls reported last."""
    held = list_jobs(connection, statuses=HELD, limit=MOST_JOBS)
    ids = [job.id for job in held]
    attempts = running_attempts(connection, ids)
    sources = definitions_of(connection, {job.source for job in held})
    found = []
    for job in held:
        crawls = job.status is JobStatus.RUNNING
        since = now - RATE_WINDOW
        rate = rate_of(samples_of(connection, job.id, since=since, fence=job.fence))
        attempt = attempts.get(job.id)
        stall = policy_of(sources[job.source], job.engine, settings)
        found.append(
            RunningNow(
                job_id=job.id,
                source=job.source,
                campaign=job.campaign or "",
                work="crawl" if crawls else "index",
                worker=job.lease_owner or "",
                unit=attempt.unit if attempt is not None else "",
                urls_done=job.counts.done,
                urls_queued=job.counts.queued,
                urls_failed=job.counts.failed,
                bytes_written=job.counts.bytes_written,
                started_at=attempt.started_at if attempt is not None else job.started_at,
                progress_at=job.progress_at,
                waits_until=job.not_before,
                waits=job.parked_reason or "",
                pages_per_minute=rate.pages_per_minute if rate is not None else None,
                errors_per_minute=rate.errors_per_minute if rate is not None else None,
                eta_seconds=rate.eta_seconds(job.counts.queued) if rate is not None else None,
                stall_seconds=stall.seconds,
                restarts_per_day=stall.restarts_per_day,
                restarts_in_day=done_within(connection, "job", str(job.id), RESTART, DAY, now),
                targets=needs(job),
            )
        )
    return tuple(found)


def waiting_now(connection: Connection) -> tuple[WaitingNow, ...]:
    """The jobs that wait: those for a time, the next first; then those for a worker or a target."""
    timed = waiting_jobs(connection, limit=MOST_JOBS)
    known = {job.id for job in timed}
    others = list_jobs(connection, statuses=DUE_AT_ONCE, limit=MOST_JOBS)
    return _waiting(connection, [*timed, *(job for job in others if job.id not in known)])


def failed_now(connection: Connection) -> tuple[WaitingNow, ...]:
    """The jobs that are not tried again by themselves."""
    return _waiting(connection, list_jobs(connection, statuses=FAILED, limit=MOST_JOBS))


def _waiting(connection: Connection, jobs: Sequence[Job]) -> tuple[WaitingNow, ...]:
    ids = [job.id for job in jobs]
    since = waits_since(connection, ids)
    sick = open_targets_of(connection, ids)
    return tuple(
        WaitingNow(
            job_id=job.id,
            source=job.source,
            campaign=job.campaign or "",
            status=str(job.status),
            why=(sick.get(job.id) or job.parked_reason or job.last_error or "").rstrip("."),
            since=since.get(job.id),
            next_at=job.not_before,
            target=job.parked_target or (needs(job)[0] if job.id in sick else ""),
            last_error=job.last_error or "",
            targets=needs(job),
        )
        for job in jobs
    )
