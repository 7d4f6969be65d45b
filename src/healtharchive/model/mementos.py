"""The captures of one page as Memento (RFC 7089) counts them: one a second, oldest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, select

from healtharchive.model.holdings import FIRST_ERROR_STATUS, FIRST_REDIRECT_STATUS
from healtharchive.model.tables import SHOWN, captures

SECOND = timedelta(seconds=1)
ROWS_A_QUESTION = 1000
PAGE, REDIRECT, ERROR = range(3)


@dataclass(frozen=True, slots=True)
class Memento:
    """What one second holds of a page. `at` is the whole second."""

    id: int
    url: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Around:
    """A page's mementos around one of them; None where there is none."""

    first: Memento
    prev: Memento | None
    next: Memento | None
    last: Memento


def memento_at(
    connection: Connection, url_key: str, second: datetime, url: str = ""
) -> Memento | None:
    """The memento of exactly this second: of several captures, a page before a redirect or error.

    With a URL, one that is spelled just so comes first, and a redirect of another spelling does
    not count: it leads to what was asked for.
    """
    begin = second.replace(microsecond=0)
    query = _captures(url_key).where(
        captures.c.captured_at >= begin, captures.c.captured_at < begin + SECOND
    )
    found = connection.execute(_ascending(query).limit(ROWS_A_QUESTION)).all()
    if url:
        found = [row for row in found if row.url == url or _rank(row) != REDIRECT]
    return _best(found, url) if found else None


def mementos_from(
    connection: Connection, url_key: str, since: datetime | None, limit: int
) -> list[Memento]:
    """The first `limit` mementos of a page that are not older than `since`."""
    found: list[Memento] = []
    for memento in _walk(connection, url_key, since):
        found.append(memento)
        if len(found) == limit:
            break
    return found


def around(connection: Connection, url_key: str, memento: Memento) -> Around:
    """The first, previous, next and last memento, seen from one of the page's."""
    page = _captures(url_key)
    earlier = page.where(captures.c.captured_at < memento.at)
    later = page.where(captures.c.captured_at >= memento.at + SECOND)
    return Around(
        _one(connection, url_key, _ascending(page)) or memento,
        _one(connection, url_key, _descending(earlier)),
        _one(connection, url_key, _ascending(later)),
        _one(connection, url_key, _descending(page)) or memento,
    )


def last_memento(connection: Connection, url_key: str) -> Memento | None:
    """The newest memento of a page."""
    return _one(connection, url_key, _descending(_captures(url_key)))


def _walk(connection: Connection, url_key: str, since: datetime | None) -> Iterator[Memento]:
    while True:
        query = _captures(url_key)
        if since is not None:
            query = query.where(captures.c.captured_at >= since)
        rows = connection.execute(_ascending(query).limit(ROWS_A_QUESTION)).all()
        groups = _by_second(rows)
        whole = groups if len(rows) < ROWS_A_QUESTION or len(groups) == 1 else groups[:-1]
        yield from (_best(rows, "") for rows in whole)
        if len(rows) < ROWS_A_QUESTION:
            return
        # A second that was cut is read again from its beginning.
        since = _second(whole[-1][0].captured_at) + SECOND


def _by_second(rows: Sequence[Any]) -> list[list[Any]]:
    groups: list[list[Any]] = []
    for row in rows:
        if groups and _second(groups[-1][0].captured_at) == _second(row.captured_at):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _one(connection: Connection, url_key: str, query: Select[Any]) -> Memento | None:
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else memento_at(connection, url_key, row.captured_at)


def _best(rows: Sequence[Any], url: str) -> Memento:
    row = min(rows, key=lambda each: (each.url != url, _rank(each)))
    return Memento(row.id, row.url, _second(row.captured_at))


def _rank(row: Any) -> int:
    status = row.status_code or 0
    if status >= FIRST_ERROR_STATUS:
        return ERROR
    return REDIRECT if status >= FIRST_REDIRECT_STATUS else PAGE


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _captures(url_key: str) -> Select[Any]:
    return select(
        captures.c.id, captures.c.url, captures.c.captured_at, captures.c.status_code
    ).where(captures.c.url_key == url_key, SHOWN)


def _ascending(query: Select[Any]) -> Select[Any]:
    return query.order_by(captures.c.captured_at, captures.c.id)


def _descending(query: Select[Any]) -> Select[Any]:
    return query.order_by(captures.c.captured_at.desc(), captures.c.id.desc())
