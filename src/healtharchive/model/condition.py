"""What the record of the archive's condition is made of: one question each, all of them cheap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, or_, select

from healtharchive.model import wire
from healtharchive.model.actions import COLUMNS, REFUSED, Action
from healtharchive.model.copies import ON_DISK, CopyState
from healtharchive.model.journal import Event, event_of
from healtharchive.model.local_readings import is_bad
from healtharchive.model.reader_reports import ReportState
from healtharchive.model.services import Process, Service
from healtharchive.model.source import SourceDefinition
from healtharchive.model.states import (
    HELD,
    JobEvent,
    JobStatus,
    SegmentState,
    TargetEvent,
    TargetState,
)
from healtharchive.model.tables import (
    SHOWN,
    actions,
    archive_jobs,
    attempts,
    captures,
    copies,
    events,
    reader_reports,
    segments,
    sources,
    targets,
)
from healtharchive.model.tables_operation import services
from healtharchive.model.target import SPOOL

TALK = ("alert", "people", "heartbeat")  # what tells of things; actions are what changes them
LONGEST_PID = 10  # digits
DUE_FOR_WORKERS = (
    JobStatus.QUEUED,
    JobStatus.PARKED,
    JobStatus.RETRYABLE,
    JobStatus.COMPLETED,
)  # at once, or at their time
# What begins a job's present wait: before it, the wait was another one.
BEGINNINGS = ("created", "resume", "retry", "reindex")


@dataclass(frozen=True, slots=True)
class RunningAttempt:
    """The attempt that holds a job now."""

    started_at: datetime
    unit: str


# -- jobs ----------------------------------------------------------------------------------


def running_attempts(connection: Connection, job_ids: Iterable[int]) -> dict[int, RunningAttempt]:
    """The attempt of each of these jobs that has its present token and has not ended."""
    query = (
        select(attempts.c.job_id, attempts.c.started_at, attempts.c.unit)
        .join(archive_jobs, archive_jobs.c.id == attempts.c.job_id)
        .where(
            attempts.c.job_id.in_(list(job_ids)),
            attempts.c.fence == archive_jobs.c.fence,
            attempts.c.ended_at.is_(None),
        )
    )
    return {
        row.job_id: RunningAttempt(row.started_at, row.unit or "")
        for row in connection.execute(query)
    }


def waits_since(connection: Connection, job_ids: Iterable[int]) -> dict[int, datetime]:
    """When each of these jobs last got something done, or was last given a new beginning."""
    wanted = list(job_ids)
    if not wanted:
        return {}
    begun = (
        select(events.c.subject_id, func.max(events.c.at).label("at"))
        .where(
            events.c.subject == "job",
            events.c.subject_id.in_([str(each) for each in wanted]),
            events.c.what.in_(BEGINNINGS),
        )
        .group_by(events.c.subject_id)
    )
    found = {int(row.subject_id): row.at for row in connection.execute(begun)}
    jobs = archive_jobs.c
    rows = connection.execute(
        select(jobs.id, jobs.created_at, jobs.progress_at, jobs.finished_at).where(
            jobs.id.in_(wanted)
        )
    )
    for job_id, *moments in rows:
        known = [each for each in (*moments, found.get(job_id)) if each is not None]
        found[job_id] = max(known)
    return found


def definitions_of(connection: Connection, codes: Iterable[str]) -> dict[str, SourceDefinition]:
    """These sources, by code."""
    query = select(sources.c.code, sources.c.definition).where(sources.c.code.in_(list(codes)))
    return {
        row.code: wire.from_plain(SourceDefinition, row.definition)
        for row in connection.execute(query)
    }


def count_waiting(connection: Connection) -> int:
    """How many jobs a worker has to do, now or at their time."""
    query = select(func.count()).where(archive_jobs.c.status.in_(DUE_FOR_WORKERS))
    return int(connection.execute(query).scalar_one())


def jobs_for_workers(connection: Connection, now: datetime) -> int:
    """How many jobs a worker could get on with now: due, or held by one; no target of theirs open.

    What waits for a dead target is none of them: a worker could do nothing about it.
    """
    jobs = archive_jobs.c
    crawls = jobs.status.not_in((JobStatus.COMPLETED, JobStatus.INDEXING))
    needed = or_(
        targets.c.name == jobs.target,
        targets.c.name == jobs.hot_path,
        and_(targets.c.name == SPOOL, crawls),
    )
    blocked = exists(
        select(targets.c.id).where(needed, targets.c.state == TargetState.OPEN)
    ).correlate(archive_jobs)
    due = and_(
        jobs.status.in_(DUE_FOR_WORKERS), or_(jobs.not_before.is_(None), jobs.not_before <= now)
    )
    query = select(func.count()).where(or_(due, jobs.status.in_(HELD)), ~blocked)
    return int(connection.execute(query).scalar_one())


def jobs_to_index(connection: Connection, limit: int) -> list[int]:
    """The jobs that are captured and not searchable yet, those captured first at the beginning."""
    jobs = archive_jobs.c
    query = select(jobs.id).where(jobs.status.in_((JobStatus.COMPLETED, JobStatus.INDEXING)))
    return list(
        connection.execute(query.order_by(jobs.finished_at, jobs.id).limit(limit)).scalars()
    )


def oldest_uncompared(connection: Connection) -> datetime | None:
    """When the first of those jobs was indexed that have captures which nobody has compared.

    Also of one that was compared and has grown since.
    """
    jobs = archive_jobs.c
    behind = exists(
        select(captures.c.id).where(
            captures.c.job_id == jobs.id, captures.c.id > jobs.compared_upto, SHOWN
        )
    ).correlate(archive_jobs)
    query = select(func.min(jobs.indexed_at)).where(jobs.status == JobStatus.INDEXED, behind)
    return _moment(connection, query)


# -- targets and copies --------------------------------------------------------------------


def oldest_unshipped(connection: Connection, target: str) -> datetime | None:
    """Since when the first local segment waits that has no verified copy on the target."""
    there = exists(
        select(copies.c.id).where(
            copies.c.segment_id == segments.c.id,
            copies.c.target == target,
            copies.c.state == CopyState.VERIFIED,
        )
    )
    query = (
        select(func.min(segments.c.sealed_at))
        .select_from(segments.join(archive_jobs))
        .where(segments.c.state.in_(ON_DISK), archive_jobs.c.target.is_(None), ~there)
    )
    return _moment(connection, query)


def oldest_proof(connection: Connection, target: str) -> datetime | None:
    """When the copy on the target that was unread the longest was last read back."""
    query = select(func.min(copies.c.verified_at)).where(
        copies.c.target == target, copies.c.state == CopyState.VERIFIED
    )
    return _moment(connection, query)


def lost_segments(connection: Connection, limit: int) -> list[str]:
    """Segments of which no good copy is left on any target that is still declared.

    A segment that a job wrote straight to a target is lost when it was found to be bad there; one
    that is on the local disk, when it was found to be bad here.
    """
    good = exists(
        select(copies.c.id)
        .join(targets, and_(targets.c.name == copies.c.target, targets.c.declared))
        .where(copies.c.segment_id == segments.c.id, copies.c.state == CopyState.VERIFIED)
        .correlate(segments)
    )
    bad_where_written = exists(
        select(copies.c.id).where(
            copies.c.segment_id == segments.c.id,
            copies.c.target == archive_jobs.c.target,
            copies.c.state.in_((CopyState.DIFFERS, CopyState.GONE)),
        )
    )
    query = (
        select(segments.c.name)
        .select_from(segments.join(archive_jobs))
        .where(
            or_(segments.c.state == SegmentState.RELEASED, bad_where_written, is_bad()),
            ~good,
        )
        .order_by(segments.c.id)
    )
    return list(connection.execute(query.limit(limit)).scalars())


def refusal_told(connection: Connection, target: str, what: str, since: datetime) -> str:
    """Why the last repair of the target since then was refused; empty when it was not."""
    query = (
        select(actions.c.outcome, actions.c.why)
        .where(
            actions.c.subject == "target",
            actions.c.subject_id == target,
            actions.c.what == what,
            actions.c.at >= since,
        )
        .order_by(actions.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return row.why if row is not None and row.outcome == REFUSED else ""


# -- what was done, and what goes on -------------------------------------------------------


def last_actions(connection: Connection, limit: int) -> tuple[Action, ...]:
    """The newest automatic actions on the archive, the newest first; not that people were told."""
    query = select(*COLUMNS).where(actions.c.subject.not_in(TALK))
    rows = connection.execute(query.order_by(actions.c.id.desc()).limit(limit))
    return tuple(Action(*row) for row in rows)


def newest_process(connection: Connection, service: Service, word: str = "") -> Process | None:
    """The process of the service that was started last; with `word`, of that name or pid."""
    columns = services.c
    query = select(*(columns[each.name] for each in fields(Process)))
    query = query.where(columns.service == service)
    if word:
        pid = int(word) if word.isdecimal() and len(word) < LONGEST_PID else -1
        query = query.where(or_(columns.holder == word, columns.pid == pid))
    query = query.order_by(columns.started_at.desc(), columns.id.desc())
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else Process(**row._asdict())


def last_trip(connection: Connection, targets_: Iterable[str], before: datetime) -> Event | None:
    """The newest event before then in which the breaker of one of these targets opened."""
    query = select(events).where(
        events.c.subject == "target",
        events.c.subject_id.in_(list(targets_)),
        events.c.what.in_((TargetEvent.TRIP, TargetEvent.TRIAL_FAILED)),
        events.c.at <= before,
    )
    row = connection.execute(query.order_by(events.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else event_of(row)


def last_failures(connection: Connection, job_ids: Iterable[int]) -> list[Event]:
    """The newest event in which each of these jobs failed, was parked or is to be tried again."""
    newest = (
        select(func.max(events.c.id))
        .where(
            events.c.subject == "job",
            events.c.subject_id.in_([str(each) for each in job_ids]),
            events.c.what.in_((JobEvent.FAIL, JobEvent.PARK, JobEvent.RETRY_LATER)),
        )
        .group_by(events.c.subject_id)
    )
    query = select(events).where(events.c.id.in_(newest)).order_by(events.c.id)
    return [event_of(row) for row in connection.execute(query)]


def last_attempt_to(
    connection: Connection, what: str, subject: str, subject_id: str
) -> Row[Any] | None:
    """The newest action of this kind, whether it was taken or refused."""
    query = select(actions).where(
        actions.c.what == what, actions.c.subject == subject, actions.c.subject_id == subject_id
    )
    return connection.execute(query.order_by(actions.c.id.desc()).limit(1)).one_or_none()


def open_reports(connection: Connection) -> tuple[int, datetime | None]:
    """How many reports of readers are open, and since when the first of them is."""
    query = select(func.count(), func.min(reader_reports.c.at)).where(
        reader_reports.c.state == ReportState.OPEN
    )
    number, since = connection.execute(query).one()
    return int(number), since


def _moment(connection: Connection, query: Any) -> datetime | None:
    found: datetime | None = connection.execute(query).scalar_one()
    return found
