"""What goes into the search index: snapshots as it takes them, and only those that are shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from healtharchive.model.captures import Capture, Stored
from healtharchive.model.database import Database
from healtharchive.model.jobs import Job
from healtharchive.model.withheld import hidden_by, suppressed_among
from healtharchive.search.extract import PageText
from healtharchive.search.index import IndexedPage, SearchIndex
from healtharchive.search.query import microseconds
from healtharchive.search.writing import Turn


def indexed_page(
    job: Job, segment: str, stored: Stored, capture: Capture, page: PageText
) -> IndexedPage:
    """A snapshot as the index takes it."""
    moment: datetime = capture.captured_at
    return IndexedPage(
        key=f"{segment}:{capture.record_offset}",
        page=f"{job.source} {capture.url_key}",
        edition=f"{job.source} {job.campaign or ''} {capture.url_key}",
        url=capture.url,
        source=job.source,
        campaign=job.campaign or "",
        language=page.language,
        kind=page.kind,
        mime=capture.mime or "",
        status=capture.status_code or 0,
        digest=capture.payload_digest or "",
        captured=microseconds(moment),
        capture_id=stored.captures[capture.record_offset],
        snapshot_id=stored.snapshots[capture.record_offset],
        title=page.title,
        text=page.text,
        headings=page.headings,
    )


def put_shown(
    database: Database, index: SearchIndex, pages: Sequence[IndexedPage], turn: Turn | None = None
) -> None:
    """Put the pages that are shown. One that is suppressed meanwhile is taken out again.

    Whoever suppresses a capture writes it down first and then removes its page: either finds it.
    """
    hidden = _hidden(database, pages)
    index.put((each for each in pages if each.key not in hidden), turn)
    index.remove(_hidden(database, pages) - hidden, turn)


def remove_suppressed(database: Database, index: SearchIndex, suppression: int) -> None:
    """Take the pages of a suppression out of the index; doing it again changes nothing."""
    with database.read() as connection:
        found = hidden_by(connection, suppression)
    index.remove(each.key for each in found)


def _hidden(database: Database, pages: Sequence[IndexedPage]) -> frozenset[str]:
    with database.read() as connection:
        numbers = suppressed_among(connection, [each.capture_id for each in pages])
    return frozenset(each.key for each in pages if each.capture_id in numbers)
