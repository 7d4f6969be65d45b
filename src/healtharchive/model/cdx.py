"""The captures in the order of a CDX index: by URL key, moment and number, a portion at a time.

Whoever goes on from the last `Place` meets every capture once, whatever arrives meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal, select, tuple_

from healtharchive.model.tables import SHOWN, captures, segments


@dataclass(frozen=True, slots=True)
class Place:
    """Where a capture stands in the index."""

    url_key: str
    captured_at: datetime
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of the index: the key `first` alone, or every key from it to before `end`.

    `since` is the earliest moment, `before` the first one that is too late.
    """

    first: str
    end: str | None = None
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One capture, as an index has it. The record is `length` bytes of a file from `offset` on."""

    id: int
    url_key: str
    captured_at: datetime
    url: str
    mime: str | None
    status_code: int | None
    payload_digest: str | None
    record_type: str
    length: int
    offset: int
    filename: str

    @property
    def place(self) -> Place:
        """What to go on from after this line."""
        return Place(self.url_key, self.captured_at, self.id)


def lines(
    connection: Connection,
    span: Span,
    limit: int,
    *,
    after: Place | None = None,
    backwards: bool = False,
    skip: int = 0,
) -> list[Line]:
    """At most `limit` lines of the span that stand after a place, in the order asked for."""
    query = _lines().where(*_within(span, after, backwards))
    if after is not None:
        query = query.where(_beyond(span, after, backwards))
    order = (captures.c.url_key, captures.c.captured_at, captures.c.id)
    query = query.order_by(*(each.desc() if backwards else each for each in order))
    rows = connection.execute(query.limit(limit).offset(skip or None))
    return [Line(*row) for row in rows]


def count_lines(connection: Connection, span: Span) -> int:
    """How many captures the span has."""
    query = select(func.count()).select_from(captures).where(SHOWN, *_within(span))
    return int(connection.execute(query).scalar_one())


def line_at(connection: Connection, place: Place) -> Line | None:
    """The line at a place, if the capture is still there."""
    row = connection.execute(_lines().where(captures.c.id == place.id)).one_or_none()
    return None if row is None else Line(*row)


def _lines() -> Select[Any]:
    found = select(
        captures.c.id,
        captures.c.url_key,
        captures.c.captured_at,
        captures.c.url,
        captures.c.mime,
        captures.c.status_code,
        captures.c.payload_digest,
        captures.c.record_type,
        captures.c.record_length,
        captures.c.record_offset,
        segments.c.name,
    )
    return found.join(segments, segments.c.id == captures.c.segment_id).where(SHOWN)


def _within(
    span: Span, after: Place | None = None, backwards: bool = False
) -> list[ColumnElement[bool]]:
    """The conditions of a span; an index is entered where the place is, not at the span's end."""
    key = captures.c.url_key
    if span.end is None:
        found = [key == span.first]
    elif after is None or (backwards and after.url_key >= span.end):
        found = [key >= span.first, key < span.end]
    elif backwards:
        found = [key >= span.first, key <= after.url_key]
    else:
        found = [key >= max(span.first, after.url_key), key < span.end]
    if span.since is not None:
        found.append(captures.c.captured_at >= span.since)
    if span.before is not None:
        found.append(captures.c.captured_at < span.before)
    return found


def _beyond(span: Span, place: Place, backwards: bool) -> ColumnElement[bool]:
    """What comes after the place; of one key alone, the index is asked by the moment only."""
    moment = literal(place.captured_at, captures.c.captured_at.type)
    here: Any = tuple_(captures.c.captured_at, captures.c.id)
    there: Any = tuple_(moment, literal(place.id))
    if span.end is not None:
        here = tuple_(captures.c.url_key, captures.c.captured_at, captures.c.id)
        there = tuple_(literal(place.url_key), moment, literal(place.id))
    beyond: ColumnElement[bool] = here < there if backwards else here > there
    return beyond
