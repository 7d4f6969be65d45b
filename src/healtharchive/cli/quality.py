"""`quality`: whether a crawl has what it should have, and what is missing through whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healtharchive.cli import render
from healtharchive.cli.replaying import replay_and_keep, report
from healtharchive.cli.session import Session, begin
from healtharchive.crawl.browser.replayed import ReplayThresholds
from healtharchive.crawl.quality import Thresholds, judge, refused
from healtharchive.model.layout import FRONTIER_NAME
from healtharchive.model.states import Quality

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from healtharchive.crawl.quality import Coverage, Evidence, HostReport, Verdict
    from healtharchive.model.jobs import Job
    from healtharchive.search.stored import Stored
    from healtharchive.web.reading import Readers

app = typer.Typer()
EXIT_INCOMPLETE = 10
EXIT_REFUSED = 11
SHOWN_HOSTS = 20


@app.command(rich_help_panel="Jobs")
def quality(
    job_id: Annotated[int, typer.Argument(metavar="JOB", help="The job's number.")],
    accept: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Take an INCOMPLETE job as it is, for this reason."),
    ] = None,
    replay: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=1000, help="Replay so many rendered pages in a browser."
        ),
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge a crawl: COMPLETE (exit 0), INCOMPLETE (exit 10) or REFUSED (exit 11), and why.

    With --accept nothing is judged anew: the verdict of its indexing no longer keeps the campaign
    from being ready for search. With --replay the verdict of an indexed job is stored.
    """
    from healtharchive.model.jobs import get_job

    session = begin()
    if accept is not None:
        _accept(session, job_id, accept, as_json=as_json)
        return
    thresholds = Thresholds()
    with session.database.read() as connection:
        job = get_job(connection, job_id)
    pages, sample = replay_and_keep(session, job, replay) if replay else ([], None)
    with session.database.read() as connection:
        job = get_job(connection, job_id)
        verdict, evidence = _judge(session, connection, job, thresholds)
    stored = None
    if sample is not None and sample.judged:
        stored = _store(session, job, verdict)
    elif sample is not None and evidence is not None and evidence.replays is None:
        evidence = replace(evidence, replays=sample)  # only to say that it told nothing
        verdict = judge(evidence, thresholds)
    if as_json:
        found = {"job": job.id, "source": job.source, "campaign": job.campaign}
        render.print_json(
            {
                **found,
                "verdict": verdict.word,
                "stored": stored,
                "reasons": verdict.reasons,
                "notes": verdict.notes,
                "evidence": evidence,
                "thresholds": thresholds,
                "replayed": pages,
                "replay_thresholds": ReplayThresholds(),
            }
        )
    else:
        kept = [f"stored        {job.source} counts as {stored} now"] if stored else []
        for line in chain(_report(job, verdict, evidence), report(pages), kept):
            print(render.safe(line))
    codes = {
        Quality.COMPLETE: 0,
        Quality.INCOMPLETE: EXIT_INCOMPLETE,
        Quality.REFUSED: EXIT_REFUSED,
    }
    raise typer.Exit(codes[verdict.word])


def _store(session: Session, job: Job, verdict: Verdict) -> Quality | None:
    """What the job counts as from now on; None when its indexing is yet to judge it."""
    from healtharchive.model.journal import this_process
    from healtharchive.model.verdicts import restate_verdict

    with session.database.begin() as connection:
        return restate_verdict(
            session.database,
            connection,
            job.id,
            verdict.word,
            verdict.reasons,
            actor=this_process(),
        )


def _accept(session: Session, job_id: int, why: str, *, as_json: bool) -> None:
    from healtharchive.model.journal import this_process
    from healtharchive.model.verdicts import accept_verdict

    with session.database.begin() as connection:
        job = accept_verdict(session.database, connection, job_id, actor=this_process(), why=why)
    if as_json:
        render.print_json(job)
        return
    print(f"job {job.id} ({job.source}) is accepted as it is, though")
    for reason in job.quality_reasons:
        print(render.safe(f"  - {reason}"))


def _judge(
    session: Session, connection: Connection, job: Job, thresholds: Thresholds
) -> tuple[Verdict, Evidence | None]:
    from healtharchive.crawl.survey import FrontierUnreadable, survey
    from healtharchive.model.sources import get_source
    from healtharchive.search.judging import JobRecords
    from healtharchive.web.reading import Readers
    from healtharchive.work.order import state_dir

    source = get_source(connection, job.source)
    path = Path(state_dir(session.settings, job)) / FRONTIER_NAME
    readers = Readers(limit=1)
    try:
        records = JobRecords(connection, job, partial(_read, readers))
        evidence = survey(connection, job, source, path, records)
    except FrontierUnreadable as error:
        return refused(error.what), None
    finally:
        readers.close()
    return judge(evidence, thresholds), evidence


def _read(readers: Readers, stored: Stored) -> bytes:
    """A record's bytes, read by a child with a deadline: its file may lie on a dead mount."""
    from healtharchive.model.errors import NotFound
    from healtharchive.web.reading import ReadOrder

    reading = readers.read(ReadOrder("record", stored))
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
