"""Stretches of time in an incident: when no worker lived, and when a job got nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from healtharchive.model.services import Process, Service
from healtharchive.model.states import JobStatus
from healtharchive.steward.incident_records import Records

SILENT = timedelta(seconds=60)  # a process that wrote no stop lived for so long after its last beat
LEAST_IDLE = timedelta(minutes=5)  # a shorter time without a new page is no news
WAITING = (JobStatus.QUEUED, JobStatus.PARKED, JobStatus.RETRYABLE, JobStatus.COMPLETED)
CRAWLED = (
    JobStatus.INDEXED,
    JobStatus.INDEX_FAILED,
    JobStatus.FAILED,
    JobStatus.CANCELLED,
    JobStatus.PAUSED,
    JobStatus.COMPLETED,
)
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Idle:
    """A job's time without a new page; `longest` is one stretch. None: nobody measured it."""

    job_id: int
    total: timedelta | None
    longest: Span | None


def ended_at(life: Process, now: datetime) -> datetime | None:
    """When a process ended; None when it lives."""
    if life.stopped_at is not None:
        return life.stopped_at
    return None if now - life.beat_at <= SILENT else life.beat_at + SILENT


def lifeless(records: Records, service: str) -> list[Span]:
    """When no process of a service lived, within the span.

    Pages are not missed before they were ever served; a worker is, by the jobs that wait.
    """
    first = records.first_serve if service == Service.SERVE else None
    began = max(records.since, first or records.since)
    alive = [
        (life.started_at, ended_at(life, records.now) or records.until)
        for life in records.lives
        if life.service == service
    ]
    return without((began, records.until), alive)


def workless(records: Records) -> list[Span]:
    """When jobs waited and no worker lived."""
    gone, waited = lifeless(records, "worker"), _waiting(records)
    both = (
        (max(one[0], other[0]), min(one[1], other[1]))
        for one in gone
        for other in waited
        if max(one[0], other[0]) < min(one[1], other[1])
    )
    return joined(sorted(both))


def _waiting(records: Records) -> list[Span]:
    """When at least one job waited."""
    states = dict(records.job_states)
    moments: list[tuple[datetime, bool]] = [(records.since, _any_waits(states.values()))]
    for event in records.events:
        if event.subject == "job" and event.to_state is not None:
            states[event.subject_id] = event.to_state
            moments.append((event.at, _any_waits(states.values())))
    moments.append((records.until, False))
    return [(at, after) for (at, waits), (after, _) in pairwise(moments) if waits and at < after]


def _any_waits(states: Iterable[str]) -> bool:
    return any(each in WAITING for each in states)


def idle(records: Records, job_id: int) -> Idle:
    """How long a job got no page done while it was not settled."""
    lives = _unsettled(records, job_id)
    samples = [each for each in records.samples if each.job_id == job_id]
    if not samples:
        return Idle(job_id, None, None)
    grew = [after.at for before, after in pairwise(samples) if after.urls_done > before.urls_done]
    if samples[0].at >= records.since and samples[0].urls_done:
        grew.insert(0, samples[0].at)  # nobody knows better
    stretches = [
        part
        for begin, end in lives
        for part in pairwise([begin, *(at for at in grew if begin < at < end), end])
        if part[1] - part[0] >= LEAST_IDLE
    ]
    longest = max(stretches, key=lambda part: part[1] - part[0], default=None)
    return Idle(job_id, total(stretches), longest)


def _unsettled(records: Records, job_id: int) -> list[Span]:
    """When there was something left to crawl for a job."""
    state = records.job_states.get(str(job_id))
    moments: list[tuple[datetime, str | None]] = [(records.since, state)]
    moments += [
        (event.at, event.to_state)
        for event in records.events
        if event.subject == "job" and event.subject_id == str(job_id) and event.to_state
    ]
    moments.append((records.until, None))
    return joined(
        (at, after)
        for (at, state), (after, _) in pairwise(moments)
        if state is not None and state not in CRAWLED and at < after
    )


def joined(parts: Iterable[Span]) -> list[Span]:
    """The same time, with parts that touch each other made one."""
    found: list[Span] = []
    for begin, end in parts:
        if found and found[-1][1] >= begin:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def without(whole: Span, parts: Sequence[Span]) -> list[Span]:
    """What is left of a span when parts are taken out."""
    left, at = [], whole[0]
    for begin, end in sorted(parts):
        if begin > at:
            left.append((at, min(begin, whole[1])))
        at = max(at, end)
    if at < whole[1]:
        left.append((at, whole[1]))
    return [each for each in left if each[0] < each[1]]


def total(spans: Iterable[Span]) -> timedelta:
    """How long they are together."""
    return sum((end - begin for begin, end in spans), timedelta(0))


def spelled(length: timedelta) -> str:
    """A length of time for people: `6 h 14 min`, `40 min`, `12 s`."""
    seconds = round(length.total_seconds())
    hours, minutes = divmod(seconds // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"
