"""What is wrong, one row an incident: since when, whether people were told, when it was over.

A row is `pending` until it has lasted long enough, then `firing`, then `over`. While another alert
explains it, a pending row stays pending and `inhibited_by` names that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from healtharchive.model.tables import actions
from healtharchive.model.tables_operation import alerts, reconcilers

LONGEST_ID = 128


class AlertState(StrEnum):
    """Where an alert stands."""

    PENDING = "pending"
    FIRING = "firing"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One incident. `sent_at` is when people were last told that it goes on."""

    id: int
    name: str
    severity: str
    subject: str
    subject_id: str
    state: AlertState
    summary: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    since: datetime
    seen_at: datetime
    fired_at: datetime | None = None
    over_at: datetime | None = None
    inhibited_by: str | None = None
    sent_at: datetime | None = None
    over_sent_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from other alerts that are not over."""
        return self.name, self.subject, self.subject_id

    @property
    def event_id(self) -> str:
        """Its subject_id in the journal."""
        return ":".join(self.key)[:LONGEST_ID]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look says about an incident."""

    severity: str
    summary: str
    evidence: Mapping[str, Any]
    inhibited_by: str | None


@dataclass(frozen=True, slots=True)
class Done:
    """Something that automation did, whether it helped or not, or refused to do."""

    at: datetime
    what: str
    outcome: str
    why: str


def take_turn(connection: Connection) -> None:
    """Wait until no other transaction keeps the alerts' rows, on PostgreSQL; SQLite has one."""
    row = select(reconcilers.c.name).where(reconcilers.c.name == "alerts")
    connection.execute(row.with_for_update()).all()


def open_alerts(connection: Connection) -> list[Alert]:
    """Every alert that is pending or firing, the oldest first."""
    return _ask(connection, alerts.c.state != AlertState.OVER)


def alerts_to_tell(connection: Connection) -> list[Alert]:
    """Every alert that is not over, and those whose end was not told yet."""
    ended = and_(
        alerts.c.state == AlertState.OVER,
        alerts.c.sent_at.is_not(None),
        alerts.c.over_sent_at.is_(None),
    )
    return _ask(connection, or_(alerts.c.state != AlertState.OVER, ended))


def ended_alerts(connection: Connection, since: datetime) -> list[Alert]:
    """Every alert that fired and is over since then, the oldest first."""
    fired = (alerts.c.state == AlertState.OVER, alerts.c.fired_at.is_not(None))
    return _ask(connection, and_(*fired, alerts.c.over_at >= since))


def newest_alerts(connection: Connection, limit: int = 100) -> list[Alert]:
    """Alerts in any state, the newest first."""
    query = select(alerts).order_by(alerts.c.id.desc()).limit(limit)
    return [_alert(row) for row in connection.execute(query)]


def begin_alert(
    connection: Connection,
    key: tuple[str, str, str],
    sighting: Sighting,
    *,
    since: datetime,
    now: datetime,
) -> None:
    """A new row, pending. `key` is its name, subject and subject_id."""
    name, subject, subject_id = key
    values = {"name": name, "subject": subject, "subject_id": subject_id}
    moments = {"state": AlertState.PENDING, "since": since, "seen_at": now}
    connection.execute(insert(alerts).values({**values, **moments, **_columns(sighting)}))


def see_alert(connection: Connection, alert_id: int, sighting: Sighting, now: datetime) -> None:
    """It was found again."""
    seen = {"seen_at": now, **_columns(sighting)}
    connection.execute(update(alerts).where(*_open(alert_id)).values(seen))


def drop_alert(connection: Connection, alert_id: int) -> None:
    """It was gone before anybody had to know of it."""
    pending = (alerts.c.id == alert_id, alerts.c.state == AlertState.PENDING)
    connection.execute(delete(alerts).where(*pending))


def fire_alert(connection: Connection, alert_id: int, now: datetime) -> bool:
    """It has lasted long enough; False when it is not pending any more.

    If people still think that the last one of its key goes on, it does: they are told no second.
    """
    pending = (alerts.c.id == alert_id, alerts.c.state == AlertState.PENDING)
    row = connection.execute(select(alerts).where(*pending)).one_or_none()
    if row is None:
        return False
    if _resume(connection, _alert(row)):
        drop_alert(connection, alert_id)
        return True
    fired = update(alerts).where(*pending).values(state=AlertState.FIRING, fired_at=now)
    return connection.execute(fired).rowcount == 1


def end_alert(connection: Connection, alert_id: int, now: datetime) -> bool:
    """It is over; False when it was so already."""
    ended = update(alerts).where(*_open(alert_id)).values(state=AlertState.OVER, over_at=now)
    return connection.execute(ended).rowcount == 1


def note_told(connection: Connection, alert_ids: Sequence[int], now: datetime) -> None:
    """People know of these."""
    connection.execute(update(alerts).where(alerts.c.id.in_(alert_ids)).values(sent_at=now))


def note_end_told(connection: Connection, alert_ids: Sequence[int], now: datetime) -> None:
    """People know that these are over. What goes on again by now is to be told anew."""
    told = alerts.c.id.in_(alert_ids)
    over = alerts.c.state == AlertState.OVER
    connection.execute(update(alerts).where(told, over).values(over_sent_at=now))
    connection.execute(update(alerts).where(told, ~over).values(sent_at=None))


def done_between(
    connection: Connection, alert: Alert, until: datetime, *, limit: int = 5
) -> list[Done]:
    """What automation did about an alert while it lasted, the last of it, oldest first."""
    query = (
        select(actions.c.at, actions.c.what, actions.c.outcome, actions.c.why)
        .where(_about(alert), actions.c.at >= alert.since, actions.c.at <= until)
        .order_by(actions.c.id.desc())
        .limit(limit)
    )
    return [Done(*row) for row in reversed(connection.execute(query).all())]


def _about(alert: Alert) -> ColumnElement[bool]:
    """Actions on the thing that the alert is about, whatever their subject is called."""
    if alert.subject == "database":  # the action's thing is a file, the alert's all of them
        return actions.c.subject == "database"
    itself = and_(actions.c.subject == alert.subject, actions.c.subject_id == alert.subject_id)
    if alert.subject == "service":  # an action on one of a machine's
        return or_(itself, actions.c.subject == alert.subject_id)
    return itself


def _ask(connection: Connection, condition: ColumnElement[bool]) -> list[Alert]:
    query = select(alerts).where(condition).order_by(alerts.c.id)
    return [_alert(row) for row in connection.execute(query)]


def _resume(connection: Connection, again: Alert) -> bool:
    """Whether an alert of the same key is over and nobody knows that; it fires again then."""
    name, subject, subject_id = again.key
    before = select(func.max(alerts.c.id)).where(
        alerts.c.name == name,
        alerts.c.subject == subject,
        alerts.c.subject_id == subject_id,
        alerts.c.state == AlertState.OVER,
        alerts.c.sent_at.is_not(None),
        alerts.c.over_sent_at.is_(None),
    )
    seen = Sighting(again.severity, again.summary, again.evidence, again.inhibited_by)
    moments = {"state": AlertState.FIRING, "seen_at": again.seen_at, "over_at": None}
    resumed = update(alerts).where(alerts.c.id == before.scalar_subquery())
    return connection.execute(resumed.values({**moments, **_columns(seen)})).rowcount == 1


def _open(alert_id: int) -> tuple[ColumnElement[bool], ...]:
    return alerts.c.id == alert_id, alerts.c.state != AlertState.OVER


def _columns(sighting: Sighting) -> dict[str, Any]:
    return {
        "severity": sighting.severity,
        "summary": sighting.summary,
        "evidence": dict(sighting.evidence),
        "inhibited_by": sighting.inhibited_by,
    }


def _alert(row: Row[Any]) -> Alert:
    known = dict(row._mapping)
    return Alert(**{**known, "state": AlertState(row.state), "evidence": row.evidence or {}})
