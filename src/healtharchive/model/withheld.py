"""What is not shown, as those who read and index ask for it: which captures, and whether one is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, exists, func, select

from healtharchive.model.errors import HealthArchiveError
from healtharchive.model.tables import SHOWN, captures, segments

ROWS_A_QUESTION = 500  # SQLite takes 999 parameters a statement in its oldest builds
LISTED = "`healtharchive suppressions` shows those there are."


class Suppressed(HealthArchiveError):
    """A capture that is asked for is there, but it is not shown (RFC 7725)."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Found:
    """A capture that a rule meets. `key` is its page's in the search index."""

    id: int
    job_id: int
    segment_id: int
    key: str
    payload_digest: str | None


def hidden_by(connection: Connection, number: int) -> list[Found]:
    """The captures that a suppression hides."""
    query = (
        select(
            captures.c.id,
            captures.c.job_id,
            captures.c.segment_id,
            segments.c.name,
            captures.c.record_offset,
            captures.c.payload_digest,
        )
        .join(segments, segments.c.id == captures.c.segment_id)
        .where(captures.c.suppressed_by == number)
        .order_by(captures.c.id)
    )
    return [
        Found(row.id, row.job_id, row.segment_id, f"{row.name}:{row.record_offset}", row[5])
        for row in connection.execute(query)
    ]


def suppressed_among(connection: Connection, capture_ids: Collection[int]) -> frozenset[int]:
    """Which of these captures are not shown."""
    return frozenset(capture_ids) - shown_among(connection, capture_ids)


def require_shown(connection: Connection, url_key: str, second: datetime | None = None) -> None:
    """Suppressed when captures of a page, or those of one second, are there but not shown."""
    hidden = [captures.c.url_key == url_key, ~SHOWN]
    if second is not None:
        begin = second.replace(microsecond=0)
        at = captures.c.captured_at
        hidden += [at >= begin, at < begin + timedelta(seconds=1)]
    if connection.execute(select(exists().where(*hidden))).scalar():
        raise Suppressed("The archive has this page but does not show it.", LISTED)


def same_bodies(connection: Connection, found: Iterable[Found]) -> int:
    """How many captures that are shown have the body of one of these: not all expect that."""
    digests = sorted({each.payload_digest for each in found if each.payload_digest})
    total = 0
    for some in portions(digests):
        query = select(func.count()).where(captures.c.payload_digest.in_(some), SHOWN)
        total += int(connection.execute(query).scalar_one())
    return total


def shown_among(connection: Connection, capture_ids: Collection[int]) -> frozenset[int]:
    """Which of these captures are shown."""
    found: set[int] = set()
    for some in portions(list(capture_ids)):
        query = select(captures.c.id).where(captures.c.id.in_(some), SHOWN)
        found.update(connection.execute(query).scalars())
    return frozenset(found)


def portions(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The values in parts that one statement takes."""
    for at in range(0, len(values), ROWS_A_QUESTION):
        yield values[at : at + ROWS_A_QUESTION]
