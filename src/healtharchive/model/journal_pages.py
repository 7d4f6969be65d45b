"""The journal page by page: what matches, newest first, from any event on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from healtharchive.model.journal import Event, event_of
from healtharchive.model.tables import events


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events are asked for; what is empty does not matter. `actor` is a unit."""

    subject: str = ""
    subject_id: str = ""
    what: str = ""
    actor: str = ""
    since: datetime | None = None
    until: datetime | None = None


def newest(
    connection: Connection, wanted: Wanted, *, limit: int, before_id: int | None = None
) -> list[Event]:
    """The newest events that match, newest first; only older ones than `before_id`.

    A page that begins below an event stays the same whatever is written meanwhile.
    """
    query = _matching(wanted).order_by(events.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(events.c.id < before_id)
    return [event_of(row) for row in connection.execute(query)]


def following(connection: Connection, wanted: Wanted, *, limit: int, after_id: int) -> list[Event]:
    """The first events that match after one, oldest first."""
    query = _matching(wanted).where(events.c.id > after_id)
    return [event_of(row) for row in connection.execute(query.order_by(events.c.id).limit(limit))]


def get_event(connection: Connection, event_id: int) -> Event | None:
    """One event."""
    row = connection.execute(select(events).where(events.c.id == event_id)).one_or_none()
    return None if row is None else event_of(row)


def _matching(wanted: Wanted) -> Select[Any]:
    columns = events.c
    equal = {
        columns.subject: wanted.subject,
        columns.subject_id: wanted.subject_id,
        columns.what: wanted.what,
        columns.unit: wanted.actor,
    }
    conditions: list[ColumnElement[bool]] = [
        column == value for column, value in equal.items() if value
    ]
    if wanted.since is not None:
        conditions.append(columns.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(columns.at <= wanted.until)
    return select(events).where(*conditions)
