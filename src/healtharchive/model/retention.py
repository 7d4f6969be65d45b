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

from healtharchive.model.actions import APPLIED, note_action, note_retired_actions
from healtharchive.model.database import Database
from healtharchive.model.journal import Actor, record
from healtharchive.model.retention_events import events_unread
from healtharchive.model.retention_operation import (
    actions_unread,
    alerts_unread,
    holds_unread,
    services_unread,
)
from healtharchive.model.tables import actions, events
from healtharchive.model.tables_operation import alerts, service_holds, services

SUBJECT, RETIRE = "retention", "retire"
TURN = 0x526574697265  # any number, as long as nobody else's advisory lock has it
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


def note_retired(
    database: Database,
    connection: Connection,
    kind: str,
    month: Month,
    rows: int,
    file: str,
    *,
    actor: Actor,
) -> None:
    """Write where the rows are that this transaction, and those after it, delete."""
    now, name = database.now(connection), f"{kind}-{month}"
    why = f"{rows} rows were moved to {file}"
    about: Mapping[str, Any] = {"at": now, "subject": SUBJECT, "subject_id": name, "what": RETIRE}
    evidence = {"rows": rows, "file": file}
    event_id = record(connection, **about, actor=actor, why=why, evidence=evidence)
    note_action(connection, **about, outcome=APPLIED, why=why, event_id=event_id)


def take_turn(database: Database, connection: Connection) -> bool:
    """Whether no steward of another machine retires now; none does until the transaction ends."""
    return database.try_lock(connection, TURN)


@dataclass(frozen=True, slots=True, order=True)
class RetiredFile:
    """A file with events of a month, on the machine whose steward made it."""

    month: str
    host: str
    path: str


def retired_files(
    connection: Connection, since: datetime, until: datetime | None = None
) -> list[RetiredFile]:
    """The files with the events that were retired of the months of a span, the oldest first."""
    query = select(events).where(
        events.c.subject == SUBJECT,
        events.c.what == RETIRE,
        events.c.subject_id.startswith("events-", autoescape=True),
    )
    first, last = str(Month.of(since)), str(Month.of(until)) if until is not None else "~"
    found = {
        RetiredFile(row.subject_id.removeprefix("events-"), row.host, str(row.evidence["file"]))
        for row in connection.execute(query)
    }
    return sorted(each for each in found if first <= each.month <= last)


def _within(at: ColumnElement[datetime], month: Month) -> ColumnElement[bool]:
    return and_(at >= month.begin, at < month.end)
