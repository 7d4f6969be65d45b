"""What readers reported: an error, a wish that something is not shown, or anything else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from healtharchive.model.database import Database
from healtharchive.model.errors import BadInput, NotFound
from healtharchive.model.journal import Actor, record
from healtharchive.model.tables import BIGGEST_ID, reader_reports

LISTED = "`healtharchive reports --all` shows all there are."


class ReportKind(StrEnum):
    """What a reader reports."""

    ERROR = "error"
    TAKEDOWN = "takedown"
    OTHER = "other"


class ReportState(StrEnum):
    """What became of a report."""

    OPEN = "open"
    ANSWERED = "answered"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a reader wrote. `url` is the capture's; without a capture it may be empty."""

    kind: ReportKind
    text: str
    contact: str = ""
    capture_id: int | None = None
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderReport:
    """One report. `answer`, `answered_at` and `who` are the operator's, once it is not open."""

    id: int
    at: datetime
    capture_id: int | None
    url: str
    kind: ReportKind
    text: str
    contact: str
    state: ReportState
    answered_at: datetime | None
    answer: str | None
    who: str | None


def add_report(database: Database, connection: Connection, written: Written, actor: Actor) -> int:
    """Keep what a reader wrote, with its event; the number it has from now on.

    The journal has neither the text nor the contact: it is read by more people and kept for longer.
    """
    now = database.now(connection)
    result = connection.execute(
        insert(reader_reports).values(
            at=now,
            capture_id=written.capture_id,
            url=written.url,
            kind=written.kind,
            text=written.text,
            contact=written.contact,
            state=ReportState.OPEN,
        )
    )
    assert result.inserted_primary_key is not None
    number = int(result.inserted_primary_key[0])
    record(
        connection,
        at=now,
        actor=actor,
        subject="report",
        subject_id=number,
        what="received",
        to_state=ReportState.OPEN,
        why=f"a reader wrote: {written.kind}",
        evidence={"capture": written.capture_id, "url": written.url},
    )
    return number


def settle(
    database: Database,
    connection: Connection,
    number: int,
    state: ReportState,
    *,
    note: str,
    who: str,
    actor: Actor,
) -> ReaderReport:
    """Say what became of a report, with its event. NotFound; BadInput when that was said before."""
    report = get_report(connection, number)
    now = database.now(connection)
    settled = connection.execute(
        update(reader_reports)
        .where(reader_reports.c.id == number, reader_reports.c.state == ReportState.OPEN)
        .values(state=state, answered_at=now, answer=note, who=who)
    )
    if not settled.rowcount:
        raise BadInput(
            f"Report {number} is {report.state} already.",
            f"`healtharchive why report {number}` tells how it came to that.",
        )
    record(
        connection,
        at=now,
        actor=actor,
        subject="report",
        subject_id=number,
        what=str(state),
        from_state=report.state,
        to_state=state,
        why=note,
        evidence={"who": who},
    )
    return get_report(connection, number)


def get_report(connection: Connection, number: int) -> ReaderReport:
    """One report; NotFound when there is none of this number."""
    query = select(reader_reports).where(reader_reports.c.id == min(number, BIGGEST_ID))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no report {number}.", LISTED)
    return _report(row)


def list_reports(
    connection: Connection, *, settled: bool = False, limit: int = 1000
) -> list[ReaderReport]:
    """The newest `limit` reports that are open, or with `settled` all, newest first."""
    query = select(reader_reports).order_by(reader_reports.c.id.desc()).limit(limit)
    if not settled:
        query = query.where(reader_reports.c.state == ReportState.OPEN)
    return [_report(row) for row in connection.execute(query)]


def _report(row: Row[Any]) -> ReaderReport:
    return ReaderReport(
        id=row.id,
        at=row.at,
        capture_id=row.capture_id,
        url=row.url,
        kind=ReportKind(row.kind),
        text=row.text,
        contact=row.contact,
        state=ReportState(row.state),
        answered_at=row.answered_at,
        answer=row.answer,
        who=row.who,
    )
