"""Which workers and stewards there are: they wrote their start to the journal, not their stop."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from healtharchive.model.tables import events

UNITS = (".service", ".scope")  # any other name in an event is only a word for a process


@dataclass(frozen=True, slots=True)
class Living:
    """One process. On another host it is taken at its word; a crash there shows by its leases.

    `unit` is the systemd unit that it runs in; empty outside one.
    """

    name: str
    host: str
    pid: int
    since: datetime
    unit: str = ""


def living_workers(connection: Connection) -> list[Living]:
    """The workers that run, the longest first."""
    return _living(connection, "worker")


def living_stewards(connection: Connection) -> list[Living]:
    """The stewards that run, the longest first."""
    return _living(connection, "steward")


def _living(connection: Connection, subject: str) -> list[Living]:
    last = (
        select(func.max(events.c.id).label("id"))
        .where(events.c.subject == subject, events.c.what.in_(("started", "stopped")))
        .group_by(events.c.subject_id)
        .subquery()
    )
    rows = connection.execute(
        select(events)
        .join(last, last.c.id == events.c.id)
        .where(events.c.what == "started")
        .order_by(events.c.id)
    )
    here = socket.gethostname()
    return [
        Living(row.subject_id, row.host, row.pid, row.at, _unit(row.unit))
        for row in rows
        if row.host != here or _exists(row.pid)
    ]


def _unit(name: str) -> str:
    return name if name.endswith(UNITS) else ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
