"""A page's captures through time: how many in each year, and all of one year."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from healtharchive.model.database import Database
from healtharchive.model.tables import SHOWN, captures, snapshots


@dataclass(frozen=True, slots=True)
class Moment:
    """One capture of a page. `text_digest` is of what was read off it, where it was a page."""

    id: int
    captured_at: datetime
    status_code: int | None
    payload_digest: str | None
    text_digest: str | None


def captures_by_year(database: Database, connection: Connection, url_key: str) -> dict[int, int]:
    """How many captures of a page each year (UTC) has, oldest first; years without one are not."""
    year = database.utc_year(captures.c.captured_at)
    query = select(year, func.count()).where(captures.c.url_key == url_key, SHOWN)
    rows = connection.execute(query.group_by(year))
    return dict(sorted((int(row[0]), int(row[1])) for row in rows))


def captures_of_year(connection: Connection, url_key: str, year: int) -> list[Moment]:
    """All captures of a page in a year (UTC), oldest first."""
    at = captures.c.captured_at
    query = _moments(url_key).where(at >= _begin(year), at < _begin(year + 1))
    rows = connection.execute(query.order_by(at, captures.c.id))
    return [_moment(row) for row in rows]


def last_success_before(connection: Connection, url_key: str, year: int) -> Moment | None:
    """The last capture with a status of 200 to 299 before a year; None if there is none."""
    at = captures.c.captured_at
    query = (
        _moments(url_key)
        .where(at < _begin(year), captures.c.status_code.between(200, 299))
        .order_by(at.desc(), captures.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _moment(row)


def _begin(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def _moments(url_key: str) -> Select[Any]:
    return (
        select(
            captures.c.id,
            captures.c.captured_at,
            captures.c.status_code,
            captures.c.payload_digest,
            snapshots.c.text_digest,
        )
        .outerjoin(snapshots, snapshots.c.capture_id == captures.c.id)
        .where(captures.c.url_key == url_key, SHOWN)
    )


def _moment(row: Row[Any]) -> Moment:
    return Moment(row.id, row.captured_at, row.status_code, row.payload_digest, row.text_digest)
