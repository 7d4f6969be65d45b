"""Numbers over time, such as how full a disk is: what charts and projections are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from healtharchive.model.database import Database
from healtharchive.model.tables_operation import measures


@dataclass(frozen=True, slots=True)
class Measure:
    """A number at a moment."""

    at: datetime
    value: float


def note_measures(
    database: Database,
    connection: Connection,
    subject: str,
    values: Mapping[str, float],
    *,
    at: datetime,
) -> None:
    """Write numbers of one subject at one moment; what is written of that moment stays."""
    rows = [
        {"name": name, "subject": subject, "at": at, "value": value}
        for name, value in values.items()
    ]
    if rows:
        connection.execute(database.insert_ignore(measures), rows)


def measures_since(
    connection: Connection, name: str, subject: str, since: datetime
) -> list[Measure]:
    """The numbers of one name since then, the oldest first."""
    query = select(measures.c.at, measures.c.value).where(
        measures.c.name == name, measures.c.subject == subject, measures.c.at >= since
    )
    return [Measure(*row) for row in connection.execute(query.order_by(measures.c.at))]


def last_measured(connection: Connection, name: str, subject: str) -> datetime | None:
    """When a number was last written; None when it never was."""
    query = select(func.max(measures.c.at)).where(
        measures.c.name == name, measures.c.subject == subject
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def forget_measures(connection: Connection, subject: str, before: datetime) -> int:
    """Delete the numbers of a subject from before then; how many they were."""
    query = delete(measures).where(measures.c.subject == subject, measures.c.at < before)
    return int(connection.execute(query).rowcount)
