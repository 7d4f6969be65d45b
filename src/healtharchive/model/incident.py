"""What the database remembers of a span of time, for the document of an incident."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from healtharchive.model.actions import COLUMNS, Action
from healtharchive.model.journal import LONGEST_CHAIN, Event, event_of
from healtharchive.model.services import Process, Service
from healtharchive.model.states import SegmentState
from healtharchive.model.tables import actions, archive_jobs, campaigns, events, segments, sources
from healtharchive.model.tables_operation import alerts, progress_samples, services


@dataclass(frozen=True, slots=True)
class AlertThen:
    """An alert that fired. `sent_at` is when people were told of it."""

    name: str
    severity: str
    subject: str
    subject_id: str
    summary: str
    fired_at: datetime
    over_at: datetime | None
    sent_at: datetime | None
    inhibited_by: str | None


@dataclass(frozen=True, slots=True)
class SampleThen:
    """How far a running job was at a moment."""

    job_id: int
    at: datetime
    urls_done: int


@dataclass(frozen=True, slots=True)
class JobThen:
    """A job by its names; `status` is that of today."""

    id: int
    source: str
    campaign: str | None
    status: str
    created_at: datetime


def events_between(
    connection: Connection, since: datetime, until: datetime, *, limit: int
) -> list[Event]:
    """The events of a span, oldest first; at most `limit`, the oldest."""
    query = select(events).where(*_within(events.c.at, since, until))
    rows = connection.execute(query.order_by(events.c.at, events.c.id).limit(limit))
    return [event_of(row) for row in rows]


def causes_of(connection: Connection, told: Iterable[Event]) -> list[Event]:
    """What caused these events and is not among them, and what caused that, oldest first."""
    known = {each.id: each for each in told}
    own = set(known)
    for _ in range(LONGEST_CHAIN):
        named = {each.caused_by for each in known.values() if each.caused_by is not None}
        missing = sorted(named - set(known))
        if not missing:
            break
        for first in range(0, len(missing), 500):  # SQLite takes only so many values
            part = events.c.id.in_(missing[first : first + 500])
            rows = connection.execute(select(events).where(part))
            known |= {row.id: event_of(row) for row in rows}
    return [known[key] for key in sorted(set(known) - own)]


def states_before(connection: Connection, subject: str, moment: datetime) -> dict[str, str]:
    """In which state each thing of a kind was at a moment, as far as the journal goes back."""
    last = (
        select(func.max(events.c.id).label("id"))
        .where(events.c.subject == subject, events.c.to_state.is_not(None), events.c.at < moment)
        .group_by(events.c.subject_id)
        .subquery()
    )
    query = select(events.c.subject_id, events.c.to_state).join(last, last.c.id == events.c.id)
    return {row.subject_id: row.to_state for row in connection.execute(query)}


def alerts_between(connection: Connection, since: datetime, until: datetime) -> list[AlertThen]:
    """The alerts that fired in a span, the first first."""
    query = (
        select(
            alerts.c.name,
            alerts.c.severity,
            alerts.c.subject,
            alerts.c.subject_id,
            alerts.c.summary,
            alerts.c.fired_at,
            alerts.c.over_at,
            alerts.c.sent_at,
            alerts.c.inhibited_by,
        )
        .where(*_within(alerts.c.fired_at, since, until))
        .order_by(alerts.c.fired_at, alerts.c.id)
    )
    return [AlertThen(*row) for row in connection.execute(query)]


def actions_between(connection: Connection, since: datetime, until: datetime) -> list[Action]:
    """What automation did and refused in a span, in order."""
    query = select(*COLUMNS).where(*_within(actions.c.at, since, until))
    rows = connection.execute(query.order_by(actions.c.at, actions.c.id))
    return [Action(*row) for row in rows]


def lives_between(connection: Connection, since: datetime, until: datetime) -> list[Process]:
    """The processes of which a part of the life lies in a span, in the order of their starts."""
    query = (
        select(services)
        .where(
            services.c.started_at <= until,
            or_(services.c.stopped_at.is_(None), services.c.stopped_at >= since),
        )
        .order_by(services.c.started_at, services.c.id)
    )
    names = ("service", "holder", "host", "unit", "pid", "version", "started_at", "beat_at")
    every = (*names, "stopped_at", "stop_reason")
    return [Process(*(getattr(row, name) for name in every)) for row in connection.execute(query)]


def first_start(connection: Connection, service: Service) -> datetime | None:
    """When a service was first started, as far as the database goes back."""
    query = select(func.min(services.c.started_at)).where(services.c.service == service)
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def samples_between(connection: Connection, since: datetime, until: datetime) -> list[SampleThen]:
    """How far jobs were, from moment to moment of a span; first how far each was before it."""
    job_id, at = progress_samples.c.job_id, progress_samples.c.at
    before = select(job_id, func.max(at).label("at")).where(at < since).group_by(job_id).subquery()
    query = (
        select(job_id, at, progress_samples.c.urls_done)
        .outerjoin(before, before.c.job_id == job_id)
        .where(or_(and_(*_within(at, since, until)), at == before.c.at))
    )
    rows = connection.execute(query.order_by(job_id, at))
    return [SampleThen(*row) for row in rows]


def jobs_before(connection: Connection, moment: datetime) -> list[JobThen]:
    """Every job that was there before a moment."""
    query = (
        select(
            archive_jobs.c.id,
            sources.c.code,
            campaigns.c.name,
            archive_jobs.c.status,
            archive_jobs.c.created_at,
        )
        .join(sources, sources.c.id == archive_jobs.c.source_id)
        .outerjoin(campaigns, campaigns.c.id == archive_jobs.c.campaign_id)
        .where(archive_jobs.c.created_at <= moment)
        .order_by(archive_jobs.c.id)
    )
    return [JobThen(*row) for row in connection.execute(query)]


def suspect_segments(connection: Connection) -> list[str]:
    """The segments that are suspect now, by name."""
    query = select(segments.c.name).where(segments.c.state == SegmentState.SUSPECT)
    return list(connection.execute(query.order_by(segments.c.name)).scalars())


def _within(
    column: ColumnElement[Any], since: datetime, until: datetime
) -> tuple[ColumnElement[bool], ...]:
    return column >= since, column <= until
