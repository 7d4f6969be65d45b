"""The journal: one event for every state change and every automatic action."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from healtharchive.model.tables import events

LONGEST_CHAIN = 50  # of causes; each is older than what it caused, so this only bounds the asking


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: the systemd unit (or the command's name), the process and the machine."""

    unit: str
    pid: int
    host: str


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the journal."""

    id: int
    at: datetime
    actor: Actor
    subject: str
    subject_id: str
    what: str
    from_state: str | None
    to_state: str | None
    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    caused_by: int | None = None


@lru_cache(maxsize=1)
def this_process() -> Actor:
    """This process as an actor; its unit is read from its control group where there is one."""
    return Actor(unit=unit_of(os.getpid()) or "shell", pid=os.getpid(), host=socket.gethostname())


def unit_of(pid: int) -> str | None:
    """The systemd unit a process belongs to, or None (no systemd, or it has ended)."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for part in reversed(lines.replace("\n", "/").split("/")):
        if part.endswith((".service", ".scope")):
            return part
    return None


def legible(text: str) -> str:
    """A text as both databases take it: it may quote what a site sent."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def record(
    connection: Connection,
    *,
    at: datetime,
    actor: Actor,
    subject: str,
    subject_id: int | str,
    what: str,
    from_state: str | None = None,
    to_state: str | None = None,
    why: str = "",
    evidence: Mapping[str, Any] | None = None,
    caused_by: int | None = None,
) -> int:
    """Write one event in the caller's transaction and return its id."""
    result = connection.execute(
        insert(events).values(
            at=at,
            host=actor.host,
            unit=actor.unit,
            pid=actor.pid,
            subject=subject,
            subject_id=str(subject_id),
            what=what,
            from_state=from_state,
            to_state=to_state,
            why=why,
            evidence=dict(evidence or {}),
            caused_by=caused_by,
        )
    )
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def read(
    connection: Connection,
    *,
    subject: str | None = None,
    subject_id: int | str | None = None,
    since: datetime | None = None,
    after_id: int = 0,
    limit: int = 1000,
) -> list[Event]:
    """The newest `limit` events that match, oldest first."""
    query = select(events).where(events.c.id > after_id)
    if subject is not None:
        query = query.where(events.c.subject == subject)
    if subject_id is not None:
        query = query.where(events.c.subject_id == str(subject_id))
    if since is not None:
        query = query.where(events.c.at >= since)
    rows = connection.execute(query.order_by(events.c.id.desc()).limit(limit)).all()
    return [event_of(row) for row in reversed(rows)]


def story(
    connection: Connection, subject: str, subject_id: int | str, *, limit: int = 1000
) -> list[Event]:
    """The newest `limit` events of one thing and whatever caused them, oldest first."""
    told = {e.id: e for e in read(connection, subject=subject, subject_id=subject_id, limit=limit)}
    for _ in range(LONGEST_CHAIN):
        missing = {e.caused_by for e in told.values() if e.caused_by is not None} - set(told)
        if not missing:
            break
        rows = connection.execute(select(events).where(events.c.id.in_(sorted(missing)))).all()
        told |= {row.id: event_of(row) for row in rows}
    return [told[key] for key in sorted(told)]


def event_of(row: Row[Any]) -> Event:
    """The event in a row of the table."""
    return Event(
        id=row.id,
        at=row.at,
        actor=Actor(row.unit, row.pid, row.host),
        subject=row.subject,
        subject_id=row.subject_id,
        what=row.what,
        from_state=row.from_state,
        to_state=row.to_state,
        why=row.why,
        evidence=row.evidence or {},
        caused_by=row.caused_by,
    )
