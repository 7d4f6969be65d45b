"""The newest round of each reconciler: when, how long, what went wrong, when the next is due."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from healtharchive.model.database import Database
from healtharchive.model.tables_operation import reconcilers


@dataclass(frozen=True, slots=True)
class Round:
    """`seconds` is how long the last whole round took; `failures` are those in a row.

    `every_seconds` is how long after it the next one begins; None where nobody has said.
    """

    name: str
    began_at: datetime
    ended_at: datetime | None
    seconds: float
    rounds: int
    failures: int
    last_error: str | None
    applied_at: datetime | None
    every_seconds: float | None = None


def note_round(
    database: Database,
    connection: Connection,
    name: str,
    *,
    seconds: float,
    every_seconds: float | None = None,
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
        "every_seconds": every_seconds,
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
    """Every reconciler that has made a round, by name."""
    query = select(reconcilers).order_by(reconcilers.c.name)
    return [Round(*row) for row in connection.execute(query)]


def forget_rounds(connection: Connection, but_of: Collection[str]) -> None:
    """Take away the rounds of reconcilers that another version had: nobody makes the next one."""
    connection.execute(delete(reconcilers).where(reconcilers.c.name.not_in(but_of)))
