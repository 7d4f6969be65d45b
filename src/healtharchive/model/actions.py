"""Automatic actions: what was done to what, when, and whether it helped."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, insert, select

from healtharchive.model.tables import actions

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
APPLIED = "applied"
FAILED = "failed"
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Action:
    """Something automation did, failed to do, or refused."""

    at: datetime
    subject: str
    subject_id: str
    what: str
    outcome: str
    why: str


COLUMNS = tuple(actions.c[each.name] for each in fields(Action))


def note_action(
    connection: Connection,
    *,
    at: datetime,
    subject: str,
    subject_id: str,
    what: str,
    outcome: str,
    why: str,
    seconds: float = 0.0,
    event_id: int | None = None,
) -> None:
    """Write one action. `outcome` is applied, failed or refused."""
    connection.execute(
        insert(actions).values(
            at=at,
            subject=subject,
            subject_id=subject_id,
            what=what,
            outcome=outcome,
            why=why,
            seconds=seconds,
            event_id=event_id,
        )
    )


def done_since(
    connection: Connection, subject: str, subject_id: str, what: str, since: datetime
) -> int:
    """How often this was really done since then, whether it helped or not."""
    query = (
        select(func.count())
        .select_from(actions)
        .where(
            actions.c.subject == subject,
            actions.c.subject_id == subject_id,
            actions.c.what == what,
            actions.c.at > since,
            actions.c.outcome != REFUSED,
        )
    )
    return int(connection.execute(query).scalar_one())


def last_refusal(connection: Connection, subject: str, subject_id: str, what: str) -> str:
    """Why the newest action of this kind was refused; empty when it was not."""
    query = (
        select(actions.c.outcome, actions.c.why)
        .where(
            actions.c.subject == subject,
            actions.c.subject_id == subject_id,
            actions.c.what == what,
        )
        .order_by(actions.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return row.why if row is not None and row.outcome == REFUSED else ""


def last_done(connection: Connection, subject: str, subject_id: str, what: str) -> datetime | None:
    """When this was last really done, whether it helped or not."""
    return _last(connection, subject, subject_id, what, actions.c.outcome != REFUSED)


def last_applied(
    connection: Connection, subject: str, subject_id: str, what: str
) -> datetime | None:
    """When this was last done and worked."""
    return _last(connection, subject, subject_id, what, actions.c.outcome == APPLIED)


def _last(
    connection: Connection, subject: str, subject_id: str, what: str, ended: ColumnElement[bool]
) -> datetime | None:
    query = select(func.max(actions.c.at)).where(
        actions.c.subject == subject,
        actions.c.subject_id == subject_id,
        actions.c.what == what,
        ended,
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found
