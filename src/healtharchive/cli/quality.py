"""`quality`: whether a crawl has what it should have, and what is missing through whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healtharchive.cli import render
from healtharchive.cli.session import Session, begin
from healtharchive.crawl.quality import Thresholds, Word, judge, refused

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from healtharchive.crawl.quality import Coverage, Evidence, HostReport, Verdict
    from healtharchive.model.holdings import SegmentCopy
    from healtharchive.model.jobs import Job
    from healtharchive.search.stored import Stored
    from healtharchive.web.reading import Readers

app = typer.Typer()
EXIT_INCOMPLETE = 10
EXIT_REFUSED = 11
ORIGINALS_TRIED = 3
FRONTIER_NAME = "frontier.sqlite"
SHOWN_HOSTS = 20


@app.command(rich_help_panel="Jobs")
def quality(
    job_id: Annotated[int, typer.Argument(metavar="JOB", help="The job's number.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge a crawl: COMPLETE (exit 0), INCOMPLETE (exit 10) or REFUSED (exit 11), and why."""
    from healtharchive.model.jobs import get_job

    session = begin()
    thresholds = Thresholds()
    with session.database.read() as connection:
        job = get_job(connection, job_id)
        verdict, evidence = _judge(session, connection, job, thresholds)
    if as_json:
        found = {"job": job.id, "source": job.source, "campaign": job.campaign}
        render.print_json(
            {
                **found,
                "verdict": verdict.word,
                "reasons": verdict.reasons,
                "notes": verdict.notes,
                "evidence": evidence,
                "thresholds": thresholds,
            }
        )
    else:
        for line in _report(job, verdict, evidence):
            print(render.safe(line))
    codes = {Word.COMPLETE: 0, Word.INCOMPLETE: EXIT_INCOMPLETE, Word.REFUSED: EXIT_REFUSED}
    raise typer.Exit(codes[verdict.word])


def _judge(
    session: Session, connection: Connection, job: Job, thresholds: Thresholds
) -> tuple[Verdict, Evidence | None]:
    from healtharchive.crawl.survey import FrontierUnreadable, survey
    from healtharchive.model.sources import get_source
    from healtharchive.web.reading import Readers
    from healtharchive.work.order import state_dir

    source = get_source(connection, job.source)
    path = Path(state_dir(session.settings, job)) / FRONTIER_NAME
    readers = Readers(limit=1)
    try:
        evidence = survey(connection, job, source, path, _Records(connection, job, readers))
    except FrontierUnreadable as error:
        return refused(error.what), None
    finally:
        readers.close()
    return judge(evidence, thresholds), evidence


@dataclass(frozen=True, slots=True)
class _Records:
    """The records of a job, read by a child with a deadline: a file may lie on a dead mount."""

    connection: Connection
    job: Job
    readers: Readers

    def at(self, segment: str, offset: int, length: int) -> bytes:
        """See `survey.Records`."""
        from healtharchive.model.segments import WARCS_NAME
        from healtharchive.search.stored import Stored

        path = f"{self.job.output_dir}/{WARCS_NAME}/{segment}"
        return self._read(Stored(path, offset, length, self._copies(segment)))

    def holding(self, payload_digest: str) -> bytes:
        """See `survey.Records`."""
        from healtharchive.model.captures import responses_with
        from healtharchive.model.errors import HealthArchiveError, NotFound
        from healtharchive.search.stored import Stored

        trouble: HealthArchiveError = NotFound("no record of an earlier edition holds it")
        for place in responses_with(self.connection, payload_digest, ORIGINALS_TRIED):
            copies = self._copies(Path(place.path).name)
            try:
                return self._read(Stored(place.path, place.offset, place.length, copies))
            except HealthArchiveError as error:
                trouble = error
        raise trouble

    def _copies(self, segment: str) -> tuple[SegmentCopy, ...]:
        from healtharchive.model.holdings import copies_of

        return copies_of(self.connection, segment)

    def _read(self, stored: Stored) -> bytes:
        from healtharchive.model.errors import NotFound
        from healtharchive.web.reading import ReadOrder

        reading = self.readers.read(ReadOrder("record", stored))
        body = b"".join(reading.body)
        if reading.answer.refused:
            said = reading.answer.reason or f"its record is {reading.answer.refused}"
            raise NotFound(said)
        return body


# -- for people ------------------------------------------------------------------------------


def _report(job: Job, verdict: Verdict, evidence: Evidence | None) -> Iterator[str]:
    campaign = f", {job.campaign}" if job.campaign else ""
    because = " because" if verdict.reasons else ""
    yield f"job {job.id} ({job.source}{campaign}): {verdict.word}{because}"
    yield from (f"  - {reason}" for reason in verdict.reasons)
    if evidence is None:
        return
    yield ""
    counts = evidence.counts
    yield (
        f"frontier      {counts.found} URLs: {counts.done} done, {counts.failed} failed, "
        f"{counts.excluded} excluded, {counts.queued + counts.in_flight} queued"
    )
    sitemaps = sum(not each.problem for each in evidence.sitemaps)
    yield from _coverage(f"{sitemaps} sitemaps list", "sitemaps     ", evidence.sitemap)
    if evidence.last_job is not None:
        yield from _coverage(f"job {evidence.last_job} had", "last edition ", evidence.last)
    segments = evidence.segments
    copies = f"{segments.unverified} of them without a verified copy"
    yield (
        f"WARC files    {segments.sealed} sealed, {copies}; "
        f"{segments.open} open, {segments.suspect} suspect"
    )
    yield f"attempts      {_numbers(evidence.attempts)}"
    for host in evidence.hosts[:SHOWN_HOSTS]:
        yield from _host(host)
    if len(evidence.hosts) > SHOWN_HOSTS:
        yield f"… and {len(evidence.hosts) - SHOWN_HOSTS} hosts more; --json has all of them"
    yield from (f"note          {note}" for note in verdict.notes)


def _coverage(who: str, name: str, coverage: Coverage) -> Iterator[str]:
    yield f"{name} {who} {coverage.listed} pages: {_numbers(coverage.fates) or 'none'}"
    for sample in coverage.samples:
        by = f" by {sample.culprit}" if sample.culprit else ""
        yield f"  {sample.fate}{by}  {sample.url}  {sample.detail}".rstrip()


def _host(host: HostReport) -> Iterator[str]:
    yield f"host          {host.origin}: {host.asked} asked, {host.failed} failed"
    for culprit, kinds in host.failures.items():
        yield f"  failed by {culprit}: {_numbers(kinds)}"
    if host.not_found:
        yield f"  not found: {host.not_found}"
    if host.left_out:
        yield f"  left out: {_numbers(host.left_out)}"


def _numbers(numbers: Mapping[Any, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in numbers.items())
