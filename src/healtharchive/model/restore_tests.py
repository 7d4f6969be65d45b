"""Which backups were restored as a test: only what was then the newest one says how things stand.

A person may try older files too. That one of them is good or bad is told to him alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from healtharchive.model.tables import events
from healtharchive.model.told import Told

SUBJECT, MADE = "database", "backup"
GOOD, BAD = "restore_test", "restore_test_failed"


@dataclass(frozen=True, slots=True)
class RestoreTests:
    """The last test of a backup that was then the newest, and the last that went well."""

    first_backup_at: datetime | None = None
    last: Told | None = None
    good: Told | None = None

    @property
    def failed(self) -> Told | None:
        """The last test, when it did not go well."""
        return self.last if self.last is not None and self.last.what == BAD else None

    @property
    def unproven_since(self) -> datetime | None:
        """Since when no test went well though there are backups; None without a backup."""
        return self.good.at if self.good is not None else self.first_backup_at


def restore_tests(connection: Connection) -> RestoreTests:
    """How the tests of the newest backups went."""
    first = select(func.min(events.c.at)).where(events.c.subject == SUBJECT, events.c.what == MADE)
    return RestoreTests(
        connection.execute(first).scalar_one(),
        _last(connection, (GOOD, BAD)),
        _last(connection, (GOOD,)),
    )


def _last(connection: Connection, whats: Sequence[str]) -> Told | None:
    made = events.alias("made")
    then_newest = (
        select(made.c.subject_id)
        .where(made.c.subject == SUBJECT, made.c.what == MADE, made.c.id < events.c.id)
        .order_by(made.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(events)
        .where(
            events.c.subject == SUBJECT,
            events.c.what.in_(whats),
            events.c.subject_id == then_newest,
        )
        .order_by(events.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Told(row.subject_id, row.what, row.at, row.why)
