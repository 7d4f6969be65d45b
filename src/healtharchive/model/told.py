"""What the journal last said of things: for whoever tells only what has changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from healtharchive.model.tables import events

HELD = "held"  # of a target: nothing automatic mends it, and why not
LOST = "lost"  # of a segment: no good copy of it is left anywhere


@dataclass(frozen=True, slots=True)
class Told:
    """What an event said: of what, when, why and on what evidence."""

    subject_id: str
    what: str
    at: datetime
    why: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


def last_of_each(connection: Connection, subject: str, whats: Sequence[str]) -> dict[str, Told]:
    """The newest event of these kinds about each thing of a subject, by the thing."""
    newest = (
        select(func.max(events.c.id))
        .where(events.c.subject == subject, events.c.what.in_(whats))
        .group_by(events.c.subject_id)
    )
    rows = connection.execute(select(events).where(events.c.id.in_(newest)))
    return {row.subject_id: _told(row) for row in rows}


def last_told(
    connection: Connection, subject: str, whats: Sequence[str], subject_id: str | None = None
) -> Told | None:
    """The newest event of these kinds about a subject, or about one thing of it."""
    found = newest_told(connection, subject, whats, subject_id, limit=1)
    return found[0] if found else None


def newest_told(
    connection: Connection,
    subject: str,
    whats: Sequence[str],
    subject_id: str | None = None,
    *,
    limit: int,
) -> list[Told]:
    """The newest events of these kinds, the newest first."""
    query = select(events).where(events.c.subject == subject, events.c.what.in_(whats))
    if subject_id is not None:
        query = query.where(events.c.subject_id == subject_id)
    rows = connection.execute(query.order_by(events.c.id.desc()).limit(limit))
    return [_told(row) for row in rows]


def journal_began(connection: Connection) -> datetime | None:
    """When the first event was written."""
    found: datetime | None = connection.execute(select(func.min(events.c.at))).scalar_one()
    return found


def _told(row: Row[Any]) -> Told:
    return Told(row.subject_id, row.what, row.at, row.why, row.evidence or {})
