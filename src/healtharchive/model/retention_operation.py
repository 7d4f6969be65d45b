"""Which old actions, alerts, processes and holds nobody asks for any more."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    and_,
    exists,
    func,
    not_,
    or_,
    select,
)

from healtharchive.model.alerts import AlertState
from healtharchive.model.service_past import RUNS_ONE, runs_one
from healtharchive.model.services import Service
from healtharchive.model.tables import actions, archive_jobs, events
from healtharchive.model.tables_operation import alerts, service_holds, services

# Subjects whose things are ever new ones; nobody asks what was done to one of them long ago.
PASSING = ("database", "segment", "retention")
HOLDER_MARK = ":"  # a process is known by its holder, a machine by its plain name
HOLDER_CHARACTERS = 128  # of it are an event's subject_id


def actions_unread(_: Connection, cutoff: datetime) -> ColumnElement[bool]:
    """The gates ask for the last one of its kind and outcome about a thing; that one stays."""
    own, later = actions.c, actions.alias("later")
    newer = _exists(
        actions,
        later,
        later.c.subject == own.subject,
        later.c.subject_id == own.subject_id,
        later.c.what == own.what,
        later.c.outcome == own.outcome,
        later.c.at < cutoff,
        later.c.id > own.id,
    )
    process = and_(own.subject.in_([*Service]), own.subject_id.contains(HOLDER_MARK))
    return and_(own.at < cutoff, or_(own.subject.in_(PASSING), process, newer))


def alerts_unread(_: Connection, cutoff: datetime) -> ColumnElement[bool]:
    """It is over, and whoever heard of it has heard that too."""
    own = alerts.c
    heard = or_(own.sent_at.is_(None), own.over_sent_at.is_not(None))
    return and_(own.state == AlertState.OVER, own.over_at < cutoff, heard)


def services_unread(_: Connection, cutoff: datetime) -> ColumnElement[bool]:
    """A process that is long gone, with a later one of its service.

    On a machine that is still in use (or paused) that one must be there; it may not be one that
    ran a single job only, unless this one did too. The one that stopped last stays as well.
    """
    own = services.c
    here, there, stopped, alive = (
        services.alias(each) for each in ("here", "there", "stopped", "alive")
    )
    host_in_use = or_(
        _exists(services, alive, alive.c.host == own.host, _last_sign(alive) >= cutoff),
        _exists(
            services,
            service_holds,
            service_holds.c.host == own.host,
            service_holds.c.ended_at.is_(None),
        ),
    )
    stopped_later = _exists(
        services, stopped, stopped.c.service == own.service, stopped.c.stopped_at > own.stopped_at
    )
    leases = exists(
        select(archive_jobs.c.id)
        .where(archive_jobs.c.lease_owner == own.holder)
        .correlate(services)
    )
    return and_(
        _last_sign(services) < cutoff,
        _replaced(there),
        or_(_replaced(here, here.c.host == own.host), not_(host_in_use)),
        or_(own.stopped_at.is_(None), stopped_later),
        ~leases,
    )


def holds_unread(_: Connection, cutoff: datetime) -> ColumnElement[bool]:
    """It ended, and it is not the last of its kind: when that ended is asked for."""
    own, later = service_holds.c, service_holds.alias("later")
    newer = _exists(
        service_holds,
        later,
        later.c.service == own.service,
        later.c.host == own.host,
        later.c.kind == own.kind,
        or_(
            later.c.ended_at > own.ended_at,
            and_(later.c.ended_at == own.ended_at, later.c.id > own.id),
        ),
    )
    return and_(own.ended_at < cutoff, newer)


def _last_sign(table: FromClause) -> ColumnElement[datetime]:
    return func.coalesce(table.c.stopped_at, table.c.beat_at)


def _replaced(later: FromClause, *also: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether there is a later process that stands for this one."""
    newer = (later.c.service == services.c.service, later.c.id > services.c.id, *also)
    single = exists(
        select(events.c.id)
        .where(
            events.c.subject == Service.WORKER,
            events.c.subject_id == func.substr(later.c.holder, 1, HOLDER_CHARACTERS),
            events.c.what == RUNS_ONE,
            events.c.at >= later.c.started_at,
        )
        .correlate(later)
    )
    return or_(
        and_(runs_one(), _exists(services, later, *newer)),
        _exists(services, later, *newer, ~single),
    )


def _exists(
    table: FromClause, other: FromClause, *conditions: ColumnElement[bool]
) -> ColumnElement[bool]:
    return exists(select(other.c.id).where(*conditions).correlate(table))
