"""What grows without end: the rows that are old, and that no question of the house asks for.

Each kind has a condition `unread`. It keeps, beside all that is young, whatever any reader may
still look for however old it is; the readers are named where the condition is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, select

from healtharchive.model.actions import note_retired_actions
from healtharchive.model.database import Database
from healtharchive.model.retention_events import events_unread
from healtharchive.model.retention_operation import (
    actions_unread,
    alerts_unread,
    holds_unread,
    services_unread,
)
from healtharchive.model.tables import actions, events
from healtharchive.model.tables_operation import alerts, reconcilers, service_holds, services
from healtharchive.model.told import last_of_each

SUBJECT, RETIRE = "retention", "retire"
MOST_IDS = 500  # in one statement
PIECE_ROWS = 1000


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of the calendar, in UTC."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime) -> Month:
        """The month a moment is in."""
        here = moment.astimezone(UTC)
        return cls(here.year, here.month)

    @classmethod
    def named(cls, text: str) -> Month:
        """The month that is written so: 2024-03."""
        year, _, number = text.partition("-")
        return cls(int(year), int(number))

    @property
    def begin(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The beginning of the next one."""
        return datetime(self.year + self.number // 12, self.number % 12 + 1, 1, tzinfo=UTC)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows that are retired: `at` is the moment they are filed under."""

    table: Table
    at: ColumnElement[datetime]
    unread: Callable[[Connection, datetime], ColumnElement[bool]]


# In this order: an event stays while an action or a process names it.
KINDS: Mapping[str, Kind] = {
    "actions": Kind(actions, actions.c.at, actions_unread),
    "alerts": Kind(alerts, alerts.c.over_at, alerts_unread),
    "services": Kind(
        services, func.coalesce(services.c.stopped_at, services.c.beat_at), services_unread
    ),
    "service_holds": Kind(service_holds, service_holds.c.ended_at, holds_unread),
    "events": Kind(events, events.c.at, events_unread),
}


def months_due(
    connection: Connection, kind: str, cutoff: datetime, limit: int
) -> list[tuple[Month, int]]:
    """The oldest months before the cutoff with rows to be retired, and how many those are."""
    found: list[tuple[Month, int]] = []
    at, unread = KINDS[kind].at, KINDS[kind].unread(connection, cutoff)
    query = select(func.min(at)).where(unread)
    first: datetime | None = connection.execute(query).scalar_one()
    while first is not None and len(found) < limit:
        month = Month.of(first)
        count = select(func.count()).where(unread, _within(at, month))
        found.append((month, int(connection.execute(count).scalar_one())))
        first = connection.execute(query.where(at >= month.end)).scalar_one()
    return found


def rows_due(
    connection: Connection, kind: str, cutoff: datetime, month: Month, limit: int
) -> Iterator[dict[str, Any]]:
    """The rows of a month that are to be retired, at most so many, in the order of their ids."""
    table, at = KINDS[kind].table, KINDS[kind].at
    query = select(table).where(KINDS[kind].unread(connection, cutoff), _within(at, month))
    rows = connection.execution_options(yield_per=PIECE_ROWS).execute(
        query.order_by(table.c.id).limit(limit)
    )
    return (dict(row._mapping) for row in rows)


def retire(connection: Connection, kind: str, cutoff: datetime, ids: Sequence[int]) -> int:
    """Delete these, at most `MOST_IDS`; how many. What somebody asks for since then stays.

    Actions that are counted from the beginning stay counted.
    """
    assert len(ids) <= MOST_IDS
    table, unread = KINDS[kind].table, KINDS[kind].unread(connection, cutoff)
    still = select(table.c.id).where(table.c.id.in_(ids), unread)
    gone = list(connection.execute(still.with_for_update()).scalars())
    if kind == "actions":
        note_retired_actions(connection, gone)
    connection.execute(delete(table).where(table.c.id.in_(gone)))
    return len(gone)


def take_turn(database: Database, connection: Connection) -> bool:
    """Whether no steward of another machine retires now; none does until the transaction ends.

    On SQLite there is no other machine.
    """
    with database.begin() as first:
        now = database.now(first)
        row = database.insert_ignore(reconcilers)
        first.execute(row.values(name=SUBJECT, began_at=now, ended_at=now))
    mine = select(reconcilers.c.name).where(reconcilers.c.name == SUBJECT)
    return connection.execute(database.skip_locked(mine)).one_or_none() is not None


def retired_files(connection: Connection, since: datetime) -> list[str]:
    """The files with the events that were retired of the months from then on, the oldest first."""
    told = last_of_each(connection, SUBJECT, (RETIRE,))
    months = {each.removeprefix("events-"): each for each in told if each.startswith("events-")}
    wanted = sorted(month for month in months if month >= str(Month.of(since)))
    return [str(told[months[month]].evidence["file"]) for month in wanted]


def _within(at: ColumnElement[datetime], month: Month) -> ColumnElement[bool]:
    return and_(at >= month.begin, at < month.end)
