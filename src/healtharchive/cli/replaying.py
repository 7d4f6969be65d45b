"""`quality JOB --replay N`: a sample of a job's pages rendered from its WARC files alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from healtharchive.cli.session import Session
from healtharchive.model.layout import FRONTIER_NAME, WARCS_NAME

if TYPE_CHECKING:
    from healtharchive.crawl.browser.replayed import Replayed
    from healtharchive.model.database import Database
    from healtharchive.model.jobs import Job
    from healtharchive.model.replays import Replays
    from healtharchive.web.reading import Readers

PROFILES_NAME = "replays"  # in state_dir, while pages are replayed
READERS = 6
ORIGINALS_TRIED = 3
SHOWN_MISSING = 5  # of each page


def replay_and_keep(
    session: Session, job: Job, number: int
) -> tuple[list[Replayed], Replays | None]:
    """So many of a job's pages, replayed, and what they came to, which later verdicts go by.

    Nothing and None where the job has no frontier on this machine. Errors as `replay_job`.
    """
    from healtharchive.crawl.browser.replayed import ReplayThresholds, summary
    from healtharchive.crawl.survey import FrontierUnreadable
    from healtharchive.model.journal import this_process
    from healtharchive.model.replays import segments_digest, store_replays

    database = session.database
    with database.read() as connection:
        digest = segments_digest(connection, job.id)
    try:
        pages = replay_job(session, job, number)
    except FrontierUnreadable:
        return [], None  # which the verdict says
    found = summary(pages, ReplayThresholds())
    with database.begin() as connection:
        store_replays(database, connection, job.id, found, digest, actor=this_process())
    return pages, found


def replay_job(session: Session, job: Job, number: int) -> list[Replayed]:
    """So many of a job's rendered pages, replayed. SetupError when there is no browser here.

    The sample is the same each time: the job's number chooses it.
    """
    from healtharchive.crawl.survey import KeptFrontier
    from healtharchive.model.blame import EngineMissing
    from healtharchive.model.errors import SetupError
    from healtharchive.model.sources import get_source
    from healtharchive.web.reading import Readers
    from healtharchive.work.order import state_dir

    settings = session.settings
    with session.database.read() as connection:
        source = get_source(connection, job.source)
    try:
        # Late: the browser is an extra.
        from healtharchive.crawl.browser.chromium import Launch
        from healtharchive.crawl.browser.replay import replay_sample, sample_pages

        launch = Launch(
            parent=settings.state_dir / PROFILES_NAME,
            executable=settings.browser,
            user_agent=settings.user_agent,
            languages=source.languages,
            memory_bytes=settings.browser_memory_bytes,
        )
        path = Path(state_dir(settings, job)) / FRONTIER_NAME
        with closing(KeptFrontier(path)) as frontier, closing(Readers(limit=READERS)) as readers:
            records = _AtHand(session.database, job, readers)
            pages = sample_pages(frontier, number, job.id)
            return asyncio.run(replay_sample(frontier, records, pages, launch, source.browser))
    except EngineMissing as missing:
        raise SetupError(f"No page can be replayed: {missing}") from missing


@dataclass(frozen=True, slots=True)
class _AtHand:
    """The records that lie on this machine, read by children with a deadline. Nothing is fetched:
    a sample would take a record at a time from a remote target. May be asked in threads."""

    database: Database
    job: Job
    readers: Readers

    def at(self, segment: str, offset: int, length: int) -> bytes:
        """See `survey.Records`. BadInput when it is damaged."""
        from healtharchive.model.errors import NotFound
        from healtharchive.warc.segment import OPEN_SUFFIX

        path = f"{self.job.output_dir}/{WARCS_NAME}/{segment}"
        try:
            return self._read(path, offset, length)
        except NotFound:
            return self._read(path + OPEN_SUFFIX, offset, length, named=segment)

    def holding(self, payload_digest: str) -> bytes:
        """See `survey.Records`. BadInput when it is damaged."""
        from healtharchive.model.captures import responses_with
        from healtharchive.model.errors import HealthArchiveError, NotFound

        with self.database.read() as connection:
            places = responses_with(connection, payload_digest, ORIGINALS_TRIED)
        trouble: HealthArchiveError = NotFound("No record of an earlier edition holds it.")
        for place in places:
            try:
                return self._read(place.path, place.offset, place.length)
            except HealthArchiveError as error:
                trouble = error
        raise trouble

    def _read(self, path: str, offset: int, length: int, named: str = "") -> bytes:
        from healtharchive.model.errors import BadInput, NotFound
        from healtharchive.search.stored import Stored
        from healtharchive.web.reading import ReadOrder

        reading = self.readers.read(ReadOrder("record", Stored(path, offset, length)))
        body = b"".join(reading.body)
        refused = reading.answer.refused
        if refused in ("unreadable", "too_large"):
            raise BadInput(f"The record at byte {offset} of {path} is {refused}.")
        if refused:
            raise NotFound(f"WARC file {named or Path(path).name} is not on this machine.")
        return body


# -- for people ------------------------------------------------------------------------------


def report(pages: Sequence[Replayed]) -> Iterator[str]:
    """One line a page, and what was missing under it."""
    for page in pages:
        yield f"replayed      {page.url}: {_found(page)}"
        for each in page.missing[:SHOWN_MISSING]:
            what = f"{each.purpose} " if each.purpose else ""
            yield f"  missing     {what}{each.method} {each.url} ({each.why})"
        if page.missing_count > SHOWN_MISSING:
            yield f"  missing     … and {page.missing_count - SHOWN_MISSING} more"


def _found(page: Replayed) -> str:
    if page.skipped:
        return f"not judged: {page.skipped}"
    missing = f"{page.missing_count} of {page.requests} requests missing"
    if page.failure:
        return f"could not be rendered: {page.failure}; {missing}"
    said = [f"text {page.similarity:.2f}", "" if page.title_kept else "another title"]
    if page.picture_difference is not None:
        said.append(f"picture {page.picture_difference:.3f} off")
    return ", ".join([*filter(None, said), missing])
