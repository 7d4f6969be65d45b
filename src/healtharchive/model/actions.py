"""Automatic actions: what was done to what, when, and whether it helped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, case, func, insert, select, update

from healtharchive.model.tables import actions
from healtharchive.model.tables_operation import retired_actions

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
APPLIED = "applied"
FAILED = "failed"
REFUSED = "refused"
RECOVER = "recover"

# How many there were by (subject, what, outcome, target); that target is empty of all but repairs.
Counted = Counter[tuple[str, str, str, str]]


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


def done_within(
    connection: Connection, subject: str, subject_id: str, what: str, span: timedelta, now: datetime
) -> int:
    """How often this was really done in the time before now, whether it helped or not.

    What a clock that ran ahead dated later than now says nothing.
    """
    query = (
        select(func.count())
        .select_from(actions)
        .where(
            actions.c.subject == subject,
            actions.c.subject_id == subject_id,
            actions.c.what == what,
            actions.c.at > now - span,
            actions.c.at <= now,
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


def last_done(
    connection: Connection, subject: str, subject_id: str, what: str, now: datetime
) -> datetime | None:
    """When this was last really done before now, whether it helped or not."""
    return _last(connection, subject, subject_id, what, actions.c.outcome != REFUSED, now)


def last_applied(
    connection: Connection, subject: str, subject_id: str, what: str, now: datetime
) -> datetime | None:
    """When this was last done before now and worked."""
    return _last(connection, subject, subject_id, what, actions.c.outcome == APPLIED, now)


def _last(
    connection: Connection,
    subject: str,
    subject_id: str,
    what: str,
    ended: ColumnElement[bool],
    now: datetime,
) -> datetime | None:
    query = select(func.max(actions.c.at)).where(
        actions.c.subject == subject,
        actions.c.subject_id == subject_id,
        actions.c.what == what,
        ended,
        actions.c.at <= now,
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def actions_ever(connection: Connection) -> Counted:
    """How many there ever were, those that were retired counted in."""
    return _counted(connection) + _retired(connection)


def note_retired_actions(connection: Connection, ids: Sequence[int]) -> None:
    """These are deleted in this transaction: they stay counted."""
    known = _retired(connection)
    for key, number in _counted(connection, actions.c.id.in_(ids)).items():
        columns = dict(zip(("subject", "what", "outcome", "target"), key, strict=True))
        same = [retired_actions.c[name] == value for name, value in columns.items()]
        if key in known:
            more = retired_actions.c.number + number
            connection.execute(update(retired_actions).where(*same).values(number=more))
        else:
            connection.execute(insert(retired_actions).values(**columns, number=number))


def _counted(connection: Connection, *conditions: ColumnElement[bool]) -> Counted:
    repairs = (actions.c.subject == "target") & (actions.c.what == RECOVER)
    repaired = case((repairs, actions.c.subject_id), else_="").label("target")
    kinds = (actions.c.subject, actions.c.what, actions.c.outcome, repaired)
    one = select(*kinds).where(*conditions).subquery().c
    query = select(one.subject, one.what, one.outcome, one.target, func.count()).group_by(
        one.subject, one.what, one.outcome, one.target
    )
    return Counter({tuple(key): int(number) for *key, number in connection.execute(query)})


def _retired(connection: Connection) -> Counted:
    rows = connection.execute(select(retired_actions))
    return Counter({tuple(key): int(number) for *key, number in rows})
