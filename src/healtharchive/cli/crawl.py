"""`crawl` captures a site in one command, for a person who waits for it: a campaign of one."""

from __future__ import annotations

import dataclasses
import errno
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from healtharchive.cli import progress, render
from healtharchive.cli.session import Session, begin
from healtharchive.model.errors import HealthArchiveError, SetupError
from healtharchive.model.states import JobStatus

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from healtharchive.model.jobs import Job
    from healtharchive.model.source import SourceDefinition

app = typer.Typer()
PANEL = "Capturing"
COMMAND = "crawl"  # in a job's config: which command made it
LOOK_SECONDS = 10.0
UNFINISHED = (
    JobStatus.QUEUED,
    JobStatus.RUNNING,
    JobStatus.PARKED,
    JobStatus.RETRYABLE,
    JobStatus.PAUSED,
    JobStatus.COMPLETED,
    JobStatus.INDEXING,
)
# What does not pass while somebody waits.
LASTING_ERRNOS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR)


@app.command(rich_help_panel=PANEL)
def crawl(
    url: Annotated[str, typer.Argument(help="Where to begin; the whole host is captured.")],
    pages: Annotated[int | None, typer.Option(min=1, help="End after so many pages.")] = None,
    total_bytes: Annotated[
        int | None, typer.Option("--bytes", min=1, help="End after so many bytes.")
    ] = None,
    page_bytes: Annotated[
        int | None, typer.Option(min=1, help="Cut a longer page off after so many bytes.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="End after so much crawl time.")
    ] = None,
    delay: Annotated[float, typer.Option(min=0, help="Seconds between requests.")] = 0.5,
    allow_private: Annotated[
        bool, typer.Option(help="Let this host be at a private or loopback address.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Begin anew, even if a capture is unfinished.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Capture a site, index it, and leave it searchable; an unfinished capture is continued."""
    from healtharchive.crawl.sources import of_one_site
    from healtharchive.work.worker import run_one

    asked = {
        "pages": pages,
        "total_bytes": total_bytes,
        "page_bytes": page_bytes,
        "seconds": seconds,
    }
    limits = {name: value for name, value in asked.items() if value is not None}
    source = of_one_site(url, **limits)
    politeness = dataclasses.replace(source.politeness, delay_seconds=delay)
    allowed = source.scope.hosts if allow_private else ()
    source = dataclasses.replace(source, politeness=politeness, allow_private_hosts=allowed)
    session = begin(embedded=True)
    _look_at_directories(session)
    source = _with_hosts_of_its_seed(session, source)
    job = _queue(session, source, new=new)
    job = run_one(
        session.settings,
        session.database,
        session.clock,
        job.id,
        until_settled=True,
        enough=lambda job: _hopeless(session, job),
        beside=progress.shown(progress.of_job(session, job.id)),
    )
    _end(session, job, source, as_json=as_json)


def _look_at_directories(session: Session) -> None:
    """SetupError when nothing can be written where the captures or their index go."""
    from healtharchive.storage.probe import probe

    settings = session.settings
    for name, directory in (("jobs_root", settings.jobs_root), ("search_dir", settings.search_dir)):
        fault = probe(directory, LOOK_SECONDS).fault
        if fault is not None:
            raise SetupError(
                f"Nothing can be written to {directory} ({settings.origin(name)}): {fault.reason}.",
                f"Make that directory writable or set HEALTHARCHIVE_{name.upper()} to another one.",
            )


def _with_hosts_of_its_seed(session: Session, source: SourceDefinition) -> SourceDefinition:
    import asyncio

    from healtharchive.crawl.inquiry import follow_seed

    followed = asyncio.run(follow_seed(source, session.settings.user_agent))
    for host in followed.scope.hosts[len(source.scope.hosts) :]:
        _say(f"{source.seeds[0].url} leads to {host}, which is captured with it.")
    return followed


def _queue(session: Session, source: SourceDefinition, *, new: bool) -> Job:
    """The job to run: the unfinished one of this source that `crawl` made, or a new one."""
    from healtharchive.model import jobs
    from healtharchive.model.journal import this_process
    from healtharchive.model.sources import upsert_source

    with session.database.begin() as connection:
        upsert_source(session.database, connection, source, actor=this_process())
        unfinished = None if new else _unfinished(connection, source.code)
        if unfinished is not None:
            return _continued(session, connection, unfinished)
        return jobs.create_job(
            session.database,
            connection,
            source=source.code,
            jobs_root=str(session.settings.jobs_root),
            actor=this_process(),
            retry_budget=0,  # somebody waits for it, who would rather know the reason at once
            config={"command": COMMAND},
            why="`healtharchive crawl` was asked for it",
        )


def _unfinished(connection: Connection, source: str) -> Job | None:
    from healtharchive.model.jobs import list_jobs

    found = list_jobs(connection, source=source, statuses=UNFINISHED)
    ours = [job for job in found if job.config.get("command") == COMMAND]
    return max(ours, key=lambda job: job.id, default=None)


def _continued(session: Session, connection: Connection, job: Job) -> Job:
    """The job, due now: whoever asks for it again does not wait for its time."""
    from healtharchive.model import operator
    from healtharchive.model.journal import this_process

    counts = job.counts
    waiting = counts.queued + counts.in_flight
    _say(
        f"Job {job.id} is continued: {counts.done} URLs are captured, {waiting} wait. "
        "`--new` begins another."
    )
    release = {
        JobStatus.PARKED: operator.retry_job,
        JobStatus.RETRYABLE: operator.retry_job,
        JobStatus.PAUSED: operator.resume_job,
    }.get(job.status)
    if release is None:
        return job
    why = "`healtharchive crawl` was asked for it again"
    return release(session.database, connection, job.id, actor=this_process(), why=why)


def _hopeless(session: Session, job: Job) -> bool:
    """Whether it is of no use to a person to wait for a job that waits."""
    from healtharchive.model.attempts import list_attempts

    waits_for_indexing = job.status is JobStatus.COMPLETED and job.not_before is not None
    if job.status is not JobStatus.PARKED and not waits_for_indexing:
        return False
    if job.status is JobStatus.PARKED and _nothing_captured(job):
        return True
    with session.database.read() as connection:
        newest = list_attempts(connection, job.id, limit=1)
    return bool(newest) and newest[0].errno in LASTING_ERRNOS


def _nothing_captured(job: Job) -> bool:
    # The first capture of a site is its robots.txt.
    return job.counts.captures + job.counts.revisits <= 1


def _end(session: Session, job: Job, source: SourceDefinition, *, as_json: bool) -> None:
    """Say what became of it and end the command, with 0 when all is captured and indexed."""
    hopeless = _hopeless(session, job)
    if hopeless and job.status is JobStatus.PARKED and _nothing_captured(job):
        job = _given_up(session, job)
    if as_json:
        render.print_json(job)
    elif job.status is JobStatus.INDEXED:
        _tell(job)
        print("`healtharchive search WORDS` finds its pages; `healtharchive up` shows them.")
    elif not hopeless and job.status is not JobStatus.FAILED:
        _tell(job)
        print(f"`healtharchive crawl {source.base_url}` continues it.")
    if hopeless or job.status is JobStatus.FAILED:
        reason = (job.last_error or job.parked_reason or job.status).rstrip(".")
        raise HealthArchiveError(
            f"{source.base_url} could not be captured: {reason}.",
            f"`healtharchive why job {job.id}` tells what happened.",
        )
    raise typer.Exit(0 if job.status is JobStatus.INDEXED else 1)


def _given_up(session: Session, job: Job) -> Job:
    """The job, which no worker shall take up later: it never got anywhere."""
    from healtharchive.model.journal import this_process
    from healtharchive.model.operator import cancel_job

    with session.database.begin() as connection:
        return cancel_job(
            session.database,
            connection,
            job.id,
            actor=this_process(),
            why=f"nothing could be captured: {job.parked_reason}",
        )


def _tell(job: Job) -> None:
    left = f"{job.counts.failed} failed, {job.counts.excluded} left out"
    print(f"{progress.sentence(job)}, {left}.")
    print(f"WARC files: {job.output_dir}/warcs")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
