"""The long-lived processes, and why one of them is meant to be down.

A *hold* is either a `pause`, which an operator declared, or `owed`: automation stopped the service
and somebody must start it again, whether that automation lives or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Row, insert, or_, select, update

from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, record
from healtharchive.model.tables_operation import service_holds, services


class Service(StrEnum):
    """A kind of long-lived process."""

    WORKER = "worker"
    STEWARD = "steward"
    SERVE = "serve"


class HoldKind(StrEnum):
    """Who wants a service to be down."""

    PAUSE = "pause"
    OWED = "owed"


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a service. `beat_at` is when it last said that it lives."""

    service: str
    holder: str
    host: str
    unit: str
    pid: int
    version: str
    started_at: datetime
    beat_at: datetime
    stopped_at: datetime | None
    stop_reason: str | None


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a service is down. `host` is empty when it is meant on every machine."""

    id: int
    service: str
    host: str
    kind: str
    who: str
    why: str
    at: datetime
    until: datetime | None
    ended_at: datetime | None
    ended_why: str | None


# -- processes -----------------------------------------------------------------------------


def note_start(
    database: Database,
    connection: Connection,
    service: str,
    holder: str,
    version: str,
    *,
    actor: Actor,
) -> None:
    """A process of the service has begun."""
    now = database.now(connection)
    values = {
        "host": actor.host,
        "unit": actor.unit,
        "pid": actor.pid,
        "version": version,
        "started_at": now,
        "beat_at": now,
        "stopped_at": None,
        "stop_reason": None,
    }
    one = (services.c.service == service, services.c.holder == holder)
    if connection.execute(update(services).where(*one).values(values)).rowcount == 0:
        connection.execute(insert(services).values(service=service, holder=holder, **values))


def note_beat(database: Database, connection: Connection, service: str, holder: str) -> None:
    """The process lives."""
    now = database.now(connection)
    connection.execute(update(services).where(*_living(service, holder)).values(beat_at=now))


def note_stop(
    database: Database, connection: Connection, service: str, holder: str, reason: str
) -> None:
    """The process ends, or was found to have ended."""
    ended = {"stopped_at": database.now(connection), "stop_reason": reason}
    connection.execute(update(services).where(*_living(service, holder)).values(ended))


def processes(connection: Connection, service: Service | None = None) -> list[Process]:
    """Every process that has not said that it ended, the longest running first."""
    query = select(services).where(services.c.stopped_at.is_(None))
    if service is not None:
        query = query.where(services.c.service == service)
    return [_process(row) for row in connection.execute(query.order_by(services.c.id))]


def last_stopped(connection: Connection, service: Service) -> Process | None:
    """The process of the service that ended last."""
    query = (
        select(services)
        .where(services.c.service == service, services.c.stopped_at.is_not(None))
        .order_by(services.c.stopped_at.desc(), services.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _process(row)


# -- holds ---------------------------------------------------------------------------------


def hold(
    database: Database,
    connection: Connection,
    service: Service,
    kind: HoldKind,
    *,
    who: str,
    why: str,
    actor: Actor,
    host: str = "",
    until: datetime | None = None,
) -> int:
    """Write that the service is meant to be down, with its event; the hold's id."""
    now = database.now(connection)
    result = connection.execute(
        insert(service_holds).values(
            service=service, host=host, kind=kind, who=who, why=why, at=now, until=until
        )
    )
    key = result.inserted_primary_key
    assert key is not None
    record(
        connection,
        at=now,
        actor=actor,
        subject=service,
        subject_id=host or "all",
        what="paused" if kind is HoldKind.PAUSE else "restart_owed",
        why=why,
        evidence={"who": who, "until": until.isoformat() if until else None, "hold": int(key[0])},
    )
    return int(key[0])


def end_hold(
    database: Database, connection: Connection, hold_id: int, why: str, *, actor: Actor
) -> bool:
    """End a hold with its event; False when it had ended already."""
    now = database.now(connection)
    row = connection.execute(
        select(service_holds).where(service_holds.c.id == hold_id).with_for_update()
    ).one()
    ended = connection.execute(
        update(service_holds)
        .where(service_holds.c.id == hold_id, service_holds.c.ended_at.is_(None))
        .values(ended_at=now, ended_why=why)
    )
    if ended.rowcount == 0:
        return False
    record(
        connection,
        at=now,
        actor=actor,
        subject=row.service,
        subject_id=row.host or "all",
        what="resumed" if row.kind == HoldKind.PAUSE else "restart_repaid",
        why=why,
        evidence={"hold": hold_id},
    )
    return True


def open_holds(
    connection: Connection, service: Service | None = None, *, host: str | None = None
) -> list[Hold]:
    """Holds that nobody has ended, the oldest first; of one machine (and of all) with `host`."""
    query = select(service_holds).where(service_holds.c.ended_at.is_(None))
    if service is not None:
        query = query.where(service_holds.c.service == service)
    if host is not None:
        query = query.where(or_(service_holds.c.host == "", service_holds.c.host == host))
    return [_hold(row) for row in connection.execute(query.order_by(service_holds.c.id))]


def _living(service: str, holder: str) -> tuple[ColumnElement[bool], ...]:
    return (
        services.c.service == service,
        services.c.holder == holder,
        services.c.stopped_at.is_(None),
    )


def _process(row: Row[tuple[object, ...]]) -> Process:
    return Process(
        row.service,
        row.holder,
        row.host,
        row.unit,
        row.pid,
        row.version,
        row.started_at,
        row.beat_at,
        row.stopped_at,
        row.stop_reason,
    )


def _hold(row: Row[tuple[object, ...]]) -> Hold:
    return Hold(
        row.id,
        row.service,
        row.host,
        row.kind,
        row.who,
        row.why,
        row.at,
        row.until,
        row.ended_at,
        row.ended_why,
    )
