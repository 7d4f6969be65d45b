"""The newest round of each reconciler: when, how long, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from healtharchive.model.database import Database
from healtharchive.model.tables_operation import reconcilers


@dataclass(frozen=True, slots=True)
class Round:
    """`seconds` is how long the last whole round took; `failures` are those in a row."""

    name: str
    began_at: datetime
    ended_at: datetime | None
    seconds: float
    rounds: int
    failures: int
    last_error: str | None
    applied_at: datetime | None


def note_round(
    database: Database,
    connection: Connection,
    name: str,
    *,
    seconds: float,
    rounds: int = 1,
    applied: bool = False,
    error: str = "",
) -> None:
    """So many rounds have ended, the last one now, well or with an error."""
    now = database.now(connection)
    columns = reconcilers.c
    last = {
        "began_at": now - timedelta(seconds=seconds),
        "ended_at": now,
        "seconds": seconds,
        "last_error": error or None,
        **({"applied_at": now} if applied else {}),
    }
    counted = {
        "rounds": columns.rounds + rounds,
        "failures": columns.failures + 1 if error else 0,
    }
    known = update(reconcilers).where(columns.name == name)
    if connection.execute(known.values({**last, **counted})).rowcount == 0:
        first = {**last, "rounds": rounds, "failures": 1 if error else 0}
        connection.execute(insert(reconcilers).values(name=name, **first))


def list_rounds(connection: Connection) -> list[Round]:
    """Every reconciler that ever ran, by name."""
    query = select(reconcilers).order_by(reconcilers.c.name)
    return [Round(*row) for row in connection.execute(query)]
