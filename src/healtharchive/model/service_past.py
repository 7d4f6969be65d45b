"""What became of a service on a machine, and whether there is work for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, select

from healtharchive.model.services import HoldKind, Process, Service
from healtharchive.model.states import JobStatus
from healtharchive.model.tables import archive_jobs, events
from healtharchive.model.tables_operation import service_holds, services

RUNS_ONE = "runs_one"  # the event of a process that runs one job by its number, not the queue
# What waits for a worker, now or at its time.
WAITING = (JobStatus.QUEUED, JobStatus.PARKED, JobStatus.RETRYABLE, JobStatus.COMPLETED)


@dataclass(frozen=True, slots=True)
class LastWords:
    """The newest event that tells why a process ended: its stop signal, or that it stopped."""

    event_id: int
    sentence: str


def newest_process(connection: Connection, service: Service, host: str) -> Process | None:
    """The process of the service that was started last on a machine, ended or not.

    One that ran a single job by its number does not count.
    """
    columns = services.c
    query = _standing(service).where(columns.host == host)
    query = query.order_by(columns.started_at.desc(), columns.id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else Process(*row)


def standing_processes(connection: Connection, service: Service) -> list[Process]:
    """The processes that serve whatever comes and have not said that they ended, the first first.

    Those that run a single job by its number are left out.
    """
    query = _standing(service).where(services.c.stopped_at.is_(None)).order_by(services.c.id)
    return [Process(*row) for row in connection.execute(query)]


def resumed_at(connection: Connection, service: Service, host: str) -> datetime | None:
    """When the last pause of the service on a machine ended; None when there was none."""
    columns = service_holds.c
    query = (
        select(columns.ended_at)
        .where(
            columns.service == service,
            columns.kind == HoldKind.PAUSE,
            columns.host.in_(("", host)),
            columns.ended_at.is_not(None),
        )
        .order_by(columns.ended_at.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def runs_one() -> ColumnElement[bool]:
    """Whether a process of the enclosing query runs a single job by its number."""
    subject_id = func.substr(services.c.holder, 1, 128)
    query = select(events.c.id).where(
        events.c.subject == Service.WORKER,
        events.c.subject_id == subject_id,
        events.c.what == RUNS_ONE,
        events.c.at >= services.c.started_at,
    )
    return exists(query.correlate(services))


def _standing(service: Service) -> Select[Any]:
    columns = services.c
    return select(
        columns.service,
        columns.holder,
        columns.host,
        columns.unit,
        columns.pid,
        columns.version,
        columns.started_at,
        columns.beat_at,
        columns.stopped_at,
        columns.stop_reason,
    ).where(columns.service == service, ~runs_one())


def last_words(connection: Connection, process: Process) -> LastWords | None:
    """Why a process ended, as it said itself; None for one that died without a word."""
    query = (
        select(events.c.id, events.c.why)
        .where(
            events.c.subject == process.service,
            events.c.subject_id == process.holder[:128],
            events.c.what.in_(("stop_signal", "stopped")),
            events.c.at >= process.started_at,
        )
        .order_by(events.c.what, events.c.id.desc())  # the signal before the stop it led to
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else LastWords(row.id, row.why)


def waiting_jobs(connection: Connection) -> int:
    """How many jobs wait for a worker, now or at their time."""
    query = select(func.count()).where(archive_jobs.c.status.in_(WAITING))
    return int(connection.execute(query).scalar_one())
