"""An archive of pages captured at moments of the test's choice, some with the pictures of them.

It is indexed by the real pipeline from WARC files made by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from healtharchive.model import schema
from healtharchive.model.captures import mark_unindexed
from healtharchive.model.database import Database
from healtharchive.model.operator import reindex_job
from healtharchive.model.orders import IndexOrder
from healtharchive.model.tables import captures
from healtharchive.search.index import SearchIndex
from healtharchive.search.pipeline import Tools, index_job
from healtharchive.settings import Settings, load
from tests.lab import warcs
from tests.lab.captured import (
    Page,
    add_segment,
    claim_index,
    completed_job,
    finish_index,
    page_record,
)
from tests.lab.queue import ACTOR

CAMPAIGN = "annual-2026"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page that a browser had rendered, and its pictures; b"" is none."""

    page: Page
    thumbnail: bytes = b""
    screenshot: bytes = b""


@dataclass(frozen=True, slots=True)
class DatedArchive:
    """The archive. `warc` is the only file of its only job."""

    settings: Settings
    database: Database
    warc: Path
    order: IndexOrder

    def index(self) -> None:
        """Index the job, which waits for it."""
        held, order = claim_index(self.database, self.order)
        index = SearchIndex(self.settings.search_dir)
        index_job(order, Tools(self.database, index, ACTOR, lambda _: None, lambda: None))
        finish_index(self.database, held)

    def index_again(self) -> None:
        """Index the whole job once more, as `healtharchive reindex-job` has it done."""
        with self.database.begin() as connection:
            mark_unindexed(connection, self.order.job_id)
            reindex_job(self.database, connection, self.order.job_id, actor=ACTOR)
        self.index()

    def ids(self, url: str) -> list[int]:
        """The captures of a URL, oldest first."""
        query = (
            select(captures.c.id)
            .where(captures.c.url == url)
            .order_by(captures.c.captured_at, captures.c.id)
        )
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())


@contextmanager
def dated_archive(
    directory: Path, pages: Sequence[Page | Rendered], database_url: str = ""
) -> Iterator[DatedArchive]:
    """An archive of these pages in one indexed job; on SQLite unless an address is given."""
    url = database_url or f"sqlite:///{directory / 'healtharchive.sqlite'}"
    environment = {
        "HEALTHARCHIVE_DATA_DIR": str(directory),
        "HEALTHARCHIVE_DATABASE_URL": url,
    }
    settings = load(environment, env_file=directory / "no.env")
    database = Database(url, "the test")
    try:
        schema.upgrade(database)
        order = completed_job(database, directory / "jobs", "lab", CAMPAIGN)
        warc = add_segment(order, [record for each in pages for record in _records(each)])
        archive = DatedArchive(settings, database, warc, order)
        archive.index()
        yield archive
    finally:
        database.dispose()


def _records(each: Page | Rendered) -> list[bytes]:
    if isinstance(each, Page):
        return [page_record(each)]
    page = each.page
    response_id = warcs.record_id(f"{page.url} {page.moment}")
    pictures = (("urn:thumbnail:", each.thumbnail), ("urn:view:", each.screenshot))
    records = []
    for prefix, picture in pictures:
        if picture:
            uri = f"{prefix}{page.url}"
            fields = warcs.common(f"{uri} {page.moment}", uri, picture, "image/jpeg")
            tie = (("WARC-Concurrent-To", response_id),)
            records.append(warcs.record("resource", picture, fields + tie))
    return [*records, page_record(page)]
